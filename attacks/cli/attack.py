"""Attack a trained network: one figure of pictures, one table, and the images.

For attacks that take a radius the figure shows the largest, and several radii make a curve of robust accuracy. Written
into the folder --out: examples.png, results.txt and .json, adversarial.safetensors (the images and their labels), and
curve.png. Ctrl-C keeps the attacks that are done."""

import json
from pathlib import Path

import numpy as np

from minigrad.cli.arguments import number, one_of
from minigrad.cli.subject import load
from minigrad.files import ensure_writable, write_atomically
from minigrad.plots import new_figure, save

from .. import charts, evaluate, show
from . import menu

NORMS, RADII = ("linf", "l2", "l1", "l0"), (0.1, 0.2, 0.3)
EXAMPLES = """\
examples:
  python -m attacks runs/mnist --attack fgsm pgd --eps 0.1 0.2 0.3 --samples 1000
  python -m attacks runs/mnist --attack pgd --norm l2 --eps 0.5 1 2 --out attacked/l2
  python -m attacks runs/mnist --attack deepfool ddn carlini_wagner
  python -m attacks pictures runs/mnist pictures from gradients
  python -m attacks table runs/mnist    a table of many attacks
  python -m attacks doctor runs/mnist   are the gradients masked?
"""


def add_arguments(parser):
    """Declare what the command understands."""
    add = parser.add_argument
    add("run", metavar="RUN", help="the folder of a run, a .safetensors file, or squeezenet1_0 for photographs")
    add("--attack", type=one_of("attack", menu.NAMES), nargs="+", default=["pgd"], metavar="NAME",
        help=f"some of {', '.join(menu.NAMES)} (default: pgd)")
    add("--eps", type=number(float, 0), nargs="+", metavar="E",
        help=f"radii for {', '.join(menu.BALL)}, in pixel values of 0 to 1 (default: 0.1 0.2 0.3); the others look for "
             "the smallest change")
    add("--norm", choices=NORMS, help="the norm, where an attack has several (default: the attack's first)")
    add("--steps", type=number(int, 1), metavar="N", help="steps, or queries of square (default: the attack's)")
    add("--samples", type=number(int, 1), default=100, metavar="N", help="of the first test images (default: 100)")
    add("--shown", type=number(int, 1), default=8, metavar="N", help="images in the figure (default: 8)")
    add("--magnify", type=number(float, 0, open_low=True), metavar="F",
        help="how much the differences are magnified (default: as much as fits)")
    add("--seed", type=number(int, 0), default=0, metavar="N", help="for whatever is random (default: 0)")
    add("--out", type=Path, default=Path("attacked"), metavar="FOLDER", help="where to write (default: attacked)")


def run(arguments):
    """Attack, print the table, write everything."""
    jobs = _jobs(arguments)
    model, dataset = load(arguments.run)
    ensure_writable(arguments.out, caller="attacks")
    x, y = dataset.images[:arguments.samples], dataset.labels[:arguments.samples]
    about = {"dataset": dataset.name, "images": len(x), "seed": arguments.seed,
             "clean accuracy": float((menu.predicted(model, x) == y).mean())}
    rows, stopped = [], None
    try:
        for name, options in jobs:
            rows.append(menu.run(name, model, x, y, options, seed=arguments.seed))
    except KeyboardInterrupt as error:
        if not rows:
            raise
        stopped = str(error) or "stopped"
    text = (f"{dataset.name}, the first {len(x)} test images, clean accuracy {about['clean accuracy']:.1%}\n"
            f"{menu.as_text(rows)}\n{menu.LEGEND}")
    print(text)
    last = {row.attack: row for row in rows}
    wrote = _write(arguments.out, text, menu.as_json(rows, **about), last, y)
    wrote.append(_examples(arguments, model, dataset, last))
    if len({row.setting for row in rows if row.attack in menu.BALL}) > 1:
        wrote.append(_curve(arguments.out, rows))
    print(f"\nsaved {', '.join(wrote)} in {arguments.out}")
    if stopped:
        raise KeyboardInterrupt(f"{stopped}; {arguments.out} holds what was done before")


def _jobs(arguments):
    """What is to be done, attack by attack and radius by radius; refuses what an attack does not take."""
    if arguments.eps and not set(arguments.attack) & set(menu.BALL):
        raise ValueError(f"{' and '.join(arguments.attack)} look for the smallest change and take no radius; leave "
                         "--eps out")
    radii = sorted(set(arguments.eps or RADII))
    return [(name, menu.options(name, norm=arguments.norm, eps=eps, steps=arguments.steps))
            for name in dict.fromkeys(arguments.attack) for eps in (radii if name in menu.BALL else [None])]


def _write(out, text, numbers, last, y):
    from safetensors.numpy import save as as_bytes

    images = {name: np.ascontiguousarray(row.result.x_adv) for name, row in last.items()}
    content = {"results.txt": f"{text}\n".encode(),
               "results.json": (json.dumps(numbers, indent=2) + "\n").encode(),
               "adversarial.safetensors": as_bytes({**images, "labels": y})}
    for name, data in content.items():
        write_atomically(out / name, data, caller="attacks")
    return list(content)


def _examples(arguments, model, dataset, last):
    """One figure an attack below the other: clean, adversarial, difference."""
    shown = min(arguments.shown, *(len(row.result) for row in last.values()))
    figure = new_figure(max(3.5, 1.1 * shown + 1), 4.1 * len(last))
    parts = np.ravel(figure.subfigures(len(last), 1))
    for part, row in zip(parts, last.values(), strict=True):
        result = row.result
        order = np.argsort(result.status != "success", kind="stable")[:shown]
        factor = arguments.magnify or show.fitting(result.x_adv[order] - result.x[order])
        after = menu.predicted(model, result.x_adv[order])
        labels = [_label(result.status[i], dataset.classes[dataset.labels[i]], dataset.classes[k])
                  for i, k in zip(order, after, strict=True)]
        show.compare(result, order, labels=labels, factor=factor, figure=part)
        name = ", ".join(filter(None, [row.attack, row.setting]))
        part.suptitle(f"{name}: {row.rate:.0%} turned", fontsize=10, x=0.01, ha="left")
    save(figure, arguments.out / "examples.png")
    return "examples.png"


def _label(status, true, taken):
    """What an image shows, and below it what it is taken for."""
    fate = {"success": f"→ {_short(taken)}", "failed": "stands", "already_wrong": f"already {_short(taken, 8)}"}
    return f"{_short(true)}\n{fate[status]}"


def _curve(out, rows):
    figure = new_figure(5.5, 3.8)
    ax = figure.subplots()
    for name in dict.fromkeys(row.attack for row in rows if row.attack in menu.BALL):
        charts.curve(evaluate.from_results(name, [row.result for row in rows if row.attack == name]), ax)
    save(figure, out / "curve.png")
    return "curve.png"


def _short(name, width=14):
    return name if len(name) <= width else name[:width - 1] + "…"
