"""Pictures of a training run: curves, a confusion matrix, the images it got wrong. Matplotlib lives here only.

Functions draw into axes they are given, or make some; none shows or saves anything but `save`.
"""

import numpy as np

from .files import write_atomically

BLUE, ORANGE, GREY = "#2a6fb0", "#e07b28", "#777777"


def curves(history, axes=None):
    """Draw loss and accuracy over the epochs into a pair of axes.

    Parameters
    ----------
    history : History
    axes : pair of matplotlib Axes, optional

    Returns
    -------
    pair of Axes
        Loss, accuracy.
    """
    if not len(history):
        raise ValueError("curves: the history has no epoch yet; train for at least one")
    loss, accuracy = _new_axes(1, 2, (10, 4)) if axes is None else axes
    epochs = np.arange(1, len(history) + 1)
    panels = ((loss, 1, "loss (cross-entropy, log scale)", history.train_loss, history.test_loss, "{:.4f}"),
              (accuracy, 100, "accuracy (%)", history.train_accuracy, history.test_accuracy, "{:.2f} %"))
    for ax, scale, name, train, test, form in panels:
        for values, label, colour in ((train, "train", BLUE), (test, "test", ORANGE)):
            values = scale * np.asarray(values)
            ax.plot(epochs, values, "o-", markersize=4, color=colour,
                    label=f"{label}: {form.format(values[-1])} at the end")
        ax.set(xlabel="epoch", ylabel=name, xlim=(0.5, len(history) + 0.5))
        ax.xaxis.get_major_locator().set_params(integer=True, nbins=10)
        ax.grid(color="#dddddd", linewidth=0.6)
        ax.spines[["top", "right"]].set_visible(False)
    loss.set_yscale("log", subs=())
    loss.yaxis.get_major_locator().set_params(subs=(1, 2, 5))
    loss.yaxis.set_major_formatter("{x:g}")
    largest = max(1, 100 - 100 * min(history.test_accuracy))
    accuracy.set_ylim(bottom=max(accuracy.get_ylim()[0], 100 - 4 * largest))  # a poor first epoch would hide the rest
    best, last = int(np.argmin(history.test_loss)) + 1, history.test_loss[-1]
    grew = last > 1.05 * min(history.test_loss)
    titles = (f"Test loss is lowest after epoch {best}, then overfits" if grew else f"Test loss falls to {last:.4f}",
              f"{100 * history.test_accuracy[-1]:.2f} % of the test images right")
    for ax, title, place in zip((loss, accuracy), titles, ("upper right", "lower right")):
        ax.set_title(title, loc="left", fontsize=11)
        ax.legend(frameon=False, loc=place)
    return loss, accuracy


