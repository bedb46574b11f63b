"""Models by name, so that a file of weights can say what it belongs to."""
from difflib import get_close_matches
from functools import wraps
from inspect import signature

import numpy as np

_BUILDERS = {}


def register(build):
    """Make a builder known under its name; what it builds carries `architecture`, from which `create` makes it again.

    All options are values that JSON can hold, except `rng`, the np.random.Generator for the first weights, which is
    not part of the architecture. Where the caller gives none, the builder gets a fresh one.
    """
    accepted = signature(build)

    @wraps(build)
    def named(*values, **options):
        try:
            options = dict(accepted.bind(*values, **options).arguments)
        except TypeError as error:
            raise TypeError(f"{build.__name__}: {error}; its options are {', '.join(accepted.parameters)}") from None
        rng = options.pop("rng", None)
        if not isinstance(rng, np.random.Generator | None):
            raise TypeError(f"{build.__name__}: rng is {rng!r}, expected a numpy Generator; "
                            f"pass np.random.default_rng(seed)")
        model = build(**options, rng=np.random.default_rng() if rng is None else rng)
        model.architecture = {"name": build.__name__, "options": options}
        return model

    _BUILDERS[build.__name__] = named
    return named


def names():
    """The names `create` knows."""
    return sorted(_BUILDERS)


def create(name, **options):
    """Build the model called `name`.

    Raises
    ------
    ValueError
        If there is none of that name; the message suggests the nearest.
    TypeError
        For an option the model does not have.
    """
    if name not in _BUILDERS:
        near = get_close_matches(str(name), names(), 1, 0)
        raise ValueError(f"create: there is no model {name!r}; did you mean {near[0]!r}? Known: {', '.join(names())}")
    return _BUILDERS[name](**options)
