"""What the input contributes to one unit inside the network, and through it to the score.

A neuron is chosen by `layer` and `neuron`: an integer or a tuple of integers and slices indexes the layer's output
without its batch axis, such as ``(channel, row, column)``, and where that leaves several units their sum is meant; a
callable takes the layer's output, a Tensor (N, ...), and returns a Tensor of shape (N,), a unit of one's own making.
"""

import numpy as np

import minigrad

from .gradient import select_relu
from .inputs import as_baseline
from .layers import settings
from .path import Path, own_score, scoring
from .rules import guided_relu
from .scoring import Scoring, layer_path


def neuron_gradient(model, x, target=None, *, layer, neuron, **common):
    """How each pixel moves one unit: the gradient of its activation.

    Parameters
    ----------
    model, x, **common
        As in `explain.scoring.Scoring`.
    target
        Plays no part here, for the unit takes the place of the class; it is noted in the result.
    layer : Module or str
    neuron : int, tuple or callable
        See the head of this module.

    Returns
    -------
    Attribution
        Values of x's shape.
    """
    return _pulled("neuron_gradient", None, model, x, target, layer, neuron, common)


def neuron_guided_backprop(model, x, target=None, *, layer, neuron, **common):
    """`guided_backprop` from a unit instead of a class: what a filter saw here. Parameters as in `neuron_gradient`."""
    return _pulled("neuron_guided_backprop", select_relu(guided_relu), model, x, target, layer, neuron, common)


def neuron_integrated_gradients(
    model,
    x,
    target=None,
    *,
    layer,
    neuron,
    baselines=0,
    n_steps=50,
    method="gausslegendre",
    multiply_by_inputs=True,
    internal_batch_size=None,
    compat=None,
    **common,
):
    """Integrated gradients of a unit's activation.

    Parameters
    ----------
    model, x, target, layer, neuron, **common
        As in `neuron_gradient`.
    baselines, n_steps, method, multiply_by_inputs, internal_batch_size, compat
        As in `explain.integrated_gradients`.

    Returns
    -------
    Attribution
        Values of x's shape. Complete: `delta` is their sum less the change of the unit from the baseline to x.
    """
    with scoring("neuron_integrated_gradients", model, x, target, internal_batch_size, common) as run:
        baseline = as_baseline(run, baselines)

        def record(rows, points):
            leaf, _, activation = run.record_layer(points, layer)
            return leaf, chosen_unit(run, activation, neuron)

        def gradient(rows, points):
            leaf, unit = record(rows, points)
            return _gradient(run, unit, leaf)

        path = Path(baseline, run.x).place(run, record, method, n_steps, compat)
        values, delta = path.integrate(run, gradient), None
        if multiply_by_inputs:
            values = values * path.direction
            at_x, at_baseline = (
                np.concatenate([record(None, a[part])[1].data for part in run.batches(len(a))])
                for a in (run.x, baseline)
            )
            delta = values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64) - (at_x - at_baseline)
        return run.attribution(
            values, baseline=baseline, delta=delta, settings=settings(run, layer, method, n_steps, compat)
        )


def neuron_conductance(
    model,
    x,
    target=None,
    *,
    layer,
    neuron,
    baselines=0,
    n_steps=50,
    method="gausslegendre",
    multiply_by_inputs=True,
    internal_batch_size=None,
    compat=None,
    **common,
):
    """The part of integrated gradients that flows from each pixel through one unit. Dhamdhere et al. 2019.

        attribution_i = (x_i - x'_i) * integral over t of dF/dy * dy/dx_i,   y = the unit at x' + t (x - x')

    Its sum over pixels is the unit's `layer_conductance` with the same rule, and its sum over a layer's units is
    integrated gradients. For several units it is the sum of the parts that flow through each (Captum multiplies the sum
    of dF/dy with the sum of dy/dx, which mixes them up).

    Parameters
    ----------
    model, x, target, layer, neuron, **common
        As in `neuron_gradient`; the target is the class F whose score is divided up.
    baselines, n_steps, method, multiply_by_inputs, internal_batch_size, compat
        As in `explain.integrated_gradients`. Captum's default is its own trapezoid:
        ``method='riemann_trapezoid', compat='captum'``.

    Returns
    -------
    Attribution
        Values of x's shape.
    """
    with scoring("neuron_conductance", model, x, target, internal_batch_size, common) as run:
        baseline = as_baseline(run, baselines)
        path = Path(baseline, run.x).place(run, own_score(run), method, n_steps, compat)

        def through(rows, points):
            leaf, scores, activation = run.record_layer(points, layer)
            g = run.pull(scores, activation, run.target[rows])
            run.backwards += len(rows)
            return minigrad.grad(activation, leaf, g * _choice(run, activation, neuron)).data

        values = path.integrate(run, through)
        return run.attribution(
            values * path.direction if multiply_by_inputs else values,
            baseline=baseline,
            settings=settings(run, layer, method, n_steps, compat),
        )


def _pulled(method, rules, model, x, target, layer, neuron, common):
    with Scoring(method, model, x, target, **common) as run:
        found = np.empty(run.x.shape, run.x.dtype)
        for part in run.batches(len(run.x)):
            leaf, _, activation = run.record_layer(run.x[part], layer, part)
            found[part] = _gradient(run, chosen_unit(run, activation, neuron), leaf, rules)
        return run.attribution(found, settings={"layer": layer_path(method, model, layer)})


def _gradient(run, unit, leaf, rules=None):
    run.backwards += len(leaf)
    return minigrad.grad(unit, leaf, rules=rules).data


def chosen_unit(run, activation, neuron):
    """The unit's activation, a Tensor (N,) on the tape."""
    if callable(neuron):
        unit = neuron(activation)
        if not isinstance(unit, minigrad.Tensor) or unit.shape != activation.shape[:1]:
            came = unit.shape if isinstance(unit, minigrad.Tensor) else type(unit).__name__
            raise ValueError(
                f"{run.method}: neuron returned {came} for the layer's output {activation.shape}, expected a Tensor "
                f"of shape {activation.shape[:1]}, one value per sample"
            )
        return unit
    index = neuron if isinstance(neuron, tuple) else (neuron,)
    for i in index:
        if not isinstance(i, (int, np.integer, slice)) or isinstance(i, bool):
            raise TypeError(
                f"{run.method}: neuron is {neuron!r}, expected an integer, a tuple of integers and slices, "
                "or a callable"
            )
    shape = activation.shape[1:]
    fits = len(index) <= len(shape) and all(
        isinstance(i, slice) or -n <= i < n for i, n in zip(index, shape, strict=False)
    )
    if not fits:
        raise ValueError(
            f"{run.method}: neuron {neuron!r} is outside of the layer's output, "
            f"whose shape without the batch is {shape}"
        )
    unit = activation[(slice(None), *index)]
    if not unit.size:
        raise ValueError(f"{run.method}: neuron {neuron!r} chooses no unit of the layer's output {shape}")
    return unit.sum(tuple(range(1, unit.ndim))) if unit.ndim > 1 else unit


def _choice(run, activation, neuron):
    """1 for the units that are chosen and 0 for the others (in general, the derivative of the choice by the
    activation).
    """
    leaf = minigrad.Tensor(activation.data, requires_grad=True)
    return minigrad.grad(chosen_unit(run, leaf, neuron), leaf).data
