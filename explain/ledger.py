"""The conservation ledger: per op, where relevance came from and where it went.

Relevance is neither made nor destroyed silently. What arrived at an op's output goes to its inputs or into a sink:

    bias       the part of the sum that no input made: a bias, the shift of a batch norm, an added constant
    epsilon    the stabilizer in the denominator
    clamp      what had no taker: under z+, say, a neuron that received nothing positive

For every sample, score = relevance of the input + all sinks; `Ledger.residual` is what that leaves unexplained
(rounding).

    ledger = explain.lrp(model, x, ledger=True).extra["ledger"]
    print(ledger)                  the table, mean over samples
    ledger.draw(index=3)           the tape with the flows of one sample
"""

from dataclasses import dataclass, field

import numpy as np

import minigrad

SINKS = ("bias", "epsilon", "clamp")


@dataclass
class Row:
    """One op: what arrived and what left, each of shape (N,).

    Attributes
    ----------
    op, path, rule : str
        The op, the module it ran in, and its rule.
    arrived : ndarray
        Relevance of the op's output.
    inputs : list of ndarray
        What each input got that depends on x: two for a skip connection.
    sinks : dict of str to ndarray
        ``bias``, ``epsilon`` and ``clamp``.
    """

    op: str
    path: str
    rule: str
    arrived: np.ndarray
    inputs: list
    sinks: dict

    @property
    def unexplained(self):
        """What arrived and is in none of the accounts."""
        return self.arrived - sum(self.inputs) - sum(self.sinks.values())


@dataclass
class Ledger:
    """The accounts of all ops of a model, from the output to the input.

    Attributes
    ----------
    score, given : ndarray of shape (N,)
        What was to be distributed, and what the input got.
    rows : list of Row
    """

    score: np.ndarray
    given: np.ndarray
    rows: list
    books: list = field(default_factory=list, repr=False)

    @property
    def sinks(self):
        """{sink: what all ops together put there, per sample}."""
        return {sink: sum(row.sinks[sink] for row in self.rows) for sink in SINKS}

    @property
    def residual(self):
        """Relevance of the input plus sinks less the score, per sample: zero but for rounding."""
        return self.given + sum(self.sinks.values()) - self.score

    def table(self, index=None):
        """The accounts as text, of one sample or (None) the mean of all."""

        def number(values):
            return f"{np.mean(values) if index is None else values[index]:>11.4g}"

        wide = max([len(row.path) for row in self.rows] + [6]), max([len(row.rule) for row in self.rows] + [4])
        head = f"{'op':<18} {'module':<{wide[0]}} {'rule':<{wide[1]}} " + " ".join(
            f"{c:>11}" for c in ("arrived", "to inputs", *SINKS)
        )
        lines = [
            f"{row.op:<18} {row.path:<{wide[0]}} {row.rule:<{wide[1]}} "
            + " ".join(map(number, (row.arrived, sum(row.inputs), *row.sinks.values())))
            for row in self.rows
        ]
        total = f"{'all':<18} {'':<{wide[0]}} {'':<{wide[1]}} " + " ".join(
            map(number, (self.score, self.given, *self.sinks.values()))
        )
        return "\n".join([head, *lines, total])

    __str__ = table

    def label(self, index=0):
        """The `label` of `minigrad.draw`: what arrived at a tensor, of one sample, and what its op did not pass on."""
        book, place = self._book(index)

        def label(t):
            if t is book.leaf:
                return f"R {self.given[index]:.4g}"
            row = book.rows.get(t)
            sinks = (
                {}
                if row is None
                else {sink: v[place] for sink, v in row.sinks.items() if abs(v[place]) > 5e-7 * abs(self.score[index])}
            )
            return (
                None
                if row is None
                else "\n".join([f"R {row.arrived[place]:.4g}", *(f"{sink} {v:.4g}" for sink, v in sinks.items())])
            )

        return label

    def draw(self, index=0, **options):
        """The tape with the relevance and the sinks of one sample in each box; options as in `minigrad.draw`."""
        book, _ = self._book(index)
        return minigrad.draw(book.scores, rules=book.rules, label=self.label(index), **options)

    def _book(self, index):
        index = range(len(self.score))[index]
        for book in self.books:
            if index < book.count:
                return book, index
            index -= book.count
        raise IndexError(index)

    @classmethod
    def of(cls, books):
        """The ledger of several batches of one model."""
        joined = np.concatenate
        rows = [
            Row(
                same[0].op,
                same[0].path,
                same[0].rule,
                joined([row.arrived for row in same]),
                [joined(parts) for parts in zip(*(row.inputs for row in same))],
                {sink: joined([row.sinks[sink] for row in same]) for sink in SINKS},
            )
            for same in zip(*(book.rows.values() for book in books))
        ]
        return cls(joined([book.score for book in books]), joined([book.given for book in books]), rows, books)


class Book:
    """The accounts of one walk over one tape. It is itself the `rules` of `minigrad.grad`: the same rules, watched.

    Parameters
    ----------
    rules : Binding
        Of a composite.
    leaf, scores : Tensor
        Between which the tape runs.
    """

    def __init__(self, rules, leaf, scores):
        self.rules, self.leaf, self.scores, self.count = rules, leaf, scores, len(leaf.data)
        self.rows = {}

    def __call__(self, t):
        rule = self.rules(t)
        places = self.rules.trail.operands(t)

        def watched(op, r, y, *xs):
            sinks = rule.sinks(op, r, y, *xs, places=places) if hasattr(rule, "sinks") else {}
            row = Row(
                type(op).__name__,
                t.scope,
                rule.__qualname__,
                self.per_sample(r.data),
                [],
                {sink: self.per_sample(np.broadcast_to(sinks.get(sink, 0), y.shape)) for sink in SINKS},
            )
            self.rows[t] = row

            def counted(pull):
                pulled = pull()
                row.inputs.append(self.per_sample(pulled.data))
                return pulled

            return tuple(pull and (lambda pull=pull: counted(pull)) for pull in rule(op, r, y, *xs))

        watched.__qualname__ = rule.__qualname__
        return watched

    def close(self, seed, relevance):
        """Enter the two ends: what the walk began with, and what it left at the leaf."""
        self.score, self.given = self.per_sample(seed), self.per_sample(relevance)

    def per_sample(self, array):
        """Sums over all but the samples (N,)."""
        return np.asarray(array).reshape(self.count, -1).sum(1)
