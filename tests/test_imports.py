"""The house's rules, read from the source: who may import whom, how long a file may be, and that it says what it is."""

import ast
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("minigrad", "explain", "attacks")
# Inside minigrad a part imports only parts named before it; a part that is not named here stands above them all.
FLOORS = ("files", "torch_pickle", "kernels", "deferred", "tensor", "autodiff", "ops", "derivatives", "_layout", "draw")
FLOORS += ("functional", "check", "nn", "optim", "data", "models", "io", "runs", "plots", "train", "predict", "cli")
FLOORS += ("__main__",)


def files(*folders, pattern="*.py"):
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob(pattern) if ".ipynb_" not in str(path))
    return [pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in paths]


def tree(path):
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = [[*cell["source"], "\n"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
        text = "".join("\n" if line.lstrip().startswith(("%", "!")) else line for cell in cells for line in cell)
    return ast.parse(text)


def imports(path):
    """Dotted name of everything a file imports: ``from ..ops import Conv2d`` in minigrad/nn is minigrad.ops.Conv2d."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = (*base, *filter(None, [node.module]))
            yield from (".".join((*stem, alias.name)) for alias in node.names)


def rank(part):
    return FLOORS.index(part) if part in FLOORS else len(FLOORS)


@pytest.mark.parametrize("path", [param for param in files("minigrad") if param.id != "minigrad/__init__.py"])
def test_minigrad_imports_only_from_floors_below(path):
    part = path.relative_to(ROOT / "minigrad").with_suffix("").parts[0]
    inner = [name.split(".") for name in imports(path) if name.split(".")[0] == "minigrad"]
    wrong = [".".join(name) for name in inner if rank(name[1] if len(name) > 1 else "") > rank(part)]
    assert not wrong, f"{part} must not import {wrong}: move the code up, or what it needs down"


@pytest.mark.parametrize("path", files(*PACKAGES))
def test_packages_import_only_what_they_stand_on(path):
    own = path.relative_to(ROOT).parts[0]
    strangers = {*PACKAGES, "benchmarks", "notebooks", "tests"} - {own, "minigrad"}
    wrong = [name for name in imports(path) if name.split(".")[0] in strangers]
    assert not wrong, f"{own} must not import {wrong}: take what it needs as an argument"


@pytest.mark.parametrize("path", files(*PACKAGES, "benchmarks") + files("notebooks", pattern="*.ipynb"))
def test_no_private_name_crosses_packages(path):
    own = path.relative_to(ROOT).parts[0]
    names = [name for name in imports(path) if name.split(".")[0] in set(PACKAGES) - {own}]
    borrowed = {name.split(".")[-1] for name in names} | set(PACKAGES) - {own}
    names += [f"{node.value.id}.{node.attr}" for node in ast.walk(tree(path))
              if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in borrowed]
    wrong = [name for name in names if any(p.startswith("_") and not p.startswith("__") for p in name.split("."))]
    assert not wrong, f"{own} uses {wrong}, private to another package: give it a public name there"


@pytest.mark.parametrize("path", files(*PACKAGES))
def test_a_file_holds_one_idea_and_states_it(path):
    assert ast.get_docstring(tree(path)), "the file needs a docstring that says what it is"
    assert (lines := path.read_text(encoding="utf-8").count("\n")) < 330, f"{lines} lines are more than one idea"
