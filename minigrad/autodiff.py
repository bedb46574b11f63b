"""A derivative is one walk over the tape; an explanation is the same walk with other rules.

Reverse mode in one sentence: start with a seed at `y`, visit the tape from newest to oldest, and let every op turn the
cotangent of its output into cotangents of its inputs (its vjp, "vector-Jacobian product"), adding up where a tensor
was used more than once. Creation order is a topological order, so when a tensor is visited its cotangent is already
complete.

A *rule* has the signature of a vjp, `rule(op, g, y, *xs) -> one thunk or None per input`, so `ReLU.vjp` is itself the
default rule of a ReLU, and guided backpropagation is `grad(y, x, rules=...)` with another function for it.
"""
from operator import attrgetter

import numpy as np

from .deferred import Unseen
from .tensor import Tensor, overwritten, recording, scope, setting


def tape(y):
    """Every tensor that `y` was computed from, `y` included, oldest first.

    It neither recurses nor visits a tensor twice, so any depth and any sharing will do.
    """
    seen, todo = {y}, [y]
    while todo:
        for x in todo.pop().inputs:
            if x not in seen:
                seen.add(x)
                todo.append(x)
    return sorted(seen, key=attrgetter("serial"))


def grad(y, wrt, seed=None, *, rules=None, create_graph=False, allow_unused=False, anomaly=False):
    """Pull `seed` back from `y` to each tensor in `wrt`.

    Parameters
    ----------
    y : Tensor
    wrt : Tensor or sequence of Tensor
        Leaves or inner tensors of the tape: an activation is just a node.
    seed : Tensor or array_like of y's shape, optional
        The cotangent of `y`; left out it is ones, which gives the gradient of ``y.sum()``.
    rules : callable, optional
        ``rules(t)`` sees a tensor of the tape (``t.op``, ``t.scope``, ``t.inputs``) and returns the function to use
        in place of the vjp of the op that made it, or None to keep the derivative.
    create_graph : bool
        Record the walk itself, so that its result can be differentiated again.
    allow_unused : bool
        Give None for a tensor that `y` does not depend on, instead of raising.
    anomaly : bool
        Raise where the first NaN or infinity appears, naming the op and its module path.

    Returns
    -------
    Tensor, or list of Tensor where `wrt` is a sequence
        Of the shapes and dtypes of `wrt`; no two share memory, unless they were recorded (``create_graph=True``).

    Raises
    ------
    ValueError
        If `y` does not depend on one of `wrt`, or the seed's shape is not y's.
    TypeError
        If something is not a float Tensor, or a rule does not keep to a vjp's signature.
    RuntimeError
        If an array on the tape was overwritten since, by an optimizer step, say.
    FloatingPointError
        With ``anomaly=True``.
    """
    single = isinstance(wrt, Tensor)
    found = _pull_back(y, [wrt] if single else list(wrt), tape(y) if isinstance(y, Tensor) else (), seed, rules=rules,
                       create_graph=create_graph, allow_unused=allow_unused, anomaly=anomaly)
    return found[0] if single else found


def _pull_back(y, wanted, tensors, seed, *, rules=None, create_graph=False, allow_unused=False, anomaly=False):
    """What `grad` returns for a list, given the tape of y."""
    given, seed = seed, _seed(y, seed)
    live = _between(wanted, tensors, allow_unused)
    if anomaly:
        _check_forward(y)
    cotangent = {y: seed}
    kept = set(wanted)
    with setting(recording, create_graph):
        for t in sorted(live, key=attrgetter("serial"), reverse=True):
            g = cotangent.get(t) if t in kept else cotangent.pop(t, None)
            if g is None or t.op is None:
                continue
            _check_fresh("grad", t)
            rule = rules and rules(t) or type(t.op).vjp
            for x, pull in zip(t.inputs, _pulls(rule, g, t), strict=True):
                if pull is not None and x in live:
                    pulled = pull()
                    _check_pulled(pulled, x, t, rule, anomaly)
                    cotangent[x] = cotangent[x] + pulled if x in cotangent else pulled
    found = [
        cotangent[x] if x in cotangent else Tensor(np.zeros_like(x.data)) if x in live else None for x in wanted
    ]
    return found if create_graph else _unshared(found, () if given is None else (seed,))


def backward(y, seed=None, **options):
    """Add the gradient of `y` to `.grad` of every leaf it depends on; `options` as in `grad`.

    The tape lives as long as something refers to `y`; it may be walked again.
    """
    tensors = tape(y)
    leaves = [t for t in tensors if t.op is None and t.requires_grad]
    if not leaves:
        raise ValueError(_UNRECORDED.format(what="backward: y depends on"))
    for leaf, g in zip(leaves, _pull_back(y, leaves, tensors, seed, **options), strict=True):
        leaf.grad = g if leaf.grad is None else leaf.grad + g


