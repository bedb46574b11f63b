"""A table of many attacks on a trained network: what each leaves of its accuracy, how far it went, what it cost.

Gradient attacks in Linf at several radii and in L2, attacks that look for the smallest change, and a black-box one.
The table is written as Markdown (--out) and, beside it, as JSON."""

import json
from pathlib import Path

from minigrad.cli.arguments import number
from minigrad.cli.subject import load
from minigrad.files import write_atomically

from . import menu

RADII = (0.02, 0.05, 0.1, 0.2, 0.3)
SETTINGS = [
    *(("fgsm", {"eps": e}) for e in RADII),
    *(("pgd", {"eps": e}) for e in RADII),
    *(("apgd", {"eps": e}) for e in (0.05, 0.1)),
    *(("square", {"eps": e, "steps": 1000}) for e in (0.05, 0.1)),
    *(("pgd", {"eps": e, "norm": "l2"}) for e in (0.5, 1.0, 2.0)),
    ("deepfool", {}), ("deepfool", {"norm": "linf"}), ("ddn", {"steps": 300}), ("fmn", {"steps": 300}),
    ("fmn", {"norm": "linf", "steps": 300}), ("carlini_wagner", {"steps": 300}), ("ead", {"steps": 100}), ("jsma", {}),
]


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--samples", type=number(int, 1), default=1000, metavar="N", help="of the first test images (default: 1000)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")
    add("--out", type=Path, default=Path("attacks.md"), metavar="FILE.md", help="where to write (default: attacks.md)")


def run(arguments):
    """Attack after attack, and the table."""
    model, dataset = load(arguments.run)
    x, y = dataset.images[:arguments.samples], dataset.labels[:arguments.samples]
    clean = float((menu.predicted(model, x) == y).mean())
    heading = f"{dataset.name}, the first {len(x)} test images, clean accuracy {clean:.1%}"
    print(heading)
    rows = []
    for name, options in SETTINGS:
        rows.append(menu.run(name, model, x, y, seed=arguments.seed, progress=True, **options))
        print(menu.as_text(rows).splitlines()[-1], flush=True)
        _write(arguments.out, heading, rows)
    print(f"\n{menu.as_text(rows)}\n\nsaved {arguments.out} and {arguments.out.with_suffix('.json')}")


def _write(out, heading, rows):
    write_atomically(out, f"{heading}\n\n{menu.as_markdown(rows)}\n".encode(), caller="attacks")
    numbers = {"heading": heading, "rows": menu.as_json(rows)}
    write_atomically(out.with_suffix(".json"), (json.dumps(numbers, indent=2) + "\n").encode(), caller="attacks")