def confusion_matrix(labels, predictions, classes, ax=None):
    """Draw how often each class was taken for which, as counts; the diagonal (what was right) is left uncoloured.

    Parameters
    ----------
    labels, predictions : ndarray (N,), integers
    classes : sequence of str
    ax : matplotlib Axes, optional

    Returns
    -------
    Axes
    """
    n = len(classes)
    counts = np.bincount(np.asarray(labels) * n + predictions, minlength=n * n).reshape(n, n)
    ax = _new_axes(1, 1, (0.55 * n + 2, 0.5 * n + 1.6)) if ax is None else ax
    mistakes = counts * (1 - np.eye(n, dtype=int))
    ax.imshow(np.ma.masked_equal(mistakes, 0), cmap="Oranges", vmin=0, vmax=max(10, 1.4 * mistakes.max()))
    for i in range(n):
        for j in range(n):
            if counts[i, j]:
                ax.text(j, i, f"{counts[i, j]:,}", ha="center", va="center", fontsize=9,
                        color=GREY if i == j else "black")
    long = max(map(len, classes)) > 2
    ax.set_xticks(range(n), classes, rotation=45 if long else 0, ha="right" if long else "center",
                  rotation_mode="anchor" if long else "default")
    ax.set_yticks(range(n), classes)
    ax.set(xlabel="predicted", ylabel="true")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_xticks(np.arange(n - 1) + 0.5, minor=True)
    ax.set_yticks(np.arange(n - 1) + 0.5, minor=True)
    ax.grid(which="minor", color="#dddddd", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    wrong = mistakes.sum()
    if wrong and mistakes.max() == 1:
        finding = f"{wrong:,} of {len(labels):,} wrong,\nno confusion more than once"
    elif wrong:
        i, j = np.unravel_index(mistakes.argmax(), mistakes.shape)
        finding = (f"{wrong:,} of {len(labels):,} wrong; most often\n"
                   f"{classes[i]} taken for {classes[j]} ({mistakes[i, j]:,} of {counts[i].sum():,})")
    else:
        finding = f"All {len(labels):,} right"
    ax.set_title(finding, loc="left", fontsize=11)
    return ax


def misclassified(dataset, metrics, rows=4, columns=6, figure=None):
    """Draw the images a model was wrong about, surest mistakes first, each with what it is and what it was taken for.

    Parameters
    ----------
    dataset : Dataset
    metrics : Metrics
        What `train.evaluate` found on it.
    rows, columns : int
    figure : matplotlib Figure, optional

    Returns
    -------
    Figure
    """
    wrong = np.flatnonzero(metrics.predictions != dataset.labels)
    p = metrics.probabilities
    chosen = wrong[np.argsort(-p[wrong, metrics.predictions[wrong]], kind="stable")][: rows * columns]
    rows = max(1, -(-len(chosen) // columns))
    if figure is None:
        import matplotlib.pyplot as plt

        figure = plt.figure()
    figure.set_size_inches(1.6 * columns, 1.95 * rows + 0.6)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, i in zip(axes.flat, chosen):
        picture(dataset.images[i], ax)
        true, taken = dataset.labels[i], metrics.predictions[i]
        ax.set_title(f"is {dataset.classes[true]} ({percent(p[i, true])})\n"
                     f"taken for {dataset.classes[taken]} ({percent(p[i, taken])})", fontsize=9)
    which = "" if len(chosen) == len(wrong) else f"; here the {len(chosen)} it was surest of"
    figure.suptitle(f"{len(wrong):,} of {len(dataset):,} test images wrong{which} (probability given to each class)"
                    if len(wrong) else f"All {len(dataset):,} test images right", x=0.01, ha="left", fontsize=12)
    return figure


def gallery(images, titles, columns=None, size=1.3, figure=None):
    """Draw images (N, C, H, W) in [0, 1] side by side, each below its title.

    Parameters
    ----------
    images : sequence of ndarray (C, H, W)
    titles : sequence of str
    columns : int, optional
        Images in a row; all, if left out.
    size : float
        Inches for an image.
    figure : matplotlib Figure, optional

    Returns
    -------
    Figure
    """
    columns = columns or len(images)
    rows, lines = -(-len(images) // columns), max(title.count("\n") + 1 for title in titles)
    figure = new_figure(columns * size, rows * (size + 0.17 * lines)) if figure is None else figure
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.flat:
        ax.axis("off")
    for ax, image, title in zip(axes.flat, images, titles, strict=False):
        picture(image, ax, cmap="gray")
        ax.set_title(title, fontsize=8)
    return figure


def picture(image, ax, cmap="gray_r"):
    """Draw an image (C, H, W) in [0, 1], grey or RGB, into axes without ticks."""
    ax.imshow(image[0] if len(image) == 1 else image.transpose(1, 2, 0), cmap=cmap, vmin=0, vmax=1)
    ax.axis("off")


def percent(p):
    """Return a probability in words that fit under a picture: <0.1 %, 0.4 %, 97 %, 99.8 %, >99.9 %."""
    if p < 0.001 or p > 0.999:
        return "<0.1 %" if p < 0.5 else ">99.9 %"
    return f"{100 * p:.1f} %" if p < 0.0095 or p >= 0.9905 else f"{100 * p:.0f} %"


def new_figure(width=10, height=4):
    """Return a figure of its own, outside of pyplot's list, so that it is freed when it is no longer referred to."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save(figure, path):
    """Write a figure as PNG, whole or not at all; the same figure gives the same bytes."""
    import io

    content = io.BytesIO()
    figure.savefig(content, format="png", dpi=130, metadata={"Software": None})
    write_atomically(path, content.getvalue(), caller="plots.save")


def _new_axes(rows, columns, size):
    import matplotlib.pyplot as plt

    return plt.subplots(rows, columns, figsize=size, layout="constrained")[1]
