"""Models by name, so that a file of weights can say what it belongs to."""
from difflib import get_close_matches
from functools import wraps

_BUILDERS = {}


def register(build):
    """Make a builder known under its name; what it builds carries `architecture`, from which `create` makes it again.

    All options are keywords that JSON can hold, except `rng`, which is not part of the architecture.
    """
    @wraps(build)
    def named(**options):
        model = build(**options)
        model.architecture = {"name": build.__name__, "options": {k: v for k, v in options.items() if k != "rng"}}
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
