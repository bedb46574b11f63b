"""Attacks on explanations: change the heat map, keep the answer.

A heat map is a function of the image as the logits are, so it can be attacked as they are: follow the gradient of a
loss of the *map*, which is a derivative of a derivative. There is one obstacle. In a ReLU network the gradient is
constant between kinks, and so has no slope to follow. Dombrowski et al. put softplus in the place of ReLU; here the
forward pass keeps its ReLUs, and on the way back each passes g sigmoid(beta x), the derivative of softplus with
sharpness beta, in place of g 1[x > 0]: one rule on the tape. The map then has a slope; what counts in the end is the
exact map (beta infinite), which is what is measured.
"""
import numpy as np

import minigrad
from minigrad import functional as F
from minigrad import ops

from .arguments import choice, count, limits, number, radius
from .ball import Ball
from .path import Path
from .similarity import spearman, ssim, top_k, top_k_intersection
from .streams import streams
from .victim import Victim, check_pictures, checked_images
from .walk import walkable

GOALS = ("top_k", "mass_center", "target")


def gradient_map(model, x, target, *, beta=None):
    """|gradient of the target's logit|, summed over channels: a Tensor (N, H, W) that can be differentiated.

    Parameters
    ----------
    model : Module or callable
    x : Tensor (N, C, H, W) that requires a gradient
    target : integer array (N,)
    beta : float, optional
        Sharpness of the ReLUs on the way back; exact if left out.
    """
    return _gradient(model, x, target, beta).abs().sum(1)


def gradient_x_input_map(model, x, target, *, beta=None):
    """|gradient times input|, summed over channels; as `gradient_map`."""
    return (_gradient(model, x, target, beta) * x).abs().sum(1)


def integrated_gradients_map(model, x, target, *, beta=None, n_steps=10):
    """|integrated gradients| from black, by the midpoint rule, summed over channels; as `gradient_map`."""
    parts = [_gradient(model, x * ((k + 0.5) / n_steps), target, beta) for k in range(n_steps)]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return (total * x / n_steps).abs().sum(1)


MAPS = {"gradient": gradient_map, "gradient_x_input": gradient_x_input_map,
        "integrated_gradients": integrated_gradients_map}


