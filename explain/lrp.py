"""Layer-wise relevance propagation: the score handed back layer by layer, every neuron paying out what it received.

The walk is that of the gradient; the rules are those of `explain.rules`, chosen by a `Composite`.
"""

import numpy as np

import minigrad

from .composite import BOXED, Composite, Line, preset
from .ledger import Book, Ledger
from .rules import EPSILON
from .scoring import Scoring


def lrp(model, x, target=None, *, epsilon=EPSILON, composite="epsilon", gamma=0.25, layer=None, ledger=False, **common):
    """How much of the score each pixel accounts for, when every neuron shares what it received as its inputs made it.

    R_i = sum_j (x_i w_ij / z_j) R_j from the score down to the pixels. Bach et al. 2015, Montavon et al. 2019.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. `bounds` are also those of the box rule.
    epsilon, gamma : float
        Of the presets' rules of that name; epsilon 0 is LRP-0, which on a network of ReLUs and max-pools equals input
        x gradient.
    composite : str, Composite or sequence of Line
        Which op gets which rule; the names are those of `explain.composite.preset`.
    layer : Module or str, optional
        A layer (or its path) whose units are to be given relevance in place of the pixels.
    ledger : bool
        Keep the accounts of every op in ``extra["ledger"]`` (see `explain.ledger`), and with them the tape.

    Returns
    -------
    Attribution
        `delta` is the sum of the values less the score: minus what biases and stabilizers took. With the ledger's
        sinks it is zero but for rounding (``extra["ledger"].residual``).

    Raises
    ------
    ValueError
        For an op that the composite has no rule for.
    """
    for name, value in (("epsilon", epsilon), ("gamma", gamma)):
        if not 0 <= value < np.inf:
            raise ValueError(f"lrp: {name} is {value!r}, expected a number of at least 0")
    bounds = common.get("bounds", (0, 1))
    if bounds is None and isinstance(composite, str) and composite in BOXED:
        raise ValueError(f"lrp: the first layer's rule of composite {composite!r} needs the range of x, and bounds is "
                         "None; give bounds=(lowest, highest)")  # fmt: skip
    low, high = bounds or (0, 1)
    chosen = _composite(composite, epsilon=epsilon, gamma=gamma, low=low, high=high)
    with Scoring("lrp", model, x, target, **common) as run:
        values, scores, books = propagate(run, chosen, lambda scores: scores, layer, ledger)
        settings = {"composite": chosen.name, "epsilon": epsilon, "gamma": gamma}
        return run.attribution(
            values,
            delta=values.reshape(len(values), -1).sum(1) - scores,
            settings=settings,
            extra={"ledger": Ledger.of(books)} if ledger else {},
        )


def propagate(run, composite, amount, layer=None, ledger=False):
    """Walk the tapes of all samples of a `Scoring` with the rules of a composite.

    Parameters
    ----------
    run : Scoring
    composite : Composite
    amount : callable
        ``amount(scores)``: what is handed out, given the targets' scores (N,).
    layer : Module or str, optional
        Where to stop, in place of the input.
    ledger : bool
        Keep books.

    Returns
    -------
    values, scores, books : ndarray of the shape of x or the layer, ndarray (N,), list of Book
    """
    values, found, books = [], [], []
    for part in run.batches(len(run.x)):
        leaf, scores, end = recorded(run, run.x[part], layer, part)
        rules = composite.bind(scores, leaf, run.method)
        rows, target = np.arange(len(scores)), run.targets(part)
        found.append(scores.data[rows, target])
        seed = np.zeros(scores.shape, scores.dtype)
        seed[rows, target] = amount(found[-1])
        book = Book(rules, end, scores) if ledger else None
        values.append(minigrad.grad(scores, end, seed, rules=book or rules).data)
        run.backwards += len(scores)
        if ledger:
            book.close(seed, values[-1])
            books.append(book)
    return np.concatenate(values), np.concatenate(found), books


def recorded(run, x, layer=None, part=None):
    """A tape of the samples x: (leaf, scores, end), where `end` is the layer's output, or the leaf if layer is None."""
    if layer is not None:
        return run.record_layer(x, layer, part)
    leaf, scores = run.record(x, part)
    return leaf, scores, leaf


def _composite(composite, **options):
    if isinstance(composite, str):
        return preset(composite, **options)
    if isinstance(composite, Composite):
        return composite
    if isinstance(composite, (list, tuple)) and all(isinstance(line, Line) for line in composite):
        return Composite(*composite)
    raise TypeError(f"lrp: composite is {type(composite).__name__}, expected a name, a Composite or a sequence of Line")
