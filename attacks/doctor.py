"""Is the network robust, or do its gradients only fail to show the way? A list of symptoms, each with a number.

A defence that hides the gradient (saturated softmax, quantised pixels, chance) makes gradient attacks fail and leaves
the network as weak as before. Athalye, Carlini and Wagner (2018) list what gives it away; Croce and Hein's AutoAttack
flags more. No symptom proves anything, and none of them proves robustness: what stays is the attack that was tried.
"""
from dataclasses import dataclass

import numpy as np

from .arguments import generator, number
from .blackbox import square
from .gradient import fgsm, pgd
from .losses import objective
from .result import unbroken
from .victim import Victim, check_pictures


@dataclass(frozen=True)
class Symptom:
    """One line of the report: what was measured, the number, whether it is a bad sign, and what to do."""

    name: str
    value: float
    alarming: bool
    finding: str
    remedy: str


@dataclass(frozen=True)
class Report:
    """What the doctor found.

    Attributes
    ----------
    symptoms : list of Symptom
    """

    symptoms: list

    @property
    def masked(self):
        """Whether any symptom is a bad sign."""
        return any(s.alarming for s in self.symptoms)

    def __getitem__(self, name):
        return next(s for s in self.symptoms if s.name == name)

    def __str__(self):
        lines = []
        for s in self.symptoms:
            lines.append(f"{'ALARM' if s.alarming else 'ok':<6} {s.name:<22} {s.finding}")
            if s.alarming:
                lines.append(f"{'':<29} -> {s.remedy}")
        verdict = ("The gradients may be masked: do not trust gradient attacks on this network." if self.masked else
                   "No sign of masked gradients; that is no proof of robustness.")
        return "\n".join([*lines, verdict])


def doctor(model, x, y, *, eps=0.1, steps=40, queries=500, substitute=None, bounds=(0, 1), rng=None):
    """Look for the symptoms of masked gradients.

    Parameters
    ----------
    model : Module or callable
    x, y : arrays (N, C, H, W) and (N,)
        Fifty images or so; those that are wrong from the start are left out.
    eps : float
        Radius in Linf at which the network is examined; one at which it still stands is best.
    steps : int
        Of PGD, steps of ``2.5 eps / steps``.
    queries : int
        Of Square, the black-box attack.
    substitute : Module or callable, optional
        Another network for the same task, to make examples for.
    rng : numpy Generator, optional

    Returns
    -------
    Report
        Of the symptoms ``randomness, flat_gradients, wrong_gradients, one_step, black_box, restarts, saturation,
        larger_ball, unbounded`` and ``transfer`` (with a substitute).

    References
    ----------
    Athalye, Carlini, Wagner, Obfuscated gradients give a false sense of security, ICML 2018, section 3.1; Carlini et
    al., On evaluating adversarial robustness, 2019; Croce and Hein, AutoAttack, 2020.
    """
    name = "doctor"
    eps = number(name, "eps", eps, above=True)
    rng = generator(name, rng)
    victim = Victim(name, model, x, y, bounds=bounds)
    check_pictures(name, victim.x, "one of its attacks is Square")
    index = victim.todo
    if not len(index):
        raise ValueError(f"{name}: the model gets none of the {len(victim.x)} images right; check the labels")
    case = _Case(victim, index, eps, steps, bounds, rng)
    symptoms = [case.randomness(), case.flat_gradients(), case.wrong_gradients()]
    symptoms += case.against_pgd(queries, substitute)
    return Report(symptoms)