def manipulate_map(model, x, y=None, *, eps, goal="top_k", target_map=None, k=None, explainer="gradient", norm="linf",
                   steps=100, rel_stepsize=0.02, beta=10.0, random_start=True, bounds=(0, 1), rng=None, callback=None,
                   progress=False):
    """Move each image inside a ball so that its heat map changes and its class does not.

        maximise over |x' - x| <= eps   D(h(x'))   with the class of x kept,   h the map, its sum scaled to 1

        top_k          D = - sum of h over the k places where h(x) is largest
        mass_center    D = |c(h(x')) - c(h(x))|^2, c the centre of mass
        target         D = - |h(x') - t|^2, t the map that is wanted

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,), optional
        The class whose map is attacked and which is kept; the predicted one.
    eps : float, or one for each image
    goal : 'top_k', 'mass_center' or 'target'
    target_map : array of shape (H, W) or (N, H, W), for ``goal='target'``
        Not negative, of any scale.
    k : int, optional
        Of top_k; a tenth of the pixels.
    explainer : 'gradient', 'gradient_x_input', 'integrated_gradients', or callable
        ``explainer(model, x, target, beta=) -> Tensor (N, H, W)``, differentiable, with ``beta=None`` the exact map.
    norm : 'linf', 'l2' or 'l1'
    steps, rel_stepsize : int, float
        Steps, and their length in parts of eps.
    beta : float
        Sharpness of the ReLUs on the way back. Large: nearer to the exact map, and harder to climb.
    random_start : bool
        Start at a random place of a ball of a tenth of eps.
    rng : numpy Generator, optional
        For the start and the control; every sample draws from a stream of its own.

    Returns
    -------
    AttackResult
        ``success``: the class is kept, and the exact map is less like the original's (``top_k``) than after random
        noise of equal norm. x_adv is, of the walk's images that keep the class, the one whose exact map serves the
        goal best. ``trace``: ``loss`` (D), ``margin`` (the lead of the class that is to be kept), ``kept``, ``l2``,
        ``linf``. ``extra["maps"]`` (original, attacked, control) of (N, H, W); ``extra["similarity"]`` and
        ``extra["control"]``: ``top_k, spearman, ssim`` (N,) to the original map, after the attack and after the noise.

    Raises
    ------
    ValueError, TypeError
        As the other attacks; a target map that is missing, of another shape, or negative.

    References
    ----------
    Ghorbani, Abid, Zou, Interpretation of neural networks is fragile, AAAI 2019 (top_k, mass_center); Dombrowski et
    al., Explanations can be manipulated and geometry is to blame, NeurIPS 2019 (target; beta).
    """
    name = "manipulate_map"
    goal, steps = choice(name, "goal", goal, GOALS), count(name, "steps", steps)
    beta, rel_stepsize = number(name, "beta", beta, above=True), number(name, "rel_stepsize", rel_stepsize, above=True)
    explain = explainer if callable(explainer) else MAPS[choice(name, "explainer", explainer, tuple(MAPS))]
    x = checked_images(name, x, limits(name, bounds))
    check_pictures(name, x, "a heat map has rows and columns")
    victim = Victim(name, model, x, np.zeros(len(x), int) if y is None else y, bounds=bounds)
    victim.y = victim.clean.argmax(1) if y is None else victim.y
    victim.already = victim.clean.argmax(1) != victim.y
    norm, eps = walkable(name, norm), radius(name, eps, len(victim.x))
    ball, rngs = Ball(norm, victim.x, eps, victim.bounds), streams(victim.attack, rng, victim.x, victim.y)
    task = _Task(victim, explain, beta, goal, target_map, k)
    x_now = victim.x
    if random_start:
        start = Ball(norm, victim.x, 0.1 * eps, victim.bounds).random(rngs, np.arange(len(victim.x)))
        x_now = np.where(_per_sample(victim.already), victim.x, start)
    best, reached = victim.x.copy(), task.score(minigrad.Tensor(task.original), np.arange(len(victim.x))).data.copy()
    todo, size = victim.todo, np.broadcast_to(eps * rel_stepsize, len(victim.x))
    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps + 1):
            value, g, logits = task.look(x_now[todo], todo)
            kept = logits.argmax(1) == victim.y[todo]
            path.record(todo, x_now[todo], logits, loss=value, kept=kept.astype(float))
            better = todo[kept & (value > reached[todo])]
            best[better], reached[better] = x_now[better], value[np.isin(todo, better)]
            if step < steps:
                moved = x_now[todo] + ball.step(g, x_now[todo], size[todo], todo)
                x_now = x_now.copy()
                x_now[todo] = ball.confine(moved, todo)
    return _account(victim, task, best, rngs, path,
                    {"eps": eps, "norm": norm, "goal": goal, "steps": steps, "beta": beta, "bounds": victim.bounds})


