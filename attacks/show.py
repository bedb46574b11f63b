"""Pictures of attacks: what changed, magnified until it is seen, and the path an attack took.

Nothing is shown, figures are returned; charts of numbers are in `charts`.
"""
import numpy as np

COMPARED = ("clean", "adversarial", "difference")
FACTORS = (1, 2, 5, 10, 20, 50, 100)


def magnified(x_adv, x, factor=10.0):
    """0.5 + factor (x_adv - x), cut to [0, 1]: grey is no change, white more, black less."""
    return np.clip(0.5 + factor * (np.asarray(x_adv, np.float64) - x), 0, 1)


def fitting(change):
    """The largest of `FACTORS` that, of the values that changed, cuts off no more than one in a hundred."""
    changed = np.abs(change[change != 0])
    largest = np.quantile(changed, 0.99) if len(changed) else 0
    return max(f for f in FACTORS if f == 1 or f * largest <= 0.5 + 1e-5)


def compare(result, index=None, *, factor=10.0, labels=None, figure=None):
    """Rows of clean image, adversarial image, and their difference, magnified.

    Parameters
    ----------
    result : AttackResult
    index : sequence of int, optional
        Which samples; the first eight.
    factor : float
        Of the difference; it is stated in the picture.
    labels : sequence of str, optional
        What to write above each sample; its status and L2 distance.
    figure : matplotlib Figure, optional

    Returns
    -------
    matplotlib Figure
    """
    index = range(min(8, len(result))) if index is None else list(index)
    if not len(index):
        raise ValueError("compare: index is empty, expected at least one sample")
    rows = [result.x, result.x_adv, magnified(result.x_adv, result.x, factor)]
    labels = [f"{result.status[i]}\nL2 {result.distance['l2'][i]:.2f}" for i in index] if labels is None else labels
    figure = _figure(figure, 1.1 * len(index) + 1, 3.8)
    axes = figure.subplots(3, len(index), squeeze=False)
    low, high = result.settings.get("bounds", (0, 1))
    for row, images, name in zip(axes, rows, (*COMPARED[:2], f"difference x {factor:g}"), strict=True):
        limits = (0, 1) if name.startswith(COMPARED[2]) else (low, high)
        for ax, i in zip(row, index, strict=True):
            draw(ax, images[i], limits)
        row[0].set_ylabel(name, fontsize=8)
    for ax, label in zip(axes[0], labels, strict=True):
        ax.set_title(label, fontsize=8)
    return figure


class Film:
    """A callback that keeps one sample's images: ``pgd(..., callback=(film := Film(0, every=5)))``.

    Parameters
    ----------
    index : int
        Which sample.
    every : int
        Keep every so many-th step.

    Attributes
    ----------
    images, steps, entries : list
        The images (C, H, W), their steps, and the sample's numbers of the trace at them.
    """

    def __init__(self, index=0, *, every=1):
        self.index, self.every = index, every
        self.images, self.steps, self.entries = [], [], []

    def __call__(self, step, x, entry):
        """Keep the step, if it is its turn."""
        if step % self.every == 0:
            self.images.append(x[self.index].copy())
            self.steps.append(step)
            self.entries.append({name: value[self.index] for name, value in entry.items()})


def filmstrip(film, *, factor=10.0, bounds=(0, 1), figure=None):
    """The images of a film side by side, below them what has changed since the first, magnified.

    Parameters
    ----------
    film : Film
    factor : float
    bounds : (low, high)
    figure : matplotlib Figure, optional

    Returns
    -------
    matplotlib Figure
    """
    if not film.images:
        raise ValueError("filmstrip: the film holds no image; pass it to an attack as callback=film")
    figure = _figure(figure, 1.1 * len(film.images) + 1, 2.9)
    axes = figure.subplots(2, len(film.images), squeeze=False)
    for top, below, image, step, entry in zip(*axes, film.images, film.steps, film.entries, strict=True):
        draw(top, image, bounds)
        draw(below, magnified(image, film.images[0], factor), (0, 1))
        margin = f"\nmargin {entry['margin']:.1f}" if "margin" in entry else ""
        top.set_title(f"step {step}{margin}", fontsize=8)
    axes[0, 0].set_ylabel("image", fontsize=8)
    axes[1, 0].set_ylabel(f"change x {factor:g}", fontsize=8)
    return figure


def path(result, names=("loss", "margin"), *, index=None, ax=None):
    """Curves of the trace over the steps: one sample's, or the mean of those that still took part.

    Parameters
    ----------
    result : AttackResult
    names : sequence of str
        Entries of the trace; the cost curve of `rubbish_image` is ``["cost"]``.
    index : int, optional
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    missing = [name for name in names if not result.trace or name not in result.trace[0]]
    if missing:
        raise ValueError(f"path: the trace of {result.attack} holds no {missing[0]!r}; it has "
                         f"{', '.join(result.trace[0]) if result.trace else 'no entries'}")
    ax = _figure(None, 5, 3).subplots() if ax is None else ax
    for name in names:
        values = np.array([entry[name] for entry in result.trace])
        alive = ~np.isnan(values)
        mean = np.where(alive, values, 0).sum(1) / np.maximum(alive.sum(1), 1)
        ax.plot(np.where(alive.any(1), mean, np.nan) if index is None else values[:, index], label=name)
    ax.set_xlabel("step")
    ax.set_title(result.attack + (", mean" if index is None else f", sample {index}"), fontsize=9)
    ax.legend(fontsize=8)
    return ax


def draw(ax, image, limits=(0, 1)):
    """One image (C, H, W), grey or RGB, without ticks; `limits` are black and white."""
    image = (np.clip(np.asarray(image, np.float64), *limits) - limits[0]) / (limits[1] - limits[0])
    ax.imshow(image[0] if len(image) == 1 else image.transpose(1, 2, 0), cmap="gray", vmin=0, vmax=1)
    ax.set_xticks([])
    ax.set_yticks([])
    return ax


def _figure(figure, width, height):
    """The figure given, as it is; or a new one of that size in inches."""
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure(figsize=(width, height), layout="constrained")
    return figure
