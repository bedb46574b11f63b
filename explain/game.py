"""An input as a game: its features are players, a coalition is present, the rest gone, and wins the score.

Removing a feature means writing the baseline's values in its place. Every method that explains by removal asks for
the worth v(S) of many coalitions S, a table (S, M) of booleans; here they are turned into inputs and sent through the
model in batches. Coalitions are drawn once and shared by all samples with as many features, so a sample's numbers
depend neither on its neighbours nor on the batches.
"""

import numpy as np

from .inputs import as_baseline, as_generator
from .masks import as_feature_mask
from .scoring import Scoring


class Game:
    """The features of every sample of `run`, a `Scoring`, with what stands for their absence.

    Attributes
    ----------
    mask : ndarray (1 or N, ...)
        The feature of every value; see `explain.masks`.
    features : ndarray of shape (N,)
        M, the number of features, per sample.
    """

    def __init__(self, run, baselines, feature_mask, default, progress):
        self.run, self.progress = run, progress
        self.baseline = as_baseline(run, baselines)
        self.mask, self.features = as_feature_mask(run.method, feature_mask, run.x, default)

    def sizes(self):
        """The distinct numbers of features M, each with the samples that have so many."""
        for m in np.unique(self.features).tolist():
            yield m, np.flatnonzero(self.features == m)

    def inputs(self, samples, present):
        """The samples with only the features of `present` (len(samples), M) in them."""
        if len(self.mask) == 1:
            inside = present[:, self.mask[0]]
        else:
            mask = self.mask[samples]
            inside = np.take_along_axis(present, mask.reshape(len(mask), -1), 1).reshape(mask.shape)
        return np.where(inside, self.run.x[samples], self.baseline[samples])

    def worth(self, samples, table):
        """v(S) for every sample and every row of `table` (S, M): a float64 array (len(samples), S).

        The table may be anything that has a length and gives rows for an array of indices.
        """
        found = np.empty((len(samples), len(table)))
        flat = found.reshape(-1)
        for part in steps(self.run.batches(flat.size), self.progress, self.run.method):
            which, coalition = np.divmod(np.arange(part.start, part.stop), len(table))
            rows = samples[which]
            flat[part] = self.run.scores(self.inputs(rows, table[coalition]), self.run.target[rows])
        return found

    def played(self, shares, ends=None, **fields):
        """The result, given each sample's shares of its features as a list of arrays (M,).

        Every value gets the whole share of its feature, as in Captum. ``ends`` (N, 2), the worth of nothing and of
        all, gives the completeness residual, which is about the sums of the shares.
        """
        run, values = self.run, np.empty_like(self.run.x)
        table = np.full((len(shares), self.features.max()), np.nan)
        for i, share in enumerate(shares):
            values[i] = share[self.mask[i % len(self.mask)]]
            table[i, : len(share)] = share
        delta = None if ends is None else np.nansum(table, 1) - (ends[:, 1] - ends[:, 0])
        extra = {"feature_values": table, "feature_mask": self.mask, **fields.pop("extra", {})}
        return run.attribution(values, baseline=self.baseline, delta=delta, extra=extra, **fields)


class Streams:
    """Random numbers that every sample sees alike: one stream for each number of features."""

    def __init__(self, method, rng):
        self.seed = int(as_generator(method, rng).integers(2**63))

    def stream(self, features):
        """A new generator, the same for the same number of features."""
        return np.random.default_rng([self.seed, features])


class AllBut:
    """The table of M coalitions that each lack one feature, made row by row: M may be the number of pixels."""

    def __init__(self, features):
        self.features = features

    def __len__(self):
        return self.features

    def __getitem__(self, rows):
        return np.arange(self.features) != np.reshape(rows, (-1, 1))


def playing(method, model, x, target, perturbations_per_eval, common):
    """The Scoring of a perturbation method; perturbations_per_eval counts the copies of all samples in a batch."""
    if perturbations_per_eval is not None:
        if not isinstance(perturbations_per_eval, (int, np.integer)) or perturbations_per_eval < 1:
            raise ValueError(
                f"{method}: perturbations_per_eval is {perturbations_per_eval!r}, expected an integer of at least 1"
            )
        if common.get("batch_size") is not None:
            raise ValueError(
                f"{method}: got batch_size and perturbations_per_eval, expected one of them: the latter is "
                "counted in "
                "copies of all samples"
            )
        common = {**common, "batch_size": perturbations_per_eval * len(x)}
    return Scoring(method, model, x, target, **common)


def checked_count(method, name, value, least, why):
    """An option that counts something, at least `least`; `why` completes the error."""
    if not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"{method}: {name} is {value!r}, expected an integer of at least {least}: {why}")
    return int(value)


def checked_table(method, name, table, features):
    """Coalitions (S, M) that the caller gave, as booleans."""
    table = np.asarray(table)
    if table.ndim != 2 or table.shape[1] != features or not len(table) or not np.isin(table, (0, 1)).all():
        raise ValueError(
            f"{method}: {name} has shape {table.shape}, expected (S, {features}) of 0 and 1 for {features} features"
        )
    return table.astype(bool)


def steps(parts, show, label):
    """Iterate, with a bar where it is wanted."""
    if not show:
        yield from parts
        return
    from tqdm import tqdm

    with tqdm(parts, desc=label, leave=False, dynamic_ncols=True) as bar:
        yield from bar
