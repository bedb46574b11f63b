"""Charts: robustness against radius, network against network, a plane divided into classes, maps along an attack.

Nothing is shown; every function draws into `ax`, or makes one, and returns it.
"""
import numpy as np

from .norms import as_norm

ATTACKED, CLEAN = "#c0392b", "#2a6fb0"


def curve(found, ax=None, label=None):
    """A RobustnessCurve with the intervals of its accuracies as a band.

    Parameters
    ----------
    found : RobustnessCurve
    ax : matplotlib Axes, optional
        Several curves may share one.
    label : str, optional
        For the legend; the attack's name.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(5, 3.4) if ax is None else ax
    line, = ax.plot(found.eps, 100 * found.accuracy, "o-", markersize=4, label=label or found.attack)
    ax.fill_between(found.eps, *(100 * found.interval.T), color=line.get_color(), alpha=0.15, linewidth=0)
    norm = found.settings.get("norm")
    ax.set(xlabel=f"eps ({type(norm).__name__})" if norm else "eps", ylabel="accuracy under attack (%)", ylim=(-2, 102))
    ax.set_xlim(0, None)
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def certified(found, ax=None, label=None):
    """Certificates: the accuracy that is certain within each L2 radius, as steps.

    Parameters
    ----------
    found : Certificates
    ax : matplotlib Axes, optional
    label : str, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(5, 3.4) if ax is None else ax
    radii = np.linspace(0, max(found.radius.max() * 1.05, 1e-3), 200)
    ax.plot(radii, 100 * found.accuracy(radii), label=label or f"sigma {found.sigma:g}")
    ax.set(xlabel="radius (L2)", ylabel="certified accuracy (%)", ylim=(-2, 102), xlim=(0, None))
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False)
    return ax


def matrix(found, ax=None):
    """A TransferMatrix as a table of colours and numbers, the control below.

    Parameters
    ----------
    found : TransferMatrix
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    size = len(found.names)
    ax = _axes(1.3 * size + 2.2, 0.8 * size + 2.2) if ax is None else ax
    cells = 100 * np.vstack([found.rate, found.control])
    ax.imshow(cells, cmap="Reds", vmin=0, vmax=100, aspect="auto")
    for (i, j), value in np.ndenumerate(cells):
        text = "not tried" if np.isnan(value) else f"{value:.0f} %"
        if i < size and not np.isnan(value):
            low, high = 100 * found.interval[i, j]
            text += f"\n{low:.0f} to {high:.0f}"
        ax.text(j, i, text, ha="center", va="center", fontsize=9, color="white" if value > 60 else "black")
    ax.axhline(size - 0.5, color="white", linewidth=4)
    ax.set_xticks(range(size), found.names)
    ax.set_yticks(range(size + 1), [*found.names, "equal noise"])
    ax.set(xlabel="tried on", ylabel="made for")
    ax.set_title(f"Part turned, of {found.counted} images all got right", loc="left", fontsize=10)
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    return ax


def plane(found, ax=None, *, classes=None, eps=None, norm="l2"):
    """A DecisionSlice: the classes as areas, x, the adversarial image, and the attack's path between them.

    Parameters
    ----------
    found : DecisionSlice
    ax : matplotlib Axes, optional
    classes : sequence of str, optional
        The classes' names.
    eps : float, optional
        Radius of a ball around x, whose outline is drawn.
    norm : 'l2', 'linf' or 'l1'
        Of that ball.

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(5.2, 5) if ax is None else ax
    present = np.unique(found.predicted)
    palette = np.array([[0.86, 0.92, 0.98], *_PALETTE])
    order = [found.label, *(k for k in present if k != found.label)]
    rank = {k: i % len(palette) for i, k in enumerate(order)}
    extent = [found.right[0], found.right[-1], found.up[0], found.up[-1]]
    image = palette[np.vectorize(rank.get)(found.predicted)]
    image = np.where(found.inside[..., None], image, 0.75 * image + 0.25)
    ax.imshow(image, origin="lower", extent=extent, interpolation="nearest")
    if found.margin.min() < 0 < found.margin.max():
        ax.contour(found.right, found.up, found.margin, levels=[0], colors="black", linewidths=1.2)
    for k in present:
        at = np.argwhere(found.predicted == k)
        i, j = at[np.argmin(np.abs(at - at.mean(0)).sum(1))]
        name = str(k) if classes is None else classes[k]
        ax.text(found.right[j], found.up[i], name, ha="center", va="center", fontsize=9, color="#333333")
    if len(found.path):
        ax.plot(*found.path.T, ".-", color=ATTACKED, linewidth=1, markersize=3, label="the attack's path")
    ax.plot(0, 0, "o", color=CLEAN, label="x")
    ax.plot(found.adversarial, 0, "X", color=ATTACKED, label="adversarial")
    if eps is not None:
        title = type(as_norm("plane", norm)).__name__
        ax.plot(*found.outline(eps, norm).T, "--", color=CLEAN, linewidth=1, label=f"{title} ball, eps {eps:g}")
    ax.set(xlabel="towards the adversarial image (L2)", ylabel="along a random direction (L2)",
           xlim=extent[:2], ylim=extent[2:])
    if not found.inside.all():
        ax.set_title("paler: some pixel is out of its bounds", loc="right", fontsize=8, color="#777777")
    ax.legend(fontsize=8, loc="lower left")
    return ax


def drift(found, measure, ax=None):
    """A Drift: one curve an explainer over the distance from the clean image, and where the class flips.

    Parameters
    ----------
    found : Drift
    measure : 'spearman', 'top_k' or 'ssim'
    ax : matplotlib Axes, optional

    Returns
    -------
    matplotlib Axes
    """
    ax = _axes(5.4, 3.6) if ax is None else ax
    for name, values in found.similarity.items():
        ax.plot(found.distance, values[measure], ".-", markersize=4, linewidth=1.2, label=name)
    flips = np.flatnonzero(found.predicted != found.predicted[0])
    if len(flips):
        ax.axvline(found.distance[flips[0]], color="#777777", linestyle=":")
        ax.annotate("class flips", (found.distance[flips[0]], 1.02), xycoords=("data", "axes fraction"), fontsize=8,
                    ha="center")
    names = {"spearman": "rank correlation", "top_k": "part of the top tenth kept", "ssim": "structural similarity"}
    ax.set(xlabel="L2 distance from the clean image", ylabel=f"{names[measure]} with the first map")
    ax.grid(color="#dddddd", linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(fontsize=8, frameon=False)
    return ax


_PALETTE = [[0.99, 0.88, 0.82], [0.88, 0.95, 0.85], [0.98, 0.95, 0.80], [0.92, 0.87, 0.96], [0.85, 0.94, 0.94],
            [0.97, 0.88, 0.93], [0.93, 0.93, 0.88], [0.90, 0.90, 0.99], [0.95, 0.91, 0.85]]


def _axes(width, height):
    import matplotlib.pyplot as plt

    return plt.figure(figsize=(width, height), layout="constrained").subplots()