class _Task:
    """What the map is to become, and how well an image does."""

    def __init__(self, victim, explain, beta, goal, target_map, k):
        self.victim, self.explain, self.beta, self.goal = victim, explain, beta, goal
        self.height, self.width = victim.x.shape[2:]
        self.k = max(1, self.height * self.width // 10) if k is None else count(victim.attack, "k", k)
        if self.k >= self.height * self.width:
            raise ValueError(f"{victim.attack}: k is {self.k}, expected less than {self.height} x {self.width} places")
        self.original = self.exact(victim.x, np.arange(len(victim.x)))
        self.important = top_k(self.original, self.k).astype(victim.x.dtype)
        self.center = np.stack([(_scaled(self.original) * axis).sum((1, 2)) for axis in self._axes()])
        self.wanted = self._target(target_map) if goal == "target" else None

    def exact(self, x, index):
        """The maps (n, H, W) that the explainer gives."""
        leaf = minigrad.Tensor(x, requires_grad=True)
        return self.explain(self.victim.model, leaf, self.victim.y[index]).data

    def look(self, x, index):
        """For images x: how well their exact maps serve the goal, where to go, and the logits."""
        if not len(index):
            return np.zeros(0), x, self.victim.clean[:0]
        leaf = minigrad.Tensor(x, requires_grad=True)
        smooth = self.score(self.explain(self.victim.model, leaf, self.victim.y[index], beta=self.beta), index)
        g = minigrad.grad(smooth, leaf).data
        logits = self.victim.logits(x, index)
        self.victim.gradients[index] += 2
        losing = self.victim.gap(logits, index) < 0.1 * self.victim.gap(self.victim.clean[index], index)
        if losing.any():  # nearly another class: first back to where the class is sure
            leaf = minigrad.Tensor(x[losing], requires_grad=True)
            loss = F.cross_entropy(self.victim.model(leaf), self.victim.y[index][losing], reduction="sum")
            g[losing] = -minigrad.grad(loss, leaf).data
        exact = self.score(minigrad.Tensor(self.exact(x, index)), index).data
        return exact, g, logits

    def score(self, h, index):
        """The goal (n,) of maps h (n, H, W), a Tensor."""
        h = h / (h.sum(axis=(1, 2), keepdims=True) + 1e-12)
        if self.goal == "top_k":
            return -(h * self.important[index]).sum(axis=(1, 2))
        if self.goal == "target":
            return -((h - self.wanted[index]) ** 2).sum(axis=(1, 2)) * (self.height * self.width)
        rows, columns = ((h * axis).sum(axis=(1, 2)) - c[index].astype(h.dtype)
                         for axis, c in zip(self._axes(), self.center, strict=True))
        return rows**2 + columns**2

    def _axes(self):
        """Row and column numbers (H, W)."""
        return np.indices((self.height, self.width)).astype(self.victim.x.dtype)

    def _target(self, target_map):
        shape = len(self.victim.x), self.height, self.width
        if target_map is None:
            raise ValueError(f"{self.victim.attack}: target_map is missing, expected shape {shape} or {shape[1:]}; "
                             "goal='target' needs the map that is wanted")
        wanted = np.asarray(target_map, self.victim.x.dtype)
        if wanted.shape not in (shape, shape[1:]) or (wanted < 0).any() or not wanted.sum() > 0:
            raise ValueError(f"{self.victim.attack}: target_map has shape {wanted.shape}, least value "
                             f"{wanted.min():g}; expected {shape} or {shape[1:]}, nothing negative, not all zero")
        return _scaled(np.broadcast_to(wanted, shape))


def _gradient(model, x, target, beta):
    """The gradient of each target's logit (N, C, H, W), on a tape of its own."""
    def smooth(op, g, y, pre):
        return (lambda: g * (beta * pre).sigmoid(),)

    rules = (lambda t: smooth if isinstance(t.op, ops.ReLU) else None) if beta else None
    logits = model(x)
    seed = np.zeros(logits.shape, logits.dtype)
    seed[np.arange(len(seed)), target] = 1
    return minigrad.grad(logits, x, seed, rules=rules, create_graph=True)


def _account(victim, task, best, rngs, path, settings):
    """Compare the exact maps before, after, and after noise of equal norm."""
    change = (best - victim.x).reshape(len(best), -1)
    low, high = victim.bounds
    noise = np.stack([r.permutation(d) * r.choice([-1, 1], d.size) for r, d in zip(rngs, change, strict=True)])
    noisy = np.clip(victim.x + noise.reshape(best.shape).astype(best.dtype), low, high)
    everyone = np.arange(len(best))
    maps = {"original": task.original} | {kind: path.finish(lambda image=image: task.exact(image, everyone))
                                          for kind, image in (("attacked", best), ("control", noisy))}
    alike, control = ({"top_k": top_k_intersection(task.original, maps[kind], task.k),
                       "spearman": spearman(task.original, maps[kind]), "ssim": ssim(task.original, maps[kind])}
                      for kind in ("attacked", "control"))
    kept = path.finish(lambda: victim.logits(best)).argmax(1) == victim.y
    return victim.result(best, trace=path.trace, settings=settings, met=kept & (alike["top_k"] < control["top_k"]),
                         interrupted=path.interrupted, maps=maps, similarity=alike, control=control, kept=kept)


def _scaled(maps):
    return maps / (maps.sum((1, 2), keepdims=True) + 1e-12)


def _per_sample(flags):
    return flags.reshape(-1, 1, 1, 1)