class _Case:
    """The images that are right from the start, and the settings of one examination."""

    def __init__(self, victim, index, eps, steps, bounds, rng):
        self.victim, self.model, self.x, self.y = victim, victim.model, victim.x[index], victim.y[index]
        self.index, self.eps, self.steps, self.bounds, self.rng = index, eps, steps, bounds, rng
        self.climb = objective("doctor", "ce", False)

    def after(self, attack, model=None, **options):
        """The result of an attack; Ctrl-C in it ends the examination, which would be wrong without it."""
        return unbroken(attack(self.model if model is None else model, self.x, self.y, bounds=self.bounds, **options))

    def randomness(self):
        first, second = self.victim.logits(self.x, self.index), self.victim.logits(self.x, self.index)
        gap = float(np.abs(first - second).max())
        return Symptom("randomness", gap, gap > 0, f"two passes differ by up to {gap:.3g} logits",
                       "average the gradient over many passes (expectation over transformation)")

    def flat_gradients(self):
        _, _, g = self._loss(self.x)
        zero = (g == 0).reshape(len(g), -1).mean(1)
        flat = float((zero == 1).mean())
        return Symptom("flat_gradients", flat, flat > 0.05,
                       f"{flat:.0%} of the images have a gradient of 0 or NaN ({zero.mean():.0%} of all values are 0)",
                       "differentiate the margin in place of the cross-entropy (loss='margin'), rescale the logits, or "
                       "replace what has no derivative by something smooth in the backward pass")

    def wrong_gradients(self, step=1e-2):
        """The loss after a small step along the gradient's sign, beside what the gradient promises."""
        _, before, g = self._loss(self.x)
        low, high = self.bounds
        moved = np.clip(self.x + step * np.sign(g), low, high).astype(self.x.dtype)
        promised = (g * (moved - self.x)).reshape(len(g), -1).sum(1)
        risen = self._loss(moved)[1] - before
        sloped = promised > 0
        lied = risen[sloped] <= 0.1 * promised[sloped]  # a convex loss rises by more than was promised
        wrong = float(lied.mean()) if len(lied) else 0.0
        return Symptom("wrong_gradients", wrong, wrong > 0.3,
                       f"for {wrong:.0%} of the images with a gradient a step of {step:g} raises the loss by less than "
                       "a tenth of what the gradient promises",
                       "check for steps, quantisation or noise in front of the network; attack what comes after them")

    def against_pgd(self, queries, substitute):
        """PGD, and everything that should not be able to beat it."""
        walk = {"steps": self.steps, "abs_stepsize": 2.5 * self.eps / self.steps, "rng": self.rng}
        base = self.after(pgd, eps=self.eps, **walk).success
        blind = self.after(square, eps=self.eps, n_queries=queries, rng=self.rng)
        found = [
            self._beats(base, self.after(fgsm, eps=self.eps).success, "one_step",
                        "one step (FGSM)", "the loss is rough: smaller steps, more of them, more restarts"),
            self._beats(base, blind.success, "black_box", f"{queries} black-box queries (Square)",
                        "trust the black-box attack; the gradient does not lead where the weakness is"),
        ]
        again = self.after(pgd, eps=self.eps, restarts=5, **walk).success
        gain = float((again & ~base).mean())
        found.append(Symptom("restarts", gain, gain > 0.15, f"five restarts turn {gain:.0%} more than one walk",
                             "the loss has many dead ends: report many restarts, or APGD"))
        found += [self._saturation(base, walk), self._larger_ball(base, walk)]
        room = self.bounds[1] - self.bounds[0]
        options = {**walk, "abs_stepsize": 2.5 * room / self.steps}
        left = float((~self.after(pgd, eps=room, loss="margin", **options).success).mean())
        found.append(Symptom("unbounded", left, left > 0.05,
                             f"{left:.0%} stand although every pixel may take any value",
                             "with no bound every network must fall; the attack is broken, not the network strong"))
        if substitute is not None:
            made = self.after(pgd, model=substitute, eps=self.eps, **walk).x_adv
            carried = Victim("doctor", self.model, made, self.y, bounds=self.bounds).already
            found.append(self._beats(base, carried, "transfer", "examples made for the substitute",
                                     "attack the substitute, or mix both gradients"))
        return found

    def _saturation(self, base, walk):
        """Where the softmax is sure of itself, the cross-entropy has no slope left, and the logits still have."""
        lead = float(np.median(self.victim.gap(self.victim.logits(self.x, self.index), self.index)))
        more = float((self.after(pgd, eps=self.eps, loss="margin", **walk).success & ~base).mean())
        return Symptom("saturation", more, more > 0.05,
                       f"the true class leads by {lead:.3g} logits (median); PGD on the margin turns {more:.0%} that "
                       "PGD on the cross-entropy does not", "attack the margin (loss='margin' or 'dlr')")

    def _larger_ball(self, base, walk):
        """In a ball four times as large the same attack, with steps as much longer, has to find more."""
        options = {**walk, "abs_stepsize": 4 * walk["abs_stepsize"]}
        wide = self.after(pgd, eps=4 * self.eps, **options).success.mean()
        gain = float(wide - base.mean())
        return Symptom("larger_ball", gain, gain < 0.02 and base.mean() < 0.95,
                       f"PGD turns {base.mean():.0%} with eps {self.eps:g}, {wide:.0%} with {4 * self.eps:g}",
                       "a larger ball holds more examples: if eps is not tiny, the attack is broken")

    def _beats(self, base, other, name, what, remedy):
        """A weaker attack turns images that PGD does not."""
        more = float((other & ~base).mean())
        finding = f"PGD-{self.steps} turns {base.mean():.0%}, {what} {other.mean():.0%}; {more:.0%} only the latter"
        return Symptom(name, more, more > 0.05, finding, remedy)

    def _loss(self, x):
        return self.victim.value_and_gradient(lambda z, at: self.climb(z, self.victim.y[at]), x, self.index)
