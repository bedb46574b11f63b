"""Attack a trained network: one figure of pictures, one table, and the images.

For attacks that take a radius the figure shows the largest, and several radii make a curve of robust accuracy. Written
into the folder --out: examples.png, results.txt and .json, adversarial.safetensors (the images and their labels), and
curve.png."""

import json
from pathlib import Path

import numpy as np

from minigrad.cli.arguments import number, one_of
from minigrad.cli.subject import load
from minigrad.files import write_atomically
from minigrad.plots import new_figure, save

from .. import charts, evaluate, show
from . import menu

NORMS = ("linf", "l2", "l1", "l0")


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--attack", type=one_of("attack", menu.NAMES), nargs="+", default=["pgd"], metavar="NAME",
        help=f"some of {', '.join(menu.NAMES)} (default: pgd)")
    add("--eps", type=number(float, 0), nargs="+", default=[0.1, 0.2, 0.3], metavar="E",
        help=f"radii for {', '.join(menu.BALL)}, in pixel values of 0 to 1 (default: 0.1 0.2 0.3)")
    add("--norm", choices=NORMS, help="the norm, where an attack has several (default: the attack's first)")
    add("--steps", type=number(int, 1), metavar="N", help="steps, or queries of square (default: the attack's)")
    add("--samples", type=number(int, 1), default=100, metavar="N", help="of the first test images (default: 100)")
    add("--shown", type=number(int, 1), default=8, metavar="N", help="images in the figure (default: 8)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")
    add("--out", type=Path, default=Path("attacked"), metavar="FOLDER", help="where to write (default: attacked)")


def run(arguments):
    """Attack, print the table, write everything."""
    model, dataset = load(arguments.run)
    x, y = dataset.images[:arguments.samples], dataset.labels[:arguments.samples]
    rows = []
    for name in arguments.attack:
        for eps in sorted(arguments.eps) if name in menu.BALL else [None]:
            rows.append(menu.run(name, model, x, y, eps=eps, norm=arguments.norm, steps=arguments.steps,
                                 seed=arguments.seed, progress=True))
    text = f"{arguments.run}, the first {len(x)} test images\n{menu.as_text(rows)}"
    print(text)
    last = {row.attack: row for row in rows}
    wrote = _write(arguments.out, text, rows, last, y)
    wrote.append(_examples(arguments, model, dataset, last))
    if len(arguments.eps) > 1 and any(name in menu.BALL for name in arguments.attack):
        wrote.append(_curve(arguments.out, rows))
    print(f"\nsaved {', '.join(wrote)} in {arguments.out}")


def _write(out, text, rows, last, y):
    from safetensors.numpy import save as as_bytes

    images = {name: np.ascontiguousarray(row.result.x_adv) for name, row in last.items()}
    content = {"results.txt": f"{text}\n".encode(),
               "results.json": (json.dumps(menu.as_json(rows), indent=2) + "\n").encode(),
               "adversarial.safetensors": as_bytes({**images, "labels": y})}
    for name, data in content.items():
        write_atomically(out / name, data, caller="attacks")
    return list(content)


def _examples(arguments, model, dataset, last):
    """One figure an attack below the other: clean, adversarial, difference."""
    figure = new_figure(1.1 * arguments.shown + 1, 4.1 * len(last))
    parts = np.ravel(figure.subfigures(len(last), 1))
    for part, row in zip(parts, last.values(), strict=True):
        result = row.result
        order = np.argsort(result.status != "success", kind="stable")[:arguments.shown]
        after = menu.predicted(model, result.x_adv[order])
        labels = [f"{_short(dataset.classes[dataset.labels[i]])}\n{_short(dataset.classes[k])}"
                  if result.success[i] else f"{_short(dataset.classes[dataset.labels[i]])}\nstands"
                  for i, k in zip(order, after, strict=True)]
        show.compare(result, order, labels=labels, figure=part)
        name = ", ".join(filter(None, [row.attack, row.setting]))
        part.suptitle(f"{name}: {row.rate:.0%} turned (above: what it is, what it is taken for)", fontsize=10, x=0.01,
                      ha="left")
    save(figure, arguments.out / "examples.png")
    return "examples.png"


def _curve(out, rows):
    figure = new_figure(5.5, 3.8)
    ax = figure.subplots()
    for name in dict.fromkeys(row.attack for row in rows if row.attack in menu.BALL):
        charts.curve(evaluate.from_results(name, [row.result for row in rows if row.attack == name]), ax)
    save(figure, out / "curve.png")
    return "curve.png"


def _short(name, width=14):
    return name if len(name) <= width else name[:width - 1] + "…"
