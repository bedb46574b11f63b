"""Neural Cleanse: for every class, the smallest trigger that would turn all images into it.

A backdoor is a shortcut: a few pixels suffice to reach the target from anywhere, where any other class takes a change
of a good part of the image. So search, for each class k, for a mask m (H, W) and a pattern p (C, H, W) that minimise

    mean over images x of  CE(f((1 - m) x + m p), k)  +  cost * |m|_1          with Adam, m and p = (1 + tanh(.)) / 2

and see whether one class has a mask that is much smaller than the others' (`anomaly_index`). The mask then shows where
the trigger sits. All classes are searched for at once, on the same batches; each has its own Adam, cost and end, so
that a class's search is the same whoever is beside it. Only masks and patterns have gradients, weights cost nothing.
"""
import time

import numpy as np

import minigrad
from minigrad import functional as F

from ..arguments import count, generator, number
from ..stop import Stoppable
from ..victim import check_pictures
from .cost import Cost
from .found import Cleansed
from .subject import subject
from .triggers import Overlay


def neural_cleanse(model, x, *, restarts=1, steps=100, batch_size=16, lr=0.1, init_cost=1e-3, cost_multiplier=2.0,
                   threshold=0.99, patience=5, early_stop=True, rng=None, callback=None, progress=False):
    """Reverse-engineer a trigger for every class, and say which class has one that is suspiciously small.

    Parameters
    ----------
    model : Module or callable
        Takes images (N, C, H, W) in [0, 1] and returns logits (N, K); in evaluation mode.
    x : array of shape (N, C, H, W)
        Clean images of all classes, such as a hundred test images; no labels are needed.
    restarts : int
        Searches for each class, from other beginnings; the smallest mask counts. The paper has one. A mask that has
        closed over a pixel does not open again, so a search may end in a mask several times the smallest.
    steps : int
        Passes over x, at most.
    batch_size : int
        Images in a batch, with an update of Adam each; every one is shown once for every class.
    lr : float
        Of Adam, with betas (0.5, 0.9) as the authors'.
    init_cost, cost_multiplier, patience, early_stop : float, float, int, bool
        How the cost of the mask's size is steered; see `Cost`.
    threshold : float in (0, 1]
        The part of all images that a trigger must take to its class to count.
    rng : numpy.random.Generator, optional
        For the first masks and patterns, and the order of the images.
    callback : callable, optional
        ``callback(step, masks, patterns, entry)`` after every pass, with (restarts, K, H, W), (restarts, K, C, H, W)
        and the trace's entry.
    progress : bool
        Show a bar. Ctrl-C ends the search; what was found until then is returned.

    Returns
    -------
    Cleansed
        Of each class, the smallest mask after any pass that takes the threshold's part of x to the class; the last
        one where none did. (The authors keep masks by the success of the batches before them; by that, some that are
        kept do not quite work.)

    References
    ----------
    Wang et al., Neural Cleanse, IEEE S&P 2019, eq. 3, and the authors' code.
    """
    name, start = "neural_cleanse", time.perf_counter()
    steps, batch_size = count(name, "steps", steps), count(name, "batch_size", batch_size)
    lr, threshold = number(name, "lr", lr, above=True), number(name, "threshold", threshold, high=1, above=True)
    steering = {"init_cost": number(name, "init_cost", init_cost, above=True),
                "multiplier": number(name, "cost_multiplier", cost_multiplier, low=1, above=True),
                "patience": count(name, "patience", patience), "early_stop": early_stop}
    restarts, (x, classes) = count(name, "restarts", restarts), subject(name, model, x)
    check_pictures(name, x, "a mask covers rows and columns of them")
    order, *own = generator(name, rng).spawn(restarts * classes + 1)
    searches = [Search(i % classes, x.shape[1:], x.dtype, r, lr, Cost(**steering)) for i, r in enumerate(own)]
    trace, stop, bar = [], Stoppable(), _bar(steps) if progress else None
    with stop:
        for step in range(steps):
            going = [search for search in searches if not search.cost.settled]
            if not going:
                break
            shuffled = order.permutation(len(x))
            one_pass(model, going, [x[shuffled[i:i + batch_size]] for i in range(0, len(x), batch_size)])
            for search in going:
                search.close(model, x, threshold)
            trace.append({key: value.reshape(restarts, classes) for key, value in _entry(searches, going).items()})
            if bar:
                bar.update()
            if callback:
                parts = (np.stack([getattr(s, part)() for s in searches]) for part in ("mask", "pattern"))
                callback(step, *(part.reshape(restarts, classes, *part.shape[1:]) for part in parts), trace[-1])
    if bar:
        bar.close()
    best = [min(searches[k::classes], key=lambda search: search.smallest) for k in range(classes)]
    masks, patterns = (np.stack([search.best[i] for search in best]) for i in (0, 1))
    return Cleansed(masks, patterns, [s.smallest < np.inf for s in best], trace, time.perf_counter() - start,
                    stop.interrupted)


