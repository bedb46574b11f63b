"""Many methods beside each other and the controls beneath: a table to read, and the numbers for everything else."""

import csv
import io
from dataclasses import dataclass
from functools import partial

import numpy as np

from .axioms import completeness, non_sensitivity
from .complexity import entropy, gini
from .controls import control_maps, drawn_seed
from .faithfulness import faithfulness_correlation, infidelity
from .removal import deletion, insertion, pixel_flipping, road

OF_MAPS = {
    "deletion": deletion,
    "insertion": insertion,
    "pixel_flipping": pixel_flipping,
    "road": road,
    "infidelity": partial(infidelity, normalize=True),  # methods have units of their own
    "faithfulness_correlation": faithfulness_correlation,
    "completeness": completeness,
    "non_sensitivity": non_sensitivity,
}
OF_VALUES = {f.__name__: f for f in (gini, entropy)}
USUAL = ("deletion", "insertion", "road", "infidelity", "faithfulness_correlation", "completeness", "gini", "entropy")
ARROWS = {"higher": "↑", "lower": "↓"}


@dataclass(eq=False)
class Table:
    """Measurements by method and metric: ``table["lrp", "deletion"]``; str() is the table as text.

    Attributes
    ----------
    cells : dict of (method, metric) to Measurement
    methods, metrics, controls : list of str
        `methods` includes the controls, which come last.
    """

    cells: dict
    methods: list
    metrics: list
    controls: list

    def __getitem__(self, key):
        return self.cells[key]

    def __str__(self):
        """Means, with the best method of each column marked by a star; half the width of the 95 % interval behind ±."""
        best = {metric: self._best(metric) for metric in self.metrics}
        rows = [["", *(f"{m.replace('_', ' ')} {ARROWS[self._better(m)]}  " for m in self.metrics)]]
        for method in self.methods:
            name = f"({method})" if method in self.controls else method
            rows.append([name, *(self._cell(method, m) + (" *" if method in best[m] else "  ") for m in self.metrics)])
        wide = [max(len(row[i]) for row in rows) + 1 for i in range(len(rows[0]))]
        lines = ["".join(cell.rjust(n) if i else cell.ljust(n) for i, (cell, n) in enumerate(zip(row, wide))).rstrip()
                 for row in rows]  # fmt: skip
        count = len(next(iter(self.cells.values())))
        spread = f"mean ± half its 95 % interval over {count} samples" if count > 1 else "1 sample"
        note = "↑ higher, ↓ lower is better, * best; (...) knows nothing of the model"
        return "\n".join([*lines, f"{spread}; {note}"])

    def as_csv(self):
        """One line per method, metric and sample count: method, metric, better, mean, low, high, values."""
        text = io.StringIO()
        out = csv.writer(text, lineterminator="\n")
        out.writerow(["method", "control", "metric", "better", "mean", "low", "high", "values"])
        for (method, metric), m in self.cells.items():
            values = " ".join(f"{v:.6g}" for v in m.values)
            out.writerow(
                [
                    method,
                    int(method in self.controls),
                    metric,
                    m.better,
                    *(f"{v:.6g}" for v in (m.mean, *m.interval())),
                    values,
                ]
            )
        return text.getvalue()

    def _better(self, metric):
        return next(m.better for (_, name), m in self.cells.items() if name == metric)

    def _best(self, metric):
        means = {method: self.cells[method, metric].mean for method in self.methods if method not in self.controls}
        means = {method: mean for method, mean in means.items() if not np.isnan(mean)}
        if not means:
            return ()
        best = (min if self._better(metric) == "lower" else max)(means.values())
        return tuple(method for method, mean in means.items() if np.isclose(mean, best, rtol=1e-9, atol=0))

    def _cell(self, method, metric):
        m = self.cells[method, metric]
        low, high = m.interval()
        return "-" if np.isnan(m.mean) else f"{m.mean:.3g}" + ("" if np.isnan(low) else f" ±{(high - low) / 2:.2g}")


def table(model, attributions, metrics=USUAL, *, controls=True, rng=None, **common):
    """Measure many maps of the same samples by many metrics, all with the same random draws.

    Parameters
    ----------
    model
    attributions : dict of str to Attribution, or sequence of Attribution
        Of the same x and target.
    metrics : sequence of str
        Names among deletion, insertion, pixel_flipping, road, infidelity, faithfulness_correlation, completeness,
        non_sensitivity, gini, entropy. The others ask for a method or a mask: call them one by one.
    controls : bool, or dict of str to array
    rng : np.random.Generator, optional
    **common
        As in `explain.scoring.Scoring`, for all metrics.

    Returns
    -------
    Table
    """
    named = dict(attributions) if isinstance(attributions, dict) else {a.method: a for a in attributions}
    known = {**OF_MAPS, **OF_VALUES}
    if unknown := [name for name in metrics if name not in known]:
        raise ValueError(f"table: there is no metric {unknown[0]!r} of maps, expected some of {', '.join(known)}")
    if not named or not metrics:
        raise ValueError(
            f"table: got {len(named)} attributions and {len(metrics)} metrics, expected at least one of each"
        )
    first, seed = next(iter(named.values())), drawn_seed(rng)
    for name, a in named.items():
        if not np.array_equal(a.x, first.x) or not np.array_equal(a.target, first.target):
            raise ValueError(
                f"table: {name} explains other samples or targets than {next(iter(named))}; compare like with like"
            )
    extra = controls if isinstance(controls, dict) else control_maps(first.x, seed) if controls else {}
    cells = {}
    for metric in metrics:
        head, options = ((model,), common) if metric in OF_MAPS else ((), {})
        for name, a in named.items():
            beside = extra if a is first else False  # the controls are measured once
            cells[name, metric] = known[metric](*head, a, controls=beside, rng=np.random.default_rng(seed), **options)
        for name, m in cells[next(iter(named)), metric].controls.items():
            cells[name, metric] = m
    return Table(cells, [*named, *extra], list(metrics), list(extra))
