"""A Module is a function with parameters in it. Its parts are found by looking, not by registration.

Whatever Parameter, Tensor or Module stands in an attribute of a module, or in a list, tuple or dict in one, is part of
it, under the path one would write to reach it: ``features.0.weight``. Attributes whose name begins with an underscore
are private and left out. The paths are PyTorch's, so weights travel both ways.
"""
from contextvars import ContextVar
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from ..tensor import Tensor, recording, scope, setting

_LATE = "num_batches_tracked"  # of batch norm; as in PyTorch it may be missing, since files before 0.4.1 lack it
_paths = ContextVar("paths", default=MappingProxyType({}))  # id of module -> path, of the model that is running
_log = ContextVar("log", default=None)  # where named_activations collects
_NOT_SETTINGS = {"training", "architecture", "metadata"}  # attributes that repr leaves out


class Parameter(Tensor):
    """A Tensor that a model learns. Freeze it with ``p.requires_grad = False``; it stays a parameter."""

    __slots__ = ()

    def __init__(self, data, requires_grad=True):
        super().__init__(data, requires_grad)


class Mismatch(NamedTuple):
    """What `load_state_dict` did not find, and what it had no use for."""
    missing_keys: list
    unexpected_keys: list


class Module:
    """Base of all layers and models: write `__init__` (keep the parts in attributes) and `forward`."""

    training = True

    def forward(self, *args, **kwargs):
        """Compute the output; call the module itself, not this."""
        raise NotImplementedError(f"{type(self).__name__} has no forward: define forward(self, x)")

    def __call__(self, *args, **kwargs):
        if not recording.get() and _log.get() is None:
            return self.forward(*args, **kwargs)  # nobody will ask in which module a tensor was made
        paths = _paths.get()
        if id(self) not in paths:  # not part of the model that is running, so a model of its own
            paths = {id(module): path for path, module in self.named_modules()}
        path, log = paths[id(self)], _log.get()
        outer_paths, outer_path = _paths.set(paths), scope.set(path)
        try:
            y = self.forward(*args, **kwargs)
        finally:
            scope.reset(outer_path)
            _paths.reset(outer_paths)
        if log is not None:
            log.append((path, y))
        return y

    def named_activations(self, *args, **kwargs):
        """Run the model and keep what every part of it returned.

        Returns
        -------
        (Tensor, dict of str to Tensor)
            The output, and each inner module's output under its path; the second call of a module in one run is
            ``path#2``. They are nodes of the tape: ``grad(y.sum(), acts["features.3"])``.
        """
        with setting(_log, []):
            y = self(*args, **kwargs)
            calls = _log.get()
        activations, times = {}, {}
        for path, output in calls:
            times[path] = times.get(path, 0) + 1
            if path:
                activations[path if times[path] == 1 else f"{path}#{times[path]}"] = output
        return y, activations

    def members(self):
        """The (name, object) pairs in which parts are looked for."""
        return [(name, value) for name, value in vars(self).items() if not name.startswith("_")]

    def named_modules(self):
        """(path, module) for this module, whose path is '', and every one in it; each once."""
        return _walk(self, kinds=(Module,))

    def modules(self):
        """The modules of `named_modules`."""
        return [module for _, module in self.named_modules()]

    def named_parameters(self):
        """(path, Parameter) for each parameter, once even if it is shared."""
        return [(path, part) for path, part in _walk(self) if _learned(part)]

    def parameters(self):
        """The parameters of `named_parameters`."""
        return [parameter for _, parameter in self.named_parameters()]

    def named_buffers(self):
        """(path, Tensor) for each tensor that is part of the state but not learned, such as running means."""
        tensors = [(path, part) for path, part in _walk(self) if isinstance(part, Tensor)]
        return [(path, part) for path, part in tensors if not _learned(part)]

    def get_submodule(self, path):
        """The module at a path such as ``features.3``."""
        modules = dict(self.named_modules())
        if path not in modules:
            from difflib import get_close_matches
            near = get_close_matches(path, modules, 3, 0) or sorted(modules)[:3]
            raise ValueError(f"get_submodule: no module at {path!r}; nearest: {', '.join(map(repr, near))}")
        return modules[path]

    def state_dict(self):
        """Copies of all parameters and buffers: {path: ndarray}, with PyTorch's keys and shapes."""
        return {path: part.data.copy() for path, part in _walk(self, shared=True) if isinstance(part, Tensor)}

    def load_state_dict(self, state, strict=True):
        """Overwrite parameters and buffers with arrays of the same names and shapes (torch tensors will do).

        Nothing is written unless everything fits. With ``strict=False`` names may be missing or left over.

        Returns
        -------
        Mismatch
            Of `missing_keys` and `unexpected_keys`, both empty where `strict`.

        Raises
        ------
        ValueError
            For names that are missing or left over (if `strict`), or any array of another shape.
        """
        own = {path: part for path, part in _walk(self, shared=True) if isinstance(part, Tensor)}
        missing = [k for k in own if k not in state and not k.endswith(_LATE)]
        mismatch = Mismatch(missing, [k for k in state if k not in own])
        new = {k: np.asarray(state[k]) for k in own if k in state}
        problems = [f"{k}: shape {a.shape}, expected {own[k].shape}" for k, a in new.items() if a.shape != own[k].shape]
        if strict:
            problems += [f"missing: {k}" for k in mismatch.missing_keys]
            problems += [f"unexpected: {k}" for k in mismatch.unexpected_keys]
        if problems:
            more = f" (and {len(problems) - 8} more)" if len(problems) > 8 else ""
            raise ValueError(f"load_state_dict: the state does not fit this {type(self).__name__}; nothing was loaded. "
                             f"{'; '.join(problems[:8])}{more}. Is it the same architecture?")
        for k, array in new.items():
            own[k].data[...] = array
            own[k].bump()
        return mismatch

    def train(self, mode=True):
        """Set training mode (batch statistics, dropout) for this module and all in it."""
        for module in self.modules():
            module.training = bool(mode)
        return self

    def eval(self):
        """Set evaluation mode: the same as ``train(False)``."""
        return self.train(False)

    def zero_grad(self):
        """Forget the gradients."""
        for parameter in self.parameters():
            parameter.grad = None

    def requires_grad_(self, requires_grad=True):
        """Learn, or freeze, all parameters."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def to(self, dtype):
        """Convert all float parameters and buffers to a float dtype, such as np.float64."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"to: dtype is {np.dtype(dtype)}, expected a float such as np.float32: weights are no "
                            "integers")
        for _, part in _walk(self):
            if isinstance(part, Tensor) and part.dtype.kind == "f":
                part.data, part.grad = part.data.astype(dtype), None
        return self

    def __repr__(self):
        settings, parts = [], []
        for name, value in self.members():
            if isinstance(value, Module) or _holds_modules(value):
                inner = value.values() if isinstance(value, dict) else value
                text = repr(value if isinstance(value, Module) else list(inner))
                parts.append(f"  ({name}): " + text.replace("\n", "\n  "))
            elif not isinstance(value, (Tensor, np.random.Generator)) and name not in _NOT_SETTINGS:
                settings.append(f"{name}={value!r}")
        head = f"{type(self).__name__}({', '.join(settings)}"
        return head + ("\n" + "\n".join(parts) + "\n)" if parts else ")")


