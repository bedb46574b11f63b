"""Two pictures of what was measured: how time grows, and the kernels under the machine's roof."""
import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from minigrad.plots import BLUE, GREY, ORANGE, new_figure

from . import peaks, roofline, scaling

GREEN, PALE = "#3f8f5b", "#dddddd"
LINES = {"minigrad": (BLUE, "o-"), "torch": (GREY, "s-"), "torch_channels_last_fused": (ORANGE, "D-")}
KINDS = {"convolution": (BLUE, "conv2d"), "dense layer": (ORANGE, "matmul"), "optimizer": ("#8a5aa8", "adam", "sgd"),
         "moves memory": (GREEN, "")}  # by how a kernel's name begins
# Quantity: the slope in proportion, the value of the usual step, the rest of the setting, and how to write a value.
PANELS = {
    "batch size": (1.0, 64, "28×28 pixels, 32 channels", str),
    "pixels of an image": (1.0, 28**2, "batch 64, 32 channels", lambda n: f"{round(n**0.5)}²"),
    "channels": (1.0, 32, "batch 64, 28×28 pixels", str),
    "threads": (-1.0, 1, "batch 64, 28×28 pixels, 32 channels", str),
}
SPAN = 0.05, 300  # operations per byte
HIGH = 0.8  # a part of the roof that is hard to better
BARE = 0.02  # kernels that take less of all their time than this stand in the table only


def scaling_curves(sweeps):
    """Draw what `scaling.measure` found, one panel a quantity, and above each how minigrad's time grows.

    Parameters
    ----------
    sweeps : list of (str, dict, dict)

    Returns
    -------
    Figure
    """
    figure = new_figure(10, 7.6)
    for ax, (quantity, times, _) in zip(figure.subplots(2, 2).flat, sweeps, strict=False):
        power, usual, setting, tick = PANELS[quantity]
        values = np.array(list(times))
        curves = {library: scaling.medians(times, library)[1] for library in next(iter(times.values()))}
        ours = curves["minigrad"]
        at = list(times).index(usual) if usual in times else 0
        ax.plot(values, ours[at] * (values / values[at]) ** power, "--", color=GREY, linewidth=1,
                label="in proportion to minigrad's usual step")
        for library, milliseconds in curves.items():
            colour, style = LINES.get(library, (GREEN, "^-"))
            ax.plot(values, milliseconds, style, color=colour, markersize=4.5,
                    label=scaling.NAMES.get(library, library))
        ax.set(xscale="log", yscale="log", xlabel=f"{quantity} ({setting})", ylabel="milliseconds of a training step")
        ax.set_xticks(values, [tick(value) for value in values])
        ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.yaxis.set_major_formatter("{x:g}")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_locator(NullLocator())
        _plain(ax)
        finding = (f"{values[-1]} threads take {ours[-1] / ours[0]:.2f} of one thread's time" if quantity == "threads"
                   else f"minigrad's time grows with slope {scaling.slope(times, 'minigrad'):.2f}")
        ax.set_title(finding, loc="left", fontsize=11)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles[1:] + handles[:1], labels[1:] + labels[:1], loc="outside lower center", ncols=4,
                  frameon=False)
    return figure