def replay(y, substitutions):
    """Run the tape of `y` again with some of its tensors replaced.

    Parameters
    ----------
    y : Tensor
    substitutions : dict of Tensor to Tensor or array_like
        ``{old: new}``. What does not depend on an `old` is kept, not recomputed.

    Returns
    -------
    Tensor
        The new value of `y`, with a tape of its own.

    Raises
    ------
    ValueError
        If one of the tensors to replace is not on the tape.
    RuntimeError
        If an array that is read again was overwritten since.
    """
    tensors = tape(y)
    missing = substitutions.keys() - set(tensors)
    if missing:
        raise ValueError(f"replay: {len(missing)} of the {len(substitutions)} tensors to replace are not on the tape "
                         "of y")
    new = {old: t if isinstance(t, Tensor) else Tensor(np.asarray(t, old.dtype)) for old, t in substitutions.items()}
    for t in tensors:
        if t not in new and any(x in new for x in t.inputs):
            _check_fresh("replay", t, new)
            with setting(scope, t.scope):
                new[t] = t.op(*[new.get(x, x) for x in t.inputs])
    return new.get(y, y)


_UNRECORDED = ("{what} no tensor that requires a gradient; make the input with tensor(..., requires_grad=True), "
               "and check that the forward pass did not run under no_grad()")


def _seed(y, seed):
    if not isinstance(y, Tensor):
        raise TypeError(f"grad: y is {type(y).__name__}, expected a Tensor")
    if y.dtype.kind != "f":
        raise TypeError(f"grad: y has dtype {y.dtype}, expected a float: only floats have derivatives")
    if seed is None:
        return Tensor(np.ones(y.shape, y.dtype), unseen=Unseen())
    seed = seed if isinstance(seed, Tensor) and seed.dtype == y.dtype else Tensor(np.asarray(seed, y.dtype))
    if seed.shape != y.shape:
        raise ValueError(f"grad: seed has shape {seed.shape}, expected that of y, {y.shape}")
    return seed


def _between(wanted, tensors, allow_unused):
    """The tensors of a tape on some path from one of `wanted` to its end."""
    for i, x in enumerate(wanted):
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: wrt[{i}] is {type(x).__name__}, expected a Tensor")
        if not x.requires_grad:
            raise ValueError(_UNRECORDED.format(what=f"grad: wrt[{i}] (shape {x.shape}) is"))
    live = set(wanted)
    for t in tensors:
        if not live.isdisjoint(t.inputs):
            live.add(t)
    on_tape = set(tensors)
    for i, x in enumerate(wanted):
        if x not in on_tape and not allow_unused:
            raise ValueError(f"grad: y does not depend on wrt[{i}] (shape {x.shape}); "
                             "pass allow_unused=True to get None for it")
    return live & on_tape


def _pulls(rule, g, t):
    """What a rule, or the vjp it stands in for, gives for each input of t."""
    pulls = rule(t.op, g, t, *t.inputs)
    if (not isinstance(pulls, (tuple, list)) or len(pulls) != len(t.inputs)
            or any([pull is not None and not callable(pull) for pull in pulls])):
        raise TypeError(f"grad: {_name(rule)} of {place(t)} gave {pulls!r:.60}; expected a tuple with a function of no "
                        f"arguments, or None, for each of the {len(t.inputs)} inputs")
    return pulls


def _name(rule):
    return getattr(rule, "__qualname__", repr(rule))


def _check_fresh(function, t, replaced=()):
    """A vjp may read y and the inputs: they must be as they were when the op ran."""
    for x, then in zip((*t.inputs, t), t.stamps, strict=True):
        if x not in replaced and overwritten(x, then):
            which = "output" if x is t else "input"
            raise RuntimeError(
                f"{function}: the {which} of {place(t)} (shape {x.shape}) was overwritten after the "
                "forward pass, by an optimizer step or an in-place write: run the forward pass again"
            )


def _check_pulled(g, x, t, rule, anomaly):
    if not isinstance(g, Tensor) or g.shape != x.shape or g.dtype != x.dtype:
        came = f"{g.dtype} {g.shape}" if isinstance(g, Tensor) else type(g).__name__
        raise TypeError(f"grad: {_name(rule)} of {place(t)} gave {came} for an input of {x.dtype} {x.shape}; "
                        "a cotangent has its input's shape and dtype")
    if anomaly and not np.isfinite(g.data).all():
        raise FloatingPointError(f"grad: the backward pass of {place(t)} made the first NaN or infinity "
                                 f"(for an input of shape {x.shape})")


def _check_forward(y):
    """Raise at the first tensor that is worse than all it was made from; constants may be infinite: masks are."""
    harm = {}
    for t in tape(y):
        harm[t] = 2 if np.isnan(t.data).any() else 1 if np.isinf(t.data).any() else 0
        if harm[t] > max((harm[x] for x in t.inputs), default=0 if t.requires_grad else 1):
            made = f"the forward pass of {place(t)} made" if t.op else f"a leaf of shape {t.shape} holds"
            raise FloatingPointError(f"grad: {made} the first {'NaN' if harm[t] == 2 else 'infinity'}")


def place(t):
    """The op that made `t` and the module it ran in, for messages."""
    return f"{type(t.op).__name__} in {t.scope or 'no module'}"


def _unshared(found, others):
    """Copy a gradient that shares memory with `others` or an earlier one: y = a + b hands the same array to both."""
    taken, own = {_root(t.data) for t in others}, []
    for g in found:
        if g is not None:
            array = g.peek()
            if _root(array) in taken or not array.flags.writeable:
                g = Tensor(g.data.copy(order="K"))
            taken.add(_root(g.peek()))
        own.append(g)
    return own


def _root(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return id(array)