class Search:
    """The search for one class: mask and pattern in tanh's numbers, their Adam, their cost, and the best so far."""

    def __init__(self, target, shape, dtype, rng, lr, cost):
        self.target, self.cost = target, cost
        self.raw = [minigrad.Tensor(np.arctanh(rng.uniform(-1, 1, s)).astype(dtype), requires_grad=True)
                    for s in ((1, *shape[1:]), shape)]
        self.adam = minigrad.optim.Adam(self.raw, lr=lr, betas=(0.5, 0.9))
        self.best, self.smallest = (self.mask(), self.pattern()), np.inf
        self.seen, self.sums = 0, np.zeros(3)

    def mask(self):
        """(H, W) in [0, 1]."""
        return opened(self.raw[0].data[0])

    def pattern(self):
        """(C, H, W) in [0, 1]."""
        return opened(self.raw[1].data)

    def note(self, images, losses, size, reached):
        """Add a batch to the pass's account: cross-entropies, the mask's size, and how many images reached it."""
        self.seen += images
        self.sums += losses, images * size, reached

    def close(self, model, x, threshold):
        """End a pass: keep the mask if it is the smallest that works, and steer the cost.

        The pass's own success is that of masks on the move; what is kept is tried, as it is, on all images.
        """
        self.loss, self.size, self.success = self.sums / self.seen
        self.seen, self.sums = 0, np.zeros(3)
        worked, mask, pattern = self.success >= threshold, self.mask(), self.pattern()
        size = mask.sum(dtype=np.float64)
        if worked and size < self.smallest and _taken(model, x, mask, pattern, self.target) >= threshold:
            self.best, self.smallest = (mask, pattern), size
        elif self.smallest == np.inf:
            self.best = mask, pattern
        self.cost.steer(worked, self.smallest)


def opened(raw):
    """From tanh's numbers to [0, 1]."""
    return (0.5 + 0.5 * np.tanh(raw)).astype(raw.dtype)


def one_pass(model, searches, batches):
    """Every image once for every class, with an update of every search after each batch (n, C, H, W)."""
    leaves = [leaf for search in searches for leaf in search.raw]
    cost = np.array([search.cost.value for search in searches], leaves[0].dtype)
    for images in batches:
        masks, patterns = (minigrad.stack([search.raw[i] for search in searches])[:, None].tanh() * 0.5 + 0.5
                           for i in (0, 1))  # (k, 1, 1, H, W), (k, 1, C, H, W)
        shown = images + masks * (patterns - images)  # (k, n, C, H, W)
        logits = model(shown.reshape(-1, *images.shape[1:]))
        targets = np.repeat([search.target for search in searches], len(images))
        losses = F.cross_entropy(logits, targets, reduction="none").reshape(len(searches), -1)
        sizes = masks.sum((1, 2, 3, 4))
        gradients = minigrad.grad((losses.mean(1) + sizes * cost).sum(), leaves)
        reached = (logits.data.argmax(1) == targets).reshape(len(searches), -1).sum(1)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        for i, search in enumerate(searches):
            search.note(len(images), losses.data[i].sum(), sizes.data[i], reached[i])
            search.adam.step()


def _taken(model, x, mask, pattern, target, batch_size=256):
    """The part of images that is taken for the target with the trigger on."""
    with minigrad.no_grad():
        found = [model(minigrad.Tensor(Overlay(mask, pattern).apply(x[i:i + batch_size]))).data.argmax(1) == target
                 for i in range(0, len(x), batch_size)]
    return np.concatenate(found).mean()


def _entry(searches, going):
    """A pass in numbers, one for each search; NaN where it has ended."""
    return {name: np.array([read(s) if s in going else np.nan for s in searches]) for name, read in (
        ("loss", lambda s: s.loss), ("norm", lambda s: s.size), ("success", lambda s: s.success),
        ("cost", lambda s: s.cost.value))}


def _bar(total):
    from tqdm import tqdm

    return tqdm(total=total, desc="neural_cleanse", leave=False)