def roof(found, roofs):
    """Draw kernels as points under the roofs, numbered from the slowest, with a list of what the numbers mean.

    Parameters
    ----------
    found : list of roofline.Call
        The slowest first.
    roofs : peaks.Peaks

    Returns
    -------
    Figure
    """
    whole, limits = sum(call.milliseconds for call in found), peaks.caches()
    parts = [(call, roofline.reached(call, roofs, limits)) for call in found]
    shown = [(number, call, part, _colour(call.name)) for number, (call, part) in enumerate(parts, 1)
             if call.milliseconds > BARE * whole]
    figure = new_figure(11.5, 6)
    ax, side = figure.subplots(1, 2, width_ratios=(1.9, 1.1))
    rates = [call.gflops for _, call, _, _ in shown]
    lowest = min(*rates, SPAN[0] * min(roofs.bandwidth.values()))  # the foot of the lowest slope
    _roofs(ax, roofs, 10 ** np.floor(np.log10(lowest)), max(rates))
    for _, call, _, colour in shown:
        ax.scatter(call.intensity, call.gflops, 25 + 900 * call.milliseconds / whole, color=colour, alpha=0.7,
                   linewidths=0, zorder=2)
    for kind, (colour, *_) in KINDS.items():
        ax.scatter([], [], 60, color=colour, alpha=0.7, linewidths=0, label=kind)
    ax.legend(frameon=False, loc="lower right", fontsize=9, title="area: time", title_fontsize=9)
    high = sum(call.milliseconds for call, part in parts if part >= HIGH) / whole
    ax.set_title(f"{100 * high:.0f} % of the kernels' time is spent at {100 * HIGH:.0f} % of the roof or above",
                 loc="left", fontsize=11)
    side.axis("off")
    side.set(xlim=(0, 1), ylim=(max(len(shown), 13) + 0.5, -0.5))
    side.text(1, 0, "of its roof", fontsize=9, ha="right", color=GREY)
    for row, (number, call, part, colour) in enumerate(shown, 1):
        side.text(0.04, row, number, color=colour, weight="bold", ha="right", fontsize=9)
        side.text(0.08, row, call.label, fontsize=9)
        side.text(1, row, f"{100 * part:.0f} %", fontsize=9, ha="right")
    figure.draw_without_rendering()  # only now is known where things are on paper
    _name_roofs(ax, roofs)
    _number(ax, shown)
    return figure


def _roofs(ax, roofs, low, high):
    """Draw a line for each memory level, rising to the machine's operations a second."""
    top, (left, right) = roofs.roof[1], SPAN
    for rate in roofs.bandwidth.values():
        ax.plot([left, top / rate, right], [left * rate, top, top], color=GREY, linewidth=1.2, zorder=1)
    ax.set(xscale="log", yscale="log", xlim=SPAN, ylim=(low, 2 * max(top, high)), ylabel="GFLOP/s",
           xlabel="arithmetic intensity: operations per byte of compulsory traffic")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter("{x:g}")
    _plain(ax)


def _name_roofs(ax, roofs):
    """Write a line's rate along it."""
    who, top = roofs.roof
    fastest = max(roofs.bandwidth.values())
    ax.text(1.1 * top / fastest, 0.7 * ax.get_ylim()[1], f"{top:.0f} GFLOP/s ({who})", fontsize=9, color=GREY)
    for level, rate in roofs.bandwidth.items():
        x = {"L2": 0.07, "L3": 0.2}.get(level, 0.9)  # one beside the other, where few kernels are
        across, up = np.diff(ax.transData.transform([(x, x * rate), (2 * x, 2 * x * rate)]), axis=0)[0]
        ax.text(x, 1.12 * x * rate, f"{rate:.0f} GB/s ({level})", rotation=np.degrees(np.arctan2(up, across)),
                rotation_mode="anchor", fontsize=9, color=GREY)


def _number(ax, shown):
    """Write each point's number beside it, in the direction where points and numbers are farthest."""
    dpi, turns = ax.figure.dpi, np.radians([0, 30, -30, 180, -60, 150, -150])
    around = 0.3 * dpi * np.stack([np.cos(turns), np.sin(turns)], 1)
    taken = list(ax.transData.transform([(call.intensity, call.gflops) for _, call, _, _ in shown]))
    for i, (number, call, _, colour) in enumerate(shown):
        others = np.delete(taken, i, axis=0) if len(taken) > 1 else taken[0] + dpi
        room = [min(0.2 * dpi, *np.hypot(*(taken[i] + side - others).T)) for side in around]
        place = taken[i] + around[int(np.argmax(room))]  # the first of those with room enough
        taken += [place, (place + taken[i]) / 2]
        ax.annotate(str(number), (call.intensity, call.gflops), ax.transData.inverted().transform(place),
                    color=colour, weight="bold", fontsize=9, ha="center", va="center", zorder=3,
                    arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0})


def _colour(name):
    return next(colour for colour, *starts in KINDS.values() if name.startswith(tuple(starts)))


def _plain(ax):
    ax.grid(color=PALE, linewidth=0.6)
    ax.spines[["top", "right"]].set_visible(False)
