"""Layer-wise relevance propagation: the score handed back layer by layer, every neuron paying out what it received.

The walk is that of the gradient; the rules are those of `explain.rules`, chosen by a `Composite`.
"""
import numpy as np

import minigrad

from .composite import Composite, Line, preset
from .ledger import Book, Ledger
from .rules import EPSILON
from .scoring import Scoring


def lrp(model, x, target=None, *, epsilon=EPSILON, composite="epsilon", gamma=0.25, ledger=False, **common):
    """How much of the score each pixel accounts for, when every neuron shares what it received as its inputs made it.

    R_i = sum_j (x_i w_ij / z_j) R_j from the score down to the pixels. Bach et al. 2015, Montavon et al. 2019.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`. `bounds` are also those of the box rule.
    epsilon, gamma : float
        Of the presets' rules of that name; epsilon 0 is LRP-0, which on a network of ReLUs and max-pools equals input x gradient.
    composite : str, Composite or sequence of Line
        Which op gets which rule; the names are those of `explain.composite.preset`.
    ledger : bool
        Keep the accounts of every op in ``extra["ledger"]`` (see `explain.ledger`), and with them the tape.

    Returns
    -------
    Attribution
        `delta` is the sum of the values less the score: minus what biases and stabilizers took. With the ledger's sinks it is
        zero but for rounding (``extra["ledger"].residual``).

    Raises
    ------
    ValueError
        For an op that the composite has no rule for.
    """
    low, high = common.get("bounds", (0, 1)) or (0, 1)
    chosen = _composite(composite, epsilon=epsilon, gamma=gamma, low=low, high=high)
    with Scoring("lrp", model, x, target, **common) as run:
        values, scores, books = propagate(run, chosen, lambda scores: scores, ledger)
        settings = {"composite": chosen.name, "epsilon": epsilon, "gamma": gamma}
        return run.attribution(values, delta=values.reshape(len(values), -1).sum(1) - scores, settings=settings,
                               extra={"ledger": Ledger.of(books)} if ledger else {})


def propagate(run, composite, amount, ledger=False):
    """Walk the tapes of all samples of a `Scoring` with the rules of a composite.

    Parameters
    ----------
    run : Scoring
    composite : Composite
    amount : callable
        ``amount(scores)``: what is handed out, given the targets' scores (N,).
    ledger : bool
        Keep books.

    Returns
    -------
    values, scores, books : ndarray of x's shape, ndarray (N,), list of Book
    """
    values, found, books = np.empty_like(run.x), np.empty(len(run.x), run.x.dtype), []
    for part in run.batches(len(run.x)):
        leaf, scores = run.record(run.x[part], part)
        rules = composite.bind(scores, leaf, run.method)
        rows, target = np.arange(len(scores)), run.targets(part)
        found[part] = scores.data[rows, target]
        seed = np.zeros(scores.shape, scores.dtype)
        seed[rows, target] = amount(found[part])
        book = Book(rules, leaf, scores) if ledger else None
        values[part] = minigrad.grad(scores, leaf, seed, rules=book or rules).data
        run.backwards += len(scores)
        if ledger:
            book.close(seed, values[part])
            books.append(book)
    return values, found, books


def _composite(composite, **options):
    if isinstance(composite, str):
        return preset(composite, **options)
    if isinstance(composite, Composite):
        return composite
    if isinstance(composite, (list, tuple)) and all(isinstance(line, Line) for line in composite):
        return Composite(*composite)
    raise TypeError(f"lrp: composite is {type(composite).__name__}, expected a name, a Composite or a sequence of Line")