def _learned(part):
    """A Parameter, frozen or not, or another tensor that requires a gradient."""
    return isinstance(part, Parameter) or (isinstance(part, Tensor) and part.requires_grad)


def _walk(module, shared=False, kinds=(Module, Tensor)):
    """(path, part) for a module and every Tensor and Module in it; each once, or under every path if `shared`."""
    found = []
    _collect(module, "", set(), shared, kinds, (*kinds, list, tuple, dict), found)
    return found


def _collect(part, path, seen, shared, kinds, searched, found):
    """Append what `_walk` finds; `seen` are the ids met so far or, if `shared`, those of the ancestors."""
    if isinstance(part, kinds):
        if id(part) in seen or getattr(part, "op", None):  # what an op has made is a result that was kept, not a part
            return
        seen = {*seen, id(part)} if shared else seen
        seen.add(id(part))
        found.append((path, part))
    if isinstance(part, Module):
        members = part.members()
    elif isinstance(part, dict):
        members = part.items()
    else:
        members = enumerate(part) if isinstance(part, (list, tuple)) else ()
    for name, member in members:
        if isinstance(member, searched):
            _collect(member, f"{path}.{name}" if path else str(name), seen, shared, kinds, searched, found)


def _holds_modules(value):
    return isinstance(value, (list, tuple, dict)) and any(
        isinstance(v, Module) for v in (value.values() if isinstance(value, dict) else value))


class Sequential(Module):
    """Modules one after the other; its parts are named 0, 1, 2, ... or, given a dict, by its keys.

    Indexing gives a layer, slicing a shorter Sequential.
    """

    def __init__(self, *layers):
        named = len(layers) == 1 and isinstance(layers[0], dict)
        self._layers = dict(layers[0]) if named else {str(i): layer for i, layer in enumerate(layers)}
        for name, layer in self._layers.items():
            if not callable(layer):
                fix = "; write Sequential(*layers)" if isinstance(layer, (list, tuple)) else ""
                raise TypeError(f"Sequential: layer {name} is {type(layer).__name__}, expected a Module or a "
                                f"function{fix}")

    def members(self):
        """The layers under their names."""
        return list(self._layers.items())

    def forward(self, x):
        """x through every layer in turn."""
        for layer in self._layers.values():
            x = layer(x)
        return x

    def __len__(self):
        return len(self._layers)

    def __iter__(self):
        return iter(self._layers.values())

    def __getitem__(self, index):
        if isinstance(index, slice):
            return Sequential(dict(self.members()[index]))
        return list(self._layers.values())[index]
