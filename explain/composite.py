"""Who gets which rule: a table read from the top, in which the first line that fits an op decides.

    Composite(
        Line(ops.Conv2d, rules.box(0, 1), place="first"),       the first layer
        Line(ops.Conv2d, rules.gamma(0.25), path="features.*"),   by the path of the module an op ran in
        Line(ops.Linear, rules.epsilon(1e-6)),
        *rest())

An op on the trail from the input to the result that no line fits raises: nothing falls back to the gradient in silence.
Before the table is read, batch norm is folded into the layer before or after it (see `explain.fold`).
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from minigrad import ops
from minigrad.autodiff import place as named_place

from . import rules
from .fold import folds
from .kinds import ACTIVATIONS, EXTREMES, ROUTING, SUMS, WEIGHTED, Mixing, Product, Scaling, Trail, kinds

PLACES = (None, "first", "last")
RULES = ("epsilon", "gamma", "alpha_beta", "zplus", "box", "w_square", "flat", "pass_through", "route", "gradient")
BOXED = ("deep_taylor", "epsilon_gamma_box")  # presets whose first layer must know the range of x


@dataclass(frozen=True)
class Line:
    """One line of a composite: which ops, and their rule.

    Parameters
    ----------
    ops : class or tuple of classes
        Op classes, or kinds of `explain.kinds`.
    rule : callable
        With the signature of a vjp.
    path : str
        Of the module the op ran in, with * and ? as in file names; a prefix such as ``features`` means all in it.
    place : None, 'first' or 'last'
        Only layers with weights before which (or after which) on the trail there is no other.
    """

    ops: object
    rule: object
    path: str = "*"
    place: str | None = None

    def __post_init__(self):
        if self.place not in PLACES:
            raise ValueError(f"Line: place is {self.place!r}, expected one of {', '.join(map(repr, PLACES))}")
        if not callable(self.rule):
            raise TypeError(
                f"Line: rule is {type(self.rule).__name__}, "
                "expected a function with the signature of a vjp, such as rules.epsilon()"
            )

    def fits(self, t, found, places):
        """Whether this line is for the op of `t`, of the kinds `found`, which stands at `places`."""
        in_path = fnmatchcase(t.scope, self.path) or t.scope.startswith(self.path + ".")
        return in_path and self.place in (None, *places) and any(issubclass(kind, self.ops) for kind in found)


@dataclass(frozen=True)
class Composite:
    """Lines in order, and a name for messages.

    Parameters
    ----------
    *lines : Line
    name : str
    fold : bool
        Fold batch norm and other scalings into the layers with weights beside them.
    known : tuple of str
        The rules that a message about a missing line offers.
    """

    lines: tuple
    name: str
    fold: bool
    known: tuple

    def __init__(self, *lines, name="custom", fold=True, known=RULES):
        for attribute, value in (("lines", lines), ("name", name), ("fold", fold), ("known", known)):
            object.__setattr__(self, attribute, value)

    def bind(self, y, x, method="composite"):
        """The rules for the tape between `x` and `y`, as `minigrad.grad(y, x, rules=...)` takes them.

        Raises
        ------
        ValueError
            For an op that no line fits; the message names the op, the module it ran in, and the rules that exist.
        """
        trail = Trail.between(x, y)
        folded = folds(trail) if self.fold else {}
        places = _places(trail)
        chosen = {}
        for t in trail.steps:
            if callable(folded.get(t)):  # a scaling that is part of a layer now
                chosen[t] = folded[t]
            else:
                rule = self._rule(t, trail, places[t], method)
                chosen[t] = folded[t].rule(rule) if t in folded else rule
        return Binding(chosen, trail)

    def _rule(self, t, trail, places, method):
        found = kinds(t, trail.operands(t))
        for line in self.lines:
            if line.fits(t, found, places):
                return line.rule
        kind, what = found[0], ""
        if kind is not type(t.op):
            what = f" (here a {kind.__name__.lower()}: {kind.__doc__.removeprefix('Kind: ')[:-1]})"
        raise ValueError(
            f"{method}: composite {self.name!r} has no rule for {named_place(t)}{what}; "
            f"add a Line({kind.__name__}, rule, path={t.scope!r}). Rules that exist: {', '.join(self.known)}"
            + _advice(t)
        )


@dataclass(frozen=True)
class Binding:
    """The rules of one tape: call it with a tensor of the tape."""

    chosen: dict = field(repr=False)
    trail: Trail = field(repr=False)

    def __call__(self, t):
        return self.chosen.get(t)


def rest(scaling=rules.pass_through):
    """The lines every LRP composite ends with: sums share, routes follow, the largest takes all, activations pass.

    `scaling` is the rule for additions of constants, multiplications by constants and batch norm that could not be
    folded.
    """
    shared = rules.epsilon()
    return (
        Line(Scaling, scaling),
        Line((*SUMS, Mixing), shared),
        Line((*ROUTING, *EXTREMES), rules.route),
        Line(ACTIVATIONS, rules.pass_through),
    )


def preset(name, *, epsilon=rules.EPSILON, gamma=0.25, low=0.0, high=1.0):
    """A composite by name.

    Parameters
    ----------
    name : str
        ``zero``, ``epsilon``, ``gamma``, ``zplus`` (also ``alpha1_beta0``), ``alpha2_beta1``, ``deep_taylor``: one
        rule for all layers with weights (the last has `box` in the first layer); ``epsilon_plus``,
        ``epsilon_alpha2_beta1``, ``epsilon_gamma_box``: another one for convolutions than for dense layers, which
        have epsilon, and the first two also as ``..._flat`` with the first layer flat. Montavon et al. 2019 and
        Kohlbrenner et al. 2020; the names are Zennit's.
    epsilon, gamma, low, high : float
        Of the rules of that name; low and high are the bounds of a pixel.
    """
    dense = (ops.Linear, ops.MatMul)
    images = (ops.Conv2d, ops.Conv2dInput)
    eps, zplus, alpha_beta, first = rules.epsilon(epsilon), rules.zplus(), rules.alpha_beta(2, 1), rules.box(low, high)

    def plain(rule, *before):
        return (*before, Line(WEIGHTED, rule), *rest())

    def mixed(rule, *before):
        return (*before, Line(images, rule), Line(dense, eps), *rest())

    def exact(value):
        shared = rules.epsilon(value)
        return (Line((*WEIGHTED, Scaling, Mixing, *SUMS), shared), *rest())

    flat = Line(WEIGHTED, rules.flat(), place="first")
    boxed = Line(WEIGHTED, first, place="first")
    presets = {
        "zero": lambda: exact(0),
        "epsilon": lambda: exact(epsilon),
        "gamma": lambda: plain(rules.gamma(gamma)),
        "zplus": lambda: plain(zplus),
        "alpha1_beta0": lambda: plain(zplus),
        "alpha2_beta1": lambda: plain(alpha_beta),
        "deep_taylor": lambda: plain(rules.zplus(bias=False), boxed),
        "epsilon_plus": lambda: mixed(zplus),
        "epsilon_plus_flat": lambda: mixed(zplus, flat),
        "epsilon_alpha2_beta1": lambda: mixed(alpha_beta),
        "epsilon_alpha2_beta1_flat": lambda: mixed(alpha_beta, flat),
        "epsilon_gamma_box": lambda: mixed(rules.gamma(gamma), boxed),
    }
    if name not in presets:
        raise ValueError(
            f"composite: there is none called {name!r}, expected one of {', '.join(presets)}; "
            "or build a Composite of Lines"
        )
    return Composite(*presets[name](), name=name)


def _places(trail):
    """For each step the places a `Line` may ask for: whether it is the first or last with weights on its way."""
    weighted = {t for t in trail.steps if issubclass(kinds(t, trail.operands(t))[0], WEIGHTED)}
    above, below = set(), set()  # what comes after a layer with weights, and what comes before one
    for t in trail.steps:
        if any(x in above or x in weighted for x in t.inputs):
            above.add(t)
    for t in reversed(trail.steps):
        if t in below or t in weighted:
            below.update(t.inputs)
    ends = {"first": weighted - above, "last": weighted - below}
    return {t: tuple(end for end, layers in ends.items() if t in layers) for t in trail.steps}


def _advice(t):
    if isinstance(t.op, (ops.Softmax, ops.LogSoftmax)):
        return (
            ". Explain the logit (score='logit', and a model without its last softmax): a softmax creates and "
            "destroys relevance"
        )
    if isinstance(t.op, ops.BatchNormTraining):
        return ". Batch norm by the statistics of its own batch mixes the samples: give it running statistics"
    if issubclass(Product, kinds(t, (0, 1))[0]) and len(t.inputs) > 1:
        return ". Both operands of this product depend on the input"
    return ""
