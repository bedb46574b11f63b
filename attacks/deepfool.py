"""DeepFool: walk to the nearest face of the polyhedron that the classifier's linearisation says we are in.

Where a classifier is linear, the nearest point of class k lies at |f_k - f_0| / |w_k|_q along w_k, with w_k the
gradient of f_k - f_0 and q the dual of the norm: a closed form. A network is not linear, so the step is taken again
from where it led, until the label changes.
"""
import numpy as np

from .arguments import count, number
from .best import Best
from .norms import per_sample
from .path import Path
from .penalty import norm_among
from .victim import Victim


def deepfool(model, x, y, *, norm="l2", steps=50, candidates=10, overshoot=0.02, offset=1e-4, bounds=(0, 1), rng=None,
             callback=None, progress=False):
    """The nearest decision boundary, by linearising again and again.

    From the clean image's class 0 and the `candidates` - 1 classes with the next largest logits,

        d_k = |f_k - f_0| / |w_k|_q,   k = argmin d_k
        r <- r + (d_k + offset) s(w_k),   x' = clip(x + (1 + overshoot) r)

    with s(w) the steepest step of the norm: w / |w|_2 for L2, sign(w) for Linf. It stops at the first other label, so
    the distance is an upper bound of the robustness of x; on a linear model it is (1 + overshoot) (d + offset) exactly,
    where the box does not interfere.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes. There is no targeted form.
    norm : 'l2' or 'linf'
    steps : int
        At most so many linearisations.
    candidates : int, at least 2
        Only the classes with so many largest clean logits are looked at, the clean class among them.
    overshoot : float
        The part of the path that is walked beyond it, to cross the boundary and not only to reach it.
    offset : float
        Added to every distance, as in the authors' program; 0 gives the paper's formula.
    rng
        Taken, as all attacks take it; nothing here is random.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf``.

    Returns
    -------
    AttackResult
        A failure holds the image of the path that came closest to another label.

    References
    ----------
    Moosavi-Dezfooli, Fawzi, Frossard, DeepFool: a simple and accurate method to fool deep neural networks, CVPR 2016,
    algorithm 2; the authors' program never clips, this one clips to the bounds after every step.
    """
    norm = norm_among("deepfool", norm, ("l2", "linf"))
    steps, candidates = count("deepfool", "steps", steps), count("deepfool", "candidates", candidates, low=2)
    overshoot, offset = number("deepfool", "overshoot", overshoot), number("deepfool", "offset", offset)
    victim = Victim("deepfool", model, x, y, bounds=bounds)
    bounds = victim.bounds
    best, image, walked = Best(victim), victim.x.copy(), np.zeros_like(victim.x)
    classes = np.argsort(-victim.clean, axis=1, kind="stable")[:, :candidates]
    active, logits = victim.todo, victim.clean[victim.todo]
    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps + 1 if len(active) else 0):
            met = best.offer(active, image[active], logits, norm.distance(image[active] - victim.x[active]))
            path.record(active, image[active], logits)
            active = active[~met]
            if step == steps or not len(active):
                break
            walked[active] += _to_nearest_face(victim, norm, image[active], classes, active, offset)
            image[active] = np.clip(victim.x[active] + (1 + overshoot) * walked[active], *bounds)
            logits = victim.logits(image[active], active)
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        norm=norm, steps=steps, candidates=candidates, overshoot=overshoot, offset=offset, bounds=bounds))


def _to_nearest_face(victim, norm, x, classes, index, offset):
    """The shortest step that takes the linearised model at x from its clean class to another; zero where it is flat."""
    rows, first, others = np.arange(len(index)), classes[index, 0], classes[index, 1:]

    def differences(logits, part):
        weights = np.zeros((others.shape[1], *logits.shape))
        own = np.arange(len(part))
        weights[:, own, classes[part, 0]] = -1
        weights[np.arange(len(weights))[:, None], own, classes[part, 1:].T] = 1
        return weights

    logits, gradients = victim.pull(differences, x, index)
    differ = np.abs(logits[rows, first][:, None] - logits[rows[:, None], others])
    slope = np.stack([norm.dual(g) for g in gradients], axis=1)
    distance = np.divide(differ, slope, out=np.full_like(differ, np.inf), where=slope > 0)
    nearest = distance.argmin(1)
    length = distance[rows, nearest] + offset
    length[~np.isfinite(length)] = 0
    return norm.steepest(gradients[nearest, rows]) * per_sample(length, x)
