"""A table of many attacks on a trained network: what each leaves of its accuracy, how far it went, what it cost.

Gradient attacks and a black-box one in Linf at several radii, PGD in L2, and attacks that look for the smallest change.
The table is written as Markdown (--out) and, beside it, as JSON, row by row: Ctrl-C keeps what is done."""

import json
from pathlib import Path

from minigrad.cli import main as minigrad_main
from minigrad.cli.arguments import number, one_of
from minigrad.cli.subject import load
from minigrad.data import names
from minigrad.files import ensure_writable, write_atomically

from . import menu

RADII = (0.01, 0.02, 0.05, 0.1)
SETTINGS = [
    *(("fgsm", {"eps": e}) for e in (*RADII, 0.2)),
    *(("pgd", {"eps": e}) for e in RADII),
    *(("apgd", {"eps": e}) for e in RADII),
    *(("square", {"eps": e, "n_queries": 1000}) for e in RADII),
    *(("pgd", {"norm": "l2", "eps": e}) for e in (0.25, 0.5, 1.0)),
    ("deepfool", {}), ("ddn", {"steps": 300}), ("fmn", {"steps": 300}), ("carlini_wagner", {}),
    ("deepfool", {"norm": "linf"}), ("fmn", {"norm": "linf", "steps": 300}), ("ead", {}), ("jsma", {}),
]
EXAMPLES = """\
examples:
  python -m attacks table runs/fashion
  python -m attacks table runs/fashion --train fashion-mnist --out fashion.md
                                        train the network first, if it is not there
"""


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--train", type=one_of("dataset", names()), metavar="DATASET",
        help="if RUN is not there, train mnist_cnn on that dataset first, as python -m minigrad train does")
    add("--samples", type=number(int, 1), default=1000, metavar="N", help="of the first test images (default: 1000)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")
    add("--out", type=Path, default=Path("attacks.md"), metavar="FILE.md", help="where to write (default: attacks.md)")


def run(arguments):
    """Attack after attack, and the table."""
    if arguments.train and not Path(arguments.run).exists():
        status = minigrad_main(["train", "--dataset", arguments.train, "--out", arguments.run])
        if status:
            return status
    model, dataset = load(arguments.run)
    ensure_writable(arguments.out.parent, caller="attacks")
    x, y = dataset.images[:arguments.samples], dataset.labels[:arguments.samples]
    about = {"dataset": dataset.name, "images": len(x), "seed": arguments.seed,
             "clean accuracy": float((menu.predicted(model, x) == y).mean())}
    heading = f"{dataset.name}, the first {len(x)} test images, clean accuracy {about['clean accuracy']:.1%}"
    print(heading)
    rows = []
    for name, wanted in SETTINGS:
        rows.append(menu.run(name, model, x, y, menu.options(name, **wanted), seed=arguments.seed))
        print(menu.as_text(rows).splitlines()[-1], flush=True)
        text = f"{heading}\n\n{menu.as_markdown(rows)}\n\n{menu.LEGEND}\n"
        write_atomically(arguments.out, text.encode(), caller="attacks")
        write_atomically(arguments.out.with_suffix(".json"),
                         (json.dumps(menu.as_json(rows, **about), indent=2) + "\n").encode(), caller="attacks")
    print(f"\n{menu.as_text(rows)}\n{menu.LEGEND}\n\nsaved {arguments.out} and {arguments.out.with_suffix('.json')}")
    return 0
