"""What a hidden layer contributes to the score: activations, gradients and integrals at a node inside the network.

An inner tensor is just a node of the tape, so ``grad(score, [activation])`` is all that a layer needs. `layer` is a
Module of the model or its path; ``path#2`` is the second call of a module that is used more than once.
"""

import numpy as np

import minigrad

from .inputs import as_baseline
from .integrated import residual
from .path import Path, own_score, scoring
from .quadrature import quadrature
from .scoring import Scoring, layer_path


def layer_activation(model, x, target=None, *, layer, **common):
    """The output of a layer, as it is.

    Parameters
    ----------
    model, x, target, **common
        As in `explain.scoring.Scoring`.
    layer : Module or str

    Returns
    -------
    Attribution
        Values of the layer's shape (N, ...).
    """
    return _at_layer("layer_activation", lambda a, gradient: a, model, x, target, layer, common)


def layer_gradient_x_activation(model, x, target=None, *, layer, multiply_by_inputs=True, **common):
    """Each unit's activation times the gradient of the score with respect to it: `input_x_gradient`, in the middle.

    Parameters
    ----------
    model, x, target, layer, **common
        As in `layer_activation`.
    multiply_by_inputs : bool
        False gives the gradient alone.

    Returns
    -------
    Attribution
        Values of the layer's shape (N, ...).
    """
    return _at_layer(
        "layer_gradient_x_activation",
        lambda a, gradient: a * gradient() if multiply_by_inputs else gradient(),
        model,
        x,
        target,
        layer,
        common,
    )


def layer_integrated_gradients(
    model,
    x,
    target=None,
    *,
    layer,
    baselines=0,
    n_steps=50,
    method="gausslegendre",
    multiply_by_inputs=True,
    internal_batch_size=None,
    compat=None,
    **common,
):
    """Integrated gradients with a layer in place of the input: its activations go straight from those of x' to x's.

        attribution_j = (a_j - a'_j) * integral of dF/da_j at a' + t (a - a'),   a = layer(x), a' = layer(x')

    What does not pass through the layer (a skip connection round it) stays as it is at x: the tape of x is replayed
    with other activations.

    Parameters
    ----------
    model, x, target, layer, **common
        As in `layer_activation`.
    baselines, n_steps, method, multiply_by_inputs, internal_batch_size, compat
        As in `explain.integrated_gradients`.

    Returns
    -------
    Attribution
        Values of the layer's shape. Complete: `delta` is their sum less the change of the score along that path.
    """
    with scoring("layer_integrated_gradients", model, x, target, internal_batch_size, common) as run:
        baseline = as_baseline(run, baselines)
        path = Path(_activations(run, baseline, layer), _activations(run, run.x, layer))

        def record(rows, points):
            _, scores, activation = run.record_layer(run.x[rows], layer)
            leaf = minigrad.Tensor(points, requires_grad=True)
            return leaf, minigrad.replay(scores, {activation: leaf})

        def own(rows, points):
            leaf, scores = record(rows, points)
            return leaf, scores[np.arange(len(rows)), run.target[rows]]

        def gradient(rows, points):
            leaf, scores = record(rows, points)
            return run.pull(scores, leaf, run.target[rows])

        path.place(run, own, method, n_steps, compat)
        values, delta = path.integrate(run, gradient), None
        if multiply_by_inputs:
            values = values * path.direction
            rows = np.arange(len(run.x))
            start = np.concatenate([own(rows[part], path.start[part])[1].data for part in run.batches(len(rows))])
            delta = values.sum(axis=tuple(range(1, values.ndim)), dtype=np.float64) - (run.own_scores() - start)
        return run.attribution(
            values, baseline=baseline, delta=delta, settings=settings(run, layer, method, n_steps, compat)
        )


