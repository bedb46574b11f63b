"""What every metric returns: a number per sample, how sure their mean is, and what maps of no merit score."""

from dataclasses import dataclass, field

import numpy as np


@dataclass(eq=False)
class Measurement:
    """A metric's value for every sample; behaves like the array `values` (``np.asarray(m)``, ``m[0]``).

    Attributes
    ----------
    values : ndarray of shape (N,)
        nan where the metric is undefined, such as a pointing game without anything to point at.
    metric : str
    better : 'higher' or 'lower'
    method : str
        What was judged.
    controls : dict of str to Measurement
        The same metric, with the same random draws, of maps that know nothing of the model.
    curve : (places, ndarray (N, len(places))) or None
        What the value was computed from, where that is a curve.
    settings : dict
    extra : dict
    """

    values: np.ndarray
    metric: str
    better: str
    method: str = ""
    controls: dict = field(default_factory=dict)
    curve: tuple | None = None
    settings: dict = field(default_factory=dict)
    extra: dict = field(default_factory=dict)

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index]

    @property
    def mean(self):
        """Of the samples for which the metric is defined; nan if there are none."""
        return _mean(self.values)

    def interval(self, level=0.95, *, resamples=2000, rng=None):
        """Where the mean would lie if other samples of the same kind had been taken: a percentile bootstrap.

        Parameters
        ----------
        level : float
        resamples : int
        rng : np.random.Generator, optional
            A fixed seed if left out, so that the same values have the same interval.

        Returns
        -------
        (low, high)
            nan for fewer than two samples: one says nothing of its spread.
        """
        if not 0 < level < 1:
            raise ValueError(f"interval: level is {level!r}, expected a number between 0 and 1, such as 0.95")
        known = self.values[~np.isnan(self.values)]
        if len(known) < 2:
            return np.nan, np.nan
        rng = np.random.default_rng(0) if rng is None else rng
        means = known[rng.integers(len(known), size=(resamples, len(known)))].mean(1)
        return tuple(np.quantile(means, ((1 - level) / 2, (1 + level) / 2)))

    def __repr__(self):
        low, high = self.interval()
        return (
            f"Measurement({self.metric} of {self.method}: {self.mean:.4g}, 95 % in [{low:.4g}, {high:.4g}], "
            f"{len(self)} samples, {self.better} is better)"
        )

    def __str__(self):
        rows = [(self.method or "map", self), *((f"({name})", m) for name, m in self.controls.items())]
        wide = max(len(name) for name, _ in rows)
        lines = [f"{self.metric} ({self.better} is better), mean of {len(self)} samples and its 95 % interval"]
        for name, m in rows:
            low, high = m.interval()
            lines.append(f"  {name:<{wide}}  {m.mean:>10.4g}  [{low:.4g}, {high:.4g}]")
        return "\n".join(lines)

    def plot(self, ax=None, **options):
        """Draw the mean curve beside those of the controls, as `explain.show.curves` does. Returns the axes."""
        from ..show import curves

        return curves(self, ax=ax, **options)


def _mean(values):
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
