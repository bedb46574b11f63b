"""JSMA: change very few pixels, each as much as it can bear, chosen by a saliency map of the logits' Jacobian."""
import numpy as np

from .arguments import number
from .best import Best
from .norms import L0, flat
from .path import Path
from .victim import Victim


def jsma(model, x, y, *, targeted=False, theta=1.0, gamma=0.145, bounds=(0, 1), rng=None, callback=None,
         progress=False):
    """Few changed values: each step moves the pair of them that helps the target the most and the others the least.

    With alpha_i = df_t / dx_i and beta_i = sum over j != t of df_j / dx_i, the pair (p, q) with the largest

        -(alpha_p + alpha_q) (beta_p + beta_q),   alpha_p + alpha_q > 0 > beta_p + beta_q

    is moved by theta (signs turned where theta < 0) and clipped; values at the bound are left alone. It ends at the
    target class, when gamma of all values were moved, or when no pair helps. Untargeted, it is the label's saliency
    with its sign turned: the label has to lose and the others to gain.

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted.
    theta : float, not 0
        What a step adds to a value, in units of x.
    gamma : float in (0, 1]
        At most this part of the values is moved; the paper's 14.5 % are 112 of the 784 of an MNIST digit.
    rng
        Taken, as all attacks take it; nothing here is random.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l0 l2 linf``.

    Returns
    -------
    AttackResult
        A failure holds the image that came closest to the criterion.

    References
    ----------
    Papernot et al., The limitations of deep learning in adversarial settings, EuroS&P 2016, algorithm 2, on logits;
    untargeted: Wiyatno, Xu, Maximal Jacobian-based saliency map attack, 2018.
    """
    gamma, theta = number("jsma", "gamma", gamma, high=1, above=True), number("jsma", "theta", theta, low=-np.inf)
    if theta == 0:
        raise ValueError("jsma: theta is 0, expected what a step adds to a value, such as 1 or -1")
    victim = Victim("jsma", model, x, y, targeted=targeted, bounds=bounds)
    best, image = Best(victim), victim.x.copy()
    steps = int(gamma * image[0].size / 2)
    active, logits = victim.todo, victim.clean[victim.todo]
    with Path(victim, steps + 1, callback, progress) as path:
        for step in range(steps + 1 if len(active) else 0):
            distance = L0().distance(image[active] - victim.x[active])
            met = best.offer(active, image[active], logits, distance)
            path.record(active, image[active], logits, l0=distance)
            active = active[~met]
            if step == steps or not len(active):
                break
            moved = _move(victim, image, active, theta)
            active = active[moved]
            if not len(active):
                break
            logits = victim.logits(image[active], active)
    return victim.result(best.x, trace=path.trace, interrupted=path.interrupted, settings=dict(
        targeted=targeted, theta=theta, gamma=gamma, bounds=bounds))


def _move(victim, image, index, theta):
    """Move the best pair of each sample, in place; says for which there was one."""
    def rows(logits, part):
        own = np.zeros_like(logits)
        own[np.arange(len(part)), victim.y[part]] = 1
        return np.stack([own, 1 - own])

    _, (alphas, betas) = victim.pull(rows, image[index], index)
    sign = np.sign(theta) * (1 if victim.targeted else -1)
    limit = victim.bounds[1] if theta > 0 else victim.bounds[0]
    moved = np.zeros(len(index), bool)
    for k, (i, alpha, beta) in enumerate(zip(index, flat(alphas) * sign, flat(betas) * sign, strict=True)):
        values = image[i].reshape(-1)
        pair = best_pair(alpha, beta, np.flatnonzero(values != limit))
        if pair is not None:
            values[list(pair)] = np.clip(values[list(pair)] + theta, *victim.bounds)
            image[i], moved[k] = values.reshape(image[i].shape), True
    return moved


def best_pair(alpha, beta, domain):
    """The pair in `domain` with the largest -(alpha_p + alpha_q)(beta_p + beta_q), both factors of the right sign.

    Both of the pair are among the values that at most one other beats in alpha *and* in beta (or that one could take
    its place): a few dozen instead of all, which leaves few pairs to try. None if no pair helps.
    """
    order = domain[np.lexsort((beta[domain], -alpha[domain]))]
    least, second, kept = np.inf, np.inf, []
    for i in order:
        if beta[i] < second:
            kept.append(i)
            least, second = min(least, beta[i]), min(second, max(least, beta[i]))
    kept = np.array(kept, int)
    gain, loss = alpha[kept][:, None] + alpha[kept], beta[kept][:, None] + beta[kept]
    score = np.where((gain > 0) & (loss < 0), -gain * loss, 0)
    np.fill_diagonal(score, 0)
    if not score.size or score.max() <= 0:
        return None
    p, q = np.unravel_index(score.argmax(), score.shape)
    return int(kept[p]), int(kept[q])
