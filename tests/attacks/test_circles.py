"""No file of attacks imports, by however long a way, itself: not at its head, and not inside a function either."""

import ast
from pathlib import Path

import attacks

ROOT = Path(attacks.__file__).parent.parent


def test_imports_make_no_circles():
    files = {path.relative_to(ROOT).with_suffix("").parts: path for path in (ROOT / "attacks").rglob("*.py")}
    edges = {module: set(imported(path, module, files)) for module, path in files.items()}
    while leaves := [module for module, needs in edges.items() if not needs]:
        edges = {module: needs - set(leaves) for module, needs in edges.items() if module not in leaves}
    assert not edges, f"in a circle, or above one: {sorted('.'.join(module) for module in edges)}"


def imported(path, module, files):
    """The modules of `files` that one of them takes something from; packages by the module meant, not by their name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = module[: len(module) - node.level] + tuple(filter(None, (node.module or "").split(".")))
            yield from (found for name in node.names for found in ((*base, name.name), base) if found in files)
