"""What every method returns: the numbers, and what one must know to judge them."""
from dataclasses import dataclass, field, replace

import numpy as np

SHARED = ("permutations",)  # entries of `extra` that hold no row for each sample


@dataclass(eq=False)
class Attribution:
    """A share of the score for every input value; behaves like the array `values` (``np.asarray(a)``, ``a[0]``).

    Attributes
    ----------
    values : ndarray
        Of x's shape (N, C, H, W), or of the layer's.
    method : str
    target : ndarray of int, shape (N,)
        The class explained, per sample.
    x : ndarray
        What was explained.
    baseline : ndarray or None
        What the method compared x with, where it does: one row per sample, or a `pool` of rows for all of them.
    delta : ndarray of shape (N,), or None
        Completeness residual, per sample, where the method promises that the values add up: the sum of the values less
        the score it should be. Zero is exact.
    settings : dict
        The options the method ran with.
    forwards, backwards : int
        Samples sent through the model, and back.
    seconds : float
    pool : bool
        Whether every sample was compared with each row of `baseline`, as in `gradient_shap`.
    extra : dict
        What a method gives beyond this, such as standard errors or a ledger.
    """

    values: np.ndarray
    method: str
    target: np.ndarray
    x: np.ndarray
    baseline: np.ndarray | None = None
    delta: np.ndarray | None = None
    settings: dict = field(default_factory=dict)
    forwards: int = 0
    backwards: int = 0
    seconds: float = 0.0
    pool: bool = False
    extra: dict = field(default_factory=dict)

    shape = property(lambda self: self.values.shape, doc="Of `values`.")
    dtype = property(lambda self: self.values.dtype, doc="Of `values`.")
    ndim = property(lambda self: self.values.ndim, doc="Of `values`.")

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values, dtype=dtype, copy=copy)

    def __len__(self):
        return len(self.values)

    def __getitem__(self, index):
        return self.values[index]

    def __repr__(self):
        delta = "" if self.delta is None else f", delta up to {np.abs(self.delta).max(initial=0):.1e}"
        return (f"Attribution({self.method}, {self.values.shape} {self.values.dtype}, target "
                f"{self.target.tolist()}{delta}, "
                f"{self.forwards} forwards, {self.backwards} backwards, {self.seconds:.2f} s)")

    def sample(self, index):
        """The Attribution of one sample, or of several (a slice or a list)."""
        if isinstance(index, (int, np.integer)):
            if not -len(self) <= index < len(self):
                raise IndexError(f"sample: there is no sample {index}, there are {len(self)}")
            index = slice(index, index + 1 or None)
        per_sample = ("values", "target", "x", "delta", *["baseline"] * (not self.pool))
        parts = {name: getattr(self, name) for name in per_sample}
        of_samples = {k: v for k, v in self.extra.items()
                      if k not in SHARED and isinstance(v, np.ndarray) and v.shape[:1] == (len(self),)}
        extra = self.extra | {name: array[index] for name, array in of_samples.items()}
        parts = {name: None if array is None else array[index] for name, array in parts.items()}
        return replace(self, extra=extra, **parts)

    def channels(self):
        """The values summed over channels: (N, H, W)."""
        return self.values.sum(axis=1)

    def compare(self, other):
        """How alike two attributions are, per sample: rank correlation, cosine and the overlap of the top tenth.

        Returns
        -------
        dict of str to ndarray of shape (N,)
            ``spearman`` and ``cosine`` in [-1, 1], ``top_tenth`` in [0, 1]: of the tenth of the values that are largest
            in magnitude in one map, the part that is so in the other. A constant map has no ranks: nan.
        """
        from scipy.stats import rankdata

        if self.values.shape != np.shape(other):
            raise ValueError(f"compare: the attributions have shapes {self.values.shape} and {np.shape(other)}, "
                             "expected equal ones")
        ours, theirs = (np.asarray(a, np.float64).reshape(len(self), -1) for a in (self.values, other))

        def correlation(a, b):
            norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            return np.divide((a * b).sum(1), norms, out=np.full(len(a), np.nan), where=norms > 0)

        ranks = [rankdata(a, axis=1) - (a.shape[1] + 1) / 2 for a in (ours, theirs)]
        count = max(1, ours.shape[1] // 10)
        tops = [np.argsort(-np.abs(a), axis=1, kind="stable")[:, :count] for a in (ours, theirs)]
        overlap = np.array([len(np.intersect1d(a, b)) / count for a, b in zip(*tops)])
        return {"spearman": correlation(*ranks), "cosine": correlation(ours, theirs), "top_tenth": overlap}

    def plot(self, ax=None, index=0, **options):
        """Draw one sample's map; options as in `explain.show.heat_map`. Returns the axes."""
        from .show import heat_map

        return heat_map(self.values[index], ax=ax, title=f"{self.method}, class {self.target[index]}", **options)