def layer_conductance(
    model,
    x,
    target=None,
    *,
    layer,
    baselines=0,
    n_steps=50,
    method="gausslegendre",
    internal_batch_size=None,
    compat=None,
    **common,
):
    """The part of integrated gradients that flows through each unit of a layer. Dhamdhere et al. 2019.

        attribution_j = integral over t of dF/dy_j * dy_j/dt,   y = layer(x' + t (x - x'))

    dy/dt is computed, not taken as a difference between steps, so at every point the sum over units is dF/dt: the sum
    of conductance is that of integrated gradients with the same rule, to the last bits, wherever all paths pass the
    layer.

    Parameters
    ----------
    model, x, target, layer, **common
        As in `layer_activation`.
    baselines, n_steps, method, internal_batch_size
        As in `explain.integrated_gradients`; 'exact' too.
    compat : None or 'captum'
        'captum' sums dF/dy times the step to the next activation over n_steps + 1 points; with 'gausslegendre' those
        leave out both ends of the path.

    Returns
    -------
    Attribution
        Values of the layer's shape. `delta` is their sum less F(x) - F(x'), or None where some path goes round the
        layer.
    """
    with scoring("layer_conductance", model, x, target, internal_batch_size, common) as run:
        baseline = as_baseline(run, baselines)
        path = Path(baseline, run.x)
        if compat == "captum":
            quadrature(run.method, method, n_steps)
            values = _by_differences(run, path, layer, quadrature(run.method, method, n_steps + 1)[0])
        else:

            def conductance(rows, points):
                leaf, scores, activation = run.record_layer(points, layer)
                run.backwards += 2 * len(rows)  # the two walks of _pushed
                return run.pull(scores, activation, run.target[rows]) * _pushed(activation, leaf, path.direction[rows])

            path.place(run, own_score(run), method, n_steps, compat)
            values = path.integrate(run, conductance)
        delta = residual(run, values, baseline) if _is_passed_by_all(run, layer) else None
        return run.attribution(
            values, baseline=baseline, delta=delta, settings=settings(run, layer, method, n_steps, compat)
        )


def internal_influence(
    model,
    x,
    target=None,
    *,
    layer,
    baselines=0,
    n_steps=50,
    method="gausslegendre",
    internal_batch_size=None,
    compat=None,
    **common,
):
    """The gradient of the score with respect to a layer, averaged along the input's path. Leino et al. 2018.

    Not multiplied by the activation, hence not complete. Parameters as in `layer_conductance`, of which `compat`
    concerns the trapezoid alone.

    Returns
    -------
    Attribution
        Values of the layer's shape.
    """
    with scoring("internal_influence", model, x, target, internal_batch_size, common) as run:
        baseline = as_baseline(run, baselines)
        path = Path(baseline, run.x).place(run, own_score(run), method, n_steps, compat)

        def influence(rows, points):
            _, scores, activation = run.record_layer(points, layer)
            return run.pull(scores, activation, run.target[rows])

        return run.attribution(
            path.integrate(run, influence), baseline=baseline, settings=settings(run, layer, method, n_steps, compat)
        )


def settings(run, layer, method, n_steps, compat):
    """What a path method at a layer ran with, for the result."""
    steps = {} if method == "exact" else {"n_steps": n_steps}
    return {"layer": layer_path(run.method, run.model, layer), "method": method, **steps, "compat": compat}


def _at_layer(method, value, model, x, target, layer, common):
    """`value(a, gradient)` of a layer's activation and the function that computes its gradient, batch by batch."""
    with Scoring(method, model, x, target, **common) as run:
        found = []
        for part in run.batches(len(run.x)):
            _, scores, activation = run.record_layer(run.x[part], layer, part)
            found.append(
                value(activation.data, lambda s=scores, a=activation, part=part: run.pull(s, a, run.targets(part)))
            )
        return run.attribution(np.concatenate(found), settings={"layer": layer_path(method, model, layer)})


def _activations(run, x, layer):
    with minigrad.no_grad():
        return np.concatenate([run.record_layer(x[part], layer)[2].data for part in run.batches(len(x))])


def _pushed(y, leaf, direction):
    """The derivative of y along `direction`: a vjp is linear in its cotangent u, and this is its derivative by u."""
    u = minigrad.Tensor(np.zeros_like(y.data), requires_grad=True)
    return minigrad.grad(minigrad.grad(y, leaf, u, create_graph=True), u, direction).data


def _by_differences(run, path, layer, t):
    """Sum over k of dF/dy at t_k, times y at t_(k+1) less y at t_k."""
    found = []
    for part in run.batches(len(run.x)):
        rows, total, before = np.arange(len(run.x))[part], 0, None
        for place in t:
            _, scores, activation = run.record_layer(path.points(rows, np.full(len(rows), place)), layer)
            if before is not None:
                total = total + before[0] * (activation.data - before[1])
            before = run.pull(scores, activation, run.target[rows]), activation.data
        found.append(total)
    return np.concatenate(found)


def _is_passed_by_all(run, layer):
    """Whether every way from the input to the scores leads through the layer."""
    leaf, scores, activation = run.record_layer(run.x[:1], layer)
    reached, todo = {scores}, [scores]
    while todo:
        t = todo.pop()
        if t is not activation:
            new = [x for x in t.inputs if x not in reached]
            reached.update(new)
            todo.extend(new)
    return leaf not in reached
