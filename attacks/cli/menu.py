"""The attacks by name, with the settings that a command line gives them."""

import inspect
from dataclasses import dataclass, field

import numpy as np

import attacks
import minigrad
from minigrad.train import evaluation_mode

from ..result import AttackResult

BALL = ("fgsm", "bim", "pgd", "mi_fgsm", "apgd", "square")
MINIMAL = ("deepfool", "carlini_wagner", "ddn", "fmn", "ead", "jsma", "one_pixel", "boundary", "hop_skip_jump",
           "spatial")
NAMES = (*BALL, *MINIMAL)
BUDGETS = {"carlini_wagner": {"steps": 1000}, "ead": {"steps": 200}, "boundary": {"steps": 2000},
           "hop_skip_jump": {"steps": 16}, "one_pixel": {"steps": 30}}  # what minutes allow, in place of the papers'


@dataclass
class Row:
    """One attack in one setting: what a table says of it.

    Attributes
    ----------
    attack, setting : str
    accuracy : float
        Of all images, the part that stays right.
    rate : float
        Of those right from the start, the part turned.
    l0, l1, l2, linf : float
        Mean distances of those turned; `median_l2` the median.
    queries, seconds : float
        Forward passes and seconds per image.
    """

    attack: str
    setting: str
    accuracy: float
    rate: float
    l0: float
    l1: float
    l2: float
    linf: float
    median_l2: float
    queries: float
    seconds: float
    result: AttackResult = field(repr=False)


def run(name, model, x, y, *, eps=None, norm=None, steps=None, seed=0, progress=False):
    """One attack by name, as a Row; what the attack does not take is refused by name."""
    attack = getattr(attacks, name)
    takes = inspect.signature(attack).parameters
    options = dict(BUDGETS.get(name, {}))
    counted = "n_queries" if name == "square" else "steps"
    for key, value in (("eps", eps), ("norm", norm), (counted, steps)):
        if value is not None:
            if key not in takes:
                raise ValueError(f"{name} takes no {key}; leave --{key} out")
            options[key] = value
    if "rng" in takes:
        options["rng"] = np.random.default_rng(seed)
    if "progress" in takes:
        options["progress"] = progress
    result = attack(model, x, y, **options)
    turned = result.status == "success"
    mean = {k: float(v[turned].mean()) if turned.any() else float("nan") for k, v in result.distance.items()}
    said = {k: v for k, v in options.items() if k not in ("rng", "progress")}
    return Row(name, ", ".join(f"{k} {v:g}" if isinstance(v, float) else f"{k} {v}" for k, v in said.items()),
               float((~result.success).mean()), result.rate(), **mean,
               median_l2=float(np.median(result.distance["l2"][turned])) if turned.any() else float("nan"),
               queries=float(result.queries.mean()), seconds=result.seconds / len(x), result=result)


COLUMNS = (("attack", "{}", "attack"), ("setting", "{}", "setting"), ("accuracy", "{:.1%}", "accuracy"),
           ("rate", "{:.1%}", "turned"), ("linf", "{:.3f}", "Linf"), ("l2", "{:.3f}", "L2"),
           ("median_l2", "{:.3f}", "median"), ("l1", "{:.1f}", "L1"), ("l0", "{:.0f}", "L0"),
           ("queries", "{:.0f}", "queries"), ("seconds", "{:.3f}", "s/image"))


def as_text(rows):
    """The rows as lines of text."""
    cells = [[title for _, _, title in COLUMNS]]
    cells += [[form.format(getattr(row, key)) for key, form, _ in COLUMNS] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    signs = ["<", "<", *">" * (len(COLUMNS) - 2)]
    return "\n".join("  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, signs, widths, strict=True)) for line in cells)


def as_markdown(rows):
    """The rows as a table in Markdown."""
    lines = ["| " + " | ".join(title for _, _, title in COLUMNS) + " |",
             "|" + "|".join("---" if i < 2 else "--:" for i in range(len(COLUMNS))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(form.format(getattr(row, key)) for key, form, _ in COLUMNS) + " |"
                              for row in rows])


def as_json(rows):
    """The rows as numbers and text, without the images."""
    def plain(value):
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return [{k: plain(v) for k, v in vars(row).items() if k != "result"} for row in rows]


def predicted(model, x):
    """The classes that the model takes images for."""
    with evaluation_mode(model), minigrad.no_grad():
        return np.concatenate([model(minigrad.Tensor(x[i:i + 256])).data.argmax(1) for i in range(0, len(x), 256)])
