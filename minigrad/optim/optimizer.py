"""What all optimizers share: a list of parameters, settings, and a memory for each parameter.

A subclass names its settings and says in `update` how one parameter moves. A parameter's memory (running means, the
count of its steps) begins with its first gradient, so one that never gets a gradient costs nothing and keeps its value,
as in PyTorch.
"""

import numpy as np

from ..tensor import Tensor


class Optimizer:
    """Base of all optimizers.

    Parameters
    ----------
    params : iterable of Tensor, or of (str, Tensor)
        What to optimize, for instance ``model.parameters()`` or ``model.named_parameters()``; names, if given, name the
        entries of `state_dict`, otherwise their positions do.
    **settings : float or bool
        Kept as attributes, which may be changed between steps; `lr` is what schedules change.

    Attributes
    ----------
    parameters : list of Tensor
    names : list of str
    state : list of dict
        The memory of each parameter; empty before its first step.

    Raises
    ------
    TypeError
        If `params` is not an iterable of Tensors.
    ValueError
        If there are none, one comes twice, one was computed from others, or a setting is out of range.
    """

    def __init__(self, params, **settings):
        self.names, self.parameters = self._read(params)
        self.state = [{} for _ in self.parameters]
        self.settings = tuple(settings)
        for name, value in settings.items():
            if not value >= 0:
                raise ValueError(f"{type(self).__name__}: {name} is {value}, expected at least 0")
            setattr(self, name, value)

    def _read(self, params):
        me = type(self).__name__
        if isinstance(params, (Tensor, dict, set)) or not hasattr(params, "__iter__"):
            raise TypeError(f"{me}: got a {type(params).__name__}, expected a list of Tensors; pass model.parameters()")
        params = list(params)
        named = [isinstance(p, tuple) and len(p) == 2 and isinstance(p[0], str) for p in params]
        if any(named) and not all(named):
            raise ValueError(f"{me}: {sum(named)} of {len(params)} parameters have a name; name all of them, or none")
        names, tensors = zip(*params) if any(named) else ([str(i) for i in range(len(params))], params)
        for name, p in zip(names, tensors):
            if isinstance(p, dict):
                raise TypeError(f"{me}: got a parameter group (a dict), not supported; make an optimizer for each")
            if not isinstance(p, Tensor):
                raise TypeError(f"{me}: parameter {name} is a {type(p).__name__}, expected a Tensor")
            if p.op is not None:
                raise ValueError(f"{me}: parameter {name} is no leaf, it was computed by {p.op}; optimize its inputs")
            if p.dtype.kind != "f":
                raise ValueError(f"{me}: parameter {name} has dtype {p.dtype}, expected a float dtype")
        if not tensors:
            raise ValueError(f"{me}: got no parameters; pass model.parameters() (a generator can be used only once)")
        if len(set(map(id, tensors))) < len(tensors) or len(set(names)) < len(names):
            raise ValueError(f"{me}: a parameter or a name comes more than once; pass each once")
        return list(names), list(tensors)

    def step(self):
        """Move every parameter that has a gradient, in place."""
        for p, state in zip(self.parameters, self.state):
            if p.grad is not None:
                state["step"] = state.get("step", 0) + 1
                grad = p.grad.peek()
                self.update(p.data, -grad if self.maximize else grad, state)
                p.bump()

    def update(self, param, grad, state):
        """Move one parameter.

        Parameters
        ----------
        param : ndarray
            Overwritten.
        grad : ndarray
            Where it must not go: of its shape, not to be changed.
        state : dict
            The parameter's memory: ``step``, 1 the first time, and whatever the method puts there.
        """
        raise NotImplementedError(f"{type(self).__name__} has no update: define update(self, param, grad, state)")

    def zero_grad(self):
        """Forget the gradients: set them to None."""
        for p in self.parameters:
            p.grad = None

    def state_dict(self):
        """Collect all that the next step depends on, besides parameters and gradients.

        Returns
        -------
        dict of str to ndarray or number
            The settings, and ``name.entry`` for each entry of a parameter's memory; arrays are copies.
        """
        state = {name: getattr(self, name) for name in self.settings}
        for name, memory in zip(self.names, self.state):
            state |= {f"{name}.{k}": v.copy() if isinstance(v, np.ndarray) else v for k, v in memory.items()}
        return state

    def load_state_dict(self, state):
        """Take over what `state_dict` returned; the next steps are then the same to the bit.

        Raises
        ------
        ValueError
            If it was made by another kind of optimizer or for other parameters; nothing is changed then.
        """
        me, state = type(self).__name__, dict(state)
        missing = [name for name in self.settings if name not in state]
        if missing:
            raise ValueError(f"{me}.load_state_dict: {missing} missing; load what {me}.state_dict() returned")
        settings = {name: _number(state.pop(name)) for name in self.settings}
        parameters = dict(zip(self.names, self.parameters))
        memories = {name: {} for name in self.names}
        for key, value in state.items():
            name, _, entry = key.rpartition(".")
            if name not in memories:
                raise ValueError(f"{me}.load_state_dict: {key} belongs to none of {self.names[:5]} ...; load a state "
                                 "made for the same parameters")  # fmt: skip
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                memories[name][entry] = _number(value)
                continue
            p = parameters[name]
            if value.shape != p.shape or value.dtype != p.dtype:
                raise ValueError(f"{me}.load_state_dict: {key} is {value.dtype} {value.shape}, the parameter {p.dtype} "
                                 f"{p.shape}; load a state of the same model")  # fmt: skip
            memories[name][entry] = np.empty_like(p.data)  # the parameter's memory order: steps are fastest in it
            memories[name][entry][...] = value
        for name, value in settings.items():
            setattr(self, name, value)
        self.state = list(memories.values())


def _number(value):
    return value.item() if isinstance(value, (np.ndarray, np.generic)) else value
