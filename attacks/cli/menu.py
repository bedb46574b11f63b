"""The attacks by name, and one of them as a row of a table."""

import inspect
import sys
from dataclasses import dataclass, field

import numpy as np

import attacks
import minigrad
from minigrad.train import evaluation_mode

from ..evaluate import wilson
from ..result import AttackResult

BALL = ("fgsm", "bim", "pgd", "mi_fgsm", "apgd", "square")
MINIMAL = ("deepfool", "carlini_wagner", "ddn", "fmn", "ead", "jsma", "one_pixel", "boundary", "hop_skip_jump",
           "spatial")
NAMES = (*BALL, *MINIMAL)
BUDGETS = {"carlini_wagner": {"binary_search_steps": 5, "steps": 500, "initial_const": 1.0},
           "ead": {"steps": 100}, "boundary": {"steps": 2000}, "hop_skip_jump": {"steps": 16},
           "one_pixel": {"steps": 30}}  # what minutes allow, in place of the papers' hours


@dataclass
class Row:
    """One attack in one setting: what a table says of it.

    Attributes
    ----------
    attack, setting : str
    accuracy : float
        Of all images, the part that stays right.
    interval : (float, float)
        Wilson's interval of the accuracy, 95 %.
    rate : float
        Of those right from the start, the part turned.
    mean, median : dict of str to float
        ``l0 l1 l2 linf`` of those turned; NaN if there is none.
    queries, seconds : float
        Forward passes and seconds per image.
    result : AttackResult
    """

    attack: str
    setting: str
    accuracy: float
    interval: tuple
    rate: float
    mean: dict
    median: dict
    queries: float
    seconds: float
    result: AttackResult = field(repr=False)


def options(name, **wanted):
    """What an attack is called with: the budget it has here, and what is wanted of it and not None.

    Raises
    ------
    ValueError
        If the attack does not take it.
    """
    takes = inspect.signature(getattr(attacks, name)).parameters
    found = dict(BUDGETS.get(name, {}))
    for key, value in wanted.items():
        if value is None:
            continue
        key = "n_queries" if (name, key) == ("square", "steps") else key
        if key not in takes:
            raise ValueError(f"{name} takes no {key}; leave --{key} out, or attack with {name} alone")
        found[key] = value
    return found


def run(name, model, x, y, given, *, seed=0):
    """One attack by name with the options given, as a Row; a bar shows how far it is, on a terminal.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C: the numbers of half an attack are not that attack's.
    """
    attack = getattr(attacks, name)
    takes = inspect.signature(attack).parameters
    chance = {"rng": np.random.default_rng(seed)} if "rng" in takes else {}
    result = attack(model, x, y, **given, **chance, progress=sys.stderr.isatty())
    if result.extra.get("interrupted"):
        raise KeyboardInterrupt(f"stopped during {name}")
    turned = result.status == "success"
    far = {k: v[turned] if turned.any() else np.array([np.nan]) for k, v in result.distance.items()}
    stands = ~result.success
    return Row(name, ", ".join(_said(k, v) for k, v in given.items()), float(stands.mean()),
               wilson(stands.sum(), len(x)), result.rate(), {k: float(v.mean()) for k, v in far.items()},
               {k: float(np.median(v)) for k, v in far.items()}, float(result.queries.mean()),
               result.seconds / len(x), result)


def _said(key, value):
    key = {"binary_search_steps": "searches", "initial_const": "c", "n_queries": "queries"}.get(key, key)
    return f"{key} {value:g}" if isinstance(value, float) else f"{key} {value}"


def _length(value, digits):
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


COLUMNS = {
    "attack": lambda row: row.attack,
    "setting": lambda row: row.setting,
    "accuracy": lambda row: f"{row.accuracy:.1%}",
    "turned": lambda row: "-" if np.isnan(row.rate) else f"{row.rate:.1%}",
    "Linf": lambda row: _length(row.mean["linf"], 3),
    "L2": lambda row: _length(row.mean["l2"], 3),
    "L2 median": lambda row: _length(row.median["l2"], 3),
    "L1": lambda row: _length(row.mean["l1"], 1),
    "L0": lambda row: _length(row.mean["l0"], 0),
    "queries": lambda row: f"{row.queries:.0f}",
    "s/image": lambda row: f"{row.seconds:.3f}",
}
LEGEND = """\
accuracy: of all images, the part that stays right; turned: of those right from the start.
Distances: means, and one median, over the images turned. queries: forward passes per image."""


def as_text(rows):
    """The rows as lines of text."""
    cells = [list(COLUMNS), *([say(row) for say in COLUMNS.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    signs = ["<", "<", *">" * (len(COLUMNS) - 2)]
    return "\n".join("  ".join(f"{c:{s}{w}}" for c, s, w in zip(line, signs, widths, strict=True)) for line in cells)


def as_markdown(rows):
    """The rows as a table in Markdown."""
    lines = [list(COLUMNS), ["---"] * 2 + ["--:"] * (len(COLUMNS) - 2),
             *([say(row) for say in COLUMNS.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def as_json(rows, **about):
    """The rows as numbers and text, without the images, below what is said about all of them."""
    def plain(value):
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return None if isinstance(value, float) and not np.isfinite(value) else value

    return {**about, "rows": [{k: plain(v) for k, v in vars(row).items() if k != "result"} for row in rows]}


def predicted(model, x):
    """The classes that the model takes images for."""
    with evaluation_mode(model), minigrad.no_grad():
        return np.concatenate([model(minigrad.Tensor(x[i:i + 256])).data.argmax(1) for i in range(0, len(x), 256)])
