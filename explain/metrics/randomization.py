"""Sanity checks: a map that explains the model must change when the model does, or when another class is asked about.

Adebayo et al. 2018 randomised a network's weights layer by layer, from the output down, and found that the maps of
guided backpropagation hardly changed: they show the picture's edges, not what the network learned.
"""

import copy

import numpy as np

import minigrad

from ..attribution import Attribution
from ..scoring import Scoring
from .controls import drawn_seed, judged
from .robustness import as_methods, method_name

ORDERS = ("top_down", "bottom_up", "independent")


def mprt(method, model, x, target=None, *, order="top_down", absolute=True, controls=True, rng=None, **options):
    """How like itself a map stays while the model's layers lose what they learned. Adebayo et al. 2018.

    One layer after the other has its weights shuffled, each parameter within itself, in a copy of the model; the
    likeness is Spearman's rank correlation of the new map with the original one.

    Parameters
    ----------
    method : callable
        Any method of this package: ``method(model, x, target, **options)``. Where it draws random numbers, let it draw
        the same in every call (see `sensitivity_max`).
    model : Module
        It is not changed.
    x, target
        As in `explain.scoring.Scoring`; the target is that of the model as it is.
    order : 'top_down', 'bottom_up' or 'independent'
        From the output on, from the input on, or each layer alone, the others as they were.
    absolute : bool
        Compare magnitudes; a randomised weight may turn the sign of everything.
    controls : bool, or dict of str to callable
        The edges never change, which is what a map of no use to the model looks like here.
    rng : np.random.Generator, optional
        For the shuffling.
    **options
        Of `method`.

    Returns
    -------
    Measurement
        The mean likeness over the layers, in [-1, 1]; lower is better. `curve` has the layers' paths in the order of
        shuffling and the likeness after each (N, layers); ``extra["maps"]`` (layers + 1, N, ...) the maps, the original
        first. `explain.show.cascade` draws both. Maps that are multiplied with the input are zero where it is, before
        and after, which alone makes their ranks alike on pictures with an empty background.
    """
    if order not in ORDERS:
        raise ValueError(f"mprt: order is {order!r}, expected one of {', '.join(ORDERS)}")
    bounds = options.pop("bounds", (0, 1))
    with Scoring("mprt", model, x, target, bounds=bounds) as run:
        x, target = run.x, run.target
        layers = layers_with_parameters(model, x[:1])
    layers = layers[::-1] if order == "top_down" else layers
    seed = drawn_seed(rng)

    def explained(explainer, model):
        found = explainer(model, x, target, bounds=bounds, **(options if explainer is method else {}))
        return np.asarray(found, np.float64)

    def cascade(explainer):
        original = explained(explainer, model)
        maps, likeness = [original], []
        for changed in _randomised(model, layers, order, seed):
            maps.append(explained(explainer, changed))
            likeness.append(similarity(original, maps[-1], target, x, absolute))
        likeness = np.stack(likeness, 1)
        known = ~np.isnan(likeness)  # a map that has become constant has no ranks
        mean = np.divide(
            np.where(known, likeness, 0).sum(1), known.sum(1), out=np.full(len(x), np.nan), where=known.any(1)
        )
        return {"values": mean, "curve": (layers, likeness), "extra": {"maps": np.stack(maps), "x": x}}

    return judged(
        "mprt",
        method_name(method),
        method,
        cascade,
        "lower",
        as_methods(controls, seed),
        settings={"order": order, "absolute": absolute},
    )


def random_logit(method, model, x, target=None, *, other=None, absolute=True, controls=True, rng=None, **options):
    """How like the map for the class that of another class is. Sixt et al. 2020.

    Parameters
    ----------
    method, model, x, target, absolute, controls, **options
        As in `mprt`.
    other : int or integer array (N,), optional
        The other class; a random one if left out.
    rng : np.random.Generator, optional

    Returns
    -------
    Measurement
        Spearman's rank correlation of the two maps, in [-1, 1]; lower is better.
    """
    bounds = options.pop("bounds", (0, 1))
    with Scoring("random_logit", model, x, target, bounds=bounds) as run:
        x, target, classes = run.x, run.target, run.logits.shape[1]
    seed = drawn_seed(rng)
    if classes < 2:
        raise ValueError("random_logit: the model has 1 class, expected at least 2: there is no other to ask about")
    if other is None:
        other = (target + 1 + np.random.default_rng(seed).integers(classes - 1)) % classes

    def likeness(explainer):
        maps = [
            np.asarray(explainer(model, x, t, bounds=bounds, **(options if explainer is method else {})), np.float64)
            for t in (target, other)
        ]
        return similarity(*maps, target, x, absolute)

    return judged(
        "random_logit",
        method_name(method),
        method,
        likeness,
        "lower",
        as_methods(controls, seed),
        settings={"absolute": absolute},
        extra={"other": np.broadcast_to(other, target.shape)},
    )


def layers_with_parameters(model, x):
    """The paths of the modules that have parameters of their own, in the order in which they run on x."""
    if not isinstance(model, minigrad.nn.Module):
        raise TypeError(
            f"mprt: model is {type(model).__name__}, expected a Module: a plain function has no weights to randomise"
        )
    with minigrad.no_grad():
        ran = list(model.named_activations(minigrad.Tensor(x))[1])
    own = list(dict.fromkeys(path.rpartition(".")[0] for path, _ in model.named_parameters()))
    if not own:
        raise ValueError("mprt: the model has no parameters, so there is nothing to randomise")
    return sorted(own, key=lambda path: ran.index(path) if path in ran else -1)


def similarity(a, b, target, x, absolute):
    """Spearman's rank correlation of two maps, per sample; nan where one of them is constant."""
    maps = [np.abs(m) if absolute else m for m in (a, b)]
    return Attribution(maps[0], "", target, x).compare(maps[1])["spearman"]


def _randomised(model, layers, order, seed):
    """Copies of the model in which one layer after the other is shuffled."""
    changed = copy.deepcopy(model)
    for path in layers:
        if order == "independent":
            changed = copy.deepcopy(model)
        for k, (name, parameter) in enumerate(changed.named_parameters()):
            if name.rpartition(".")[0] == path:
                values = np.random.default_rng([seed, k]).permutation(parameter.data.ravel())
                parameter.data[...] = values.reshape(parameter.shape)
                parameter.bump()
        yield changed
