"""Attacks that follow the gradient of the loss: one step, many steps, steps with momentum.

All of them are one walk (`walk.py`): a step uphill on the loss, back into the ball around x and into the bounds, again.

    FGSM   one step of full length
    BIM    several steps from x
    PGD    several steps from a random place in the ball, and from others again (restarts)
    MI     several steps along a running sum of gradients
"""
from .arguments import count, number
from .norms import Linf, as_norm
from .walk import attack


def fgsm(model, x, y, *, eps, norm="linf", targeted=False, mask=None, loss="ce", bounds=(0, 1), rng=None,
         callback=None, progress=False):
    """One step of length eps in the direction that raises the linearised loss the most.

        x' = clip(x + eps s(g)),   g = gradient of the loss at x
        s(g) = sign(g) for Linf, g / |g|_2 for L2; for L1 the values with the largest |g| go to their bounds

    Parameters
    ----------
    model : Module or callable
        Gives logits (N, K), in evaluation mode.
    x : array of shape (N, C, H, W) in `bounds`
    y : integer array of shape (N,)
        The true classes; with `targeted` the classes wanted, whose loss is then lowered.
    eps : float, or one for each image
        Size of the perturbation in the norm, in units of a pixel value.
    norm : 'linf', 'l2' or 'l1'
    mask : boolean array that broadcasts to x's shape, optional
        Where the image may change; see `top_region`.
    loss : 'ce', 'margin' or 'dlr'
        See `attacks.losses`.
    rng
        Taken, as all attacks take it; nothing here is random.
    callback, progress
        See `path.Path`; the trace holds ``loss margin l2 linf`` of x and of x'. The margin is what the criterion
        lacks: the label's lead over the other classes, or theirs over the target.

    Returns
    -------
    AttackResult

    Raises
    ------
    ValueError, TypeError
        For images outside the bounds, labels out of range, a model in training mode or with probabilities for logits,
        an eps below 0, and other settings that make no sense.

    References
    ----------
    Goodfellow, Shlens, Szegedy, Explaining and harnessing adversarial examples, ICLR 2015. In L1, Foolbox divides g by
    its L1 norm, which is not the steepest step.
    """
    return attack("fgsm", model, x, y, eps=eps, norm=norm, targeted=targeted, mask=mask, loss=loss, bounds=bounds,
                  callback=callback, progress=progress, steps=1, rel_stepsize=1.0)


def bim(model, x, y, *, eps, norm="linf", steps=10, rel_stepsize=0.2, abs_stepsize=None, random_start=False,
        targeted=False, mask=None, loss="ce", early_stop=False, bounds=(0, 1), rng=None, callback=None,
        progress=False):
    """The basic iterative method: FGSM in small steps, from x; `pgd` with other defaults, whose parameters it has.

    Kurakin, Goodfellow, Bengio, Adversarial examples in the physical world, 2016.
    """
    return attack("bim", model, x, y, eps=eps, norm=norm, targeted=targeted, mask=mask, loss=loss, bounds=bounds,
                  callback=callback, progress=progress, steps=steps, rel_stepsize=rel_stepsize,
                  abs_stepsize=abs_stepsize, random_start=random_start, rng=rng, early_stop=early_stop)


def pgd(model, x, y, *, eps, norm="linf", steps=None, rel_stepsize=None, abs_stepsize=None, random_start=True,
        restarts=1, targeted=False, mask=None, loss="ce", early_stop=False, bounds=(0, 1), rng=None, callback=None,
        progress=False):
    """Projected gradient descent: climb the loss inside the ball, from a random place of it.

        x_0 uniform in the ball,   x_{t+1} = clip(P(x_t + a s(g_t)))

    with P the Euclidean projection onto the ball; in L1 onto ball and bounds at once (`L1.project_in_box`).

    Parameters
    ----------
    eps, norm, mask, loss, targeted, bounds, callback, progress : as in `fgsm`
    steps : int
        40, or 50 in L2 and L1.
    rel_stepsize : float
        a / eps: 0.01 / 0.3, or 0.025 in L2 and L1.
    abs_stepsize : float, optional
        a itself; takes precedence.
    random_start : bool
    restarts : int
        Walks from so many random places; what has met the criterion does not walk again.
    early_stop : bool
        Leave a sample once it meets the criterion: cheaper, but nearer to the boundary than the walk's end.
    rng : numpy Generator, optional
        Every sample draws from a stream of its own: see `streams`.

    Returns
    -------
    AttackResult
        The last image of a walk that ends in success; else, of all walks, the image that came closest.
        ``extra["restart"]`` is the number of the walk it is from.

    References
    ----------
    Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018; L1: Duchi et al. 2008,
    Croce and Hein, Mind the box, ICML 2021.
    """
    linf = isinstance(as_norm("pgd", norm), Linf)
    return attack("pgd", model, x, y, eps=eps, norm=norm, targeted=targeted, mask=mask, loss=loss, bounds=bounds,
                  callback=callback, progress=progress, steps=(40 if linf else 50) if steps is None else steps,
                  rel_stepsize=(0.01 / 0.3 if linf else 0.025) if rel_stepsize is None else rel_stepsize,
                  abs_stepsize=abs_stepsize, random_start=random_start, restarts=restarts, rng=rng,
                  early_stop=early_stop)


def mi_fgsm(model, x, y, *, eps, norm="linf", steps=10, momentum=1.0, rel_stepsize=None, abs_stepsize=None,
            random_start=False, targeted=False, mask=None, loss="ce", early_stop=False, bounds=(0, 1), rng=None,
            callback=None, progress=False):
    """The momentum iterative method: steps along a running sum of gradients, which carry over better to other models.

        m_{t+1} = momentum m_t + g_t / |g_t|_1,   x_{t+1} = clip(P(x_t + a s(m_{t+1}))),   a = eps / steps

    Parameters
    ----------
    momentum : float
    rel_stepsize : float
        a / eps; 1 / steps.

    The others are those of `pgd`.

    References
    ----------
    Dong et al., Boosting adversarial attacks with momentum, CVPR 2018, algorithm 1. Foolbox sums signs of gradients
    instead of gradients.
    """
    steps = count("mi_fgsm", "steps", steps)
    return attack("mi_fgsm", model, x, y, eps=eps, norm=norm, targeted=targeted, mask=mask, loss=loss, bounds=bounds,
                  callback=callback, progress=progress, steps=steps, abs_stepsize=abs_stepsize,
                  rel_stepsize=1 / steps if rel_stepsize is None else rel_stepsize, random_start=random_start, rng=rng,
                  momentum=number("mi_fgsm", "momentum", momentum), early_stop=early_stop)
