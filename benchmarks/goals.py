"""The kernels and SqueezeNet beside PyTorch in one table: its faster memory order, and whether minigrad's goal is met.

A goal is the part of PyTorch's time that minigrad may take: all of it where arithmetic is the limit, half where it is
memory.
"""
import statistics

from . import squeezenet
from .rounds import ratio

GOALS = {"Conv2d": 1.0, "Linear": 1.0, "MaxPool2d": 0.5, "ReLU": 0.5, "BatchNorm": 0.5, "Adam": 0.5}
GOALS[squeezenet.NETWORK] = 1.0


def goal(call):
    """The goal of a call, by the word in its name that `GOALS` knows."""
    return next(GOALS[word] for word in call.replace(":", " ").split() if word in GOALS)


def best(times, base="minigrad"):
    """The fastest of the libraries that `base` is compared with, or None."""
    return min((name for name in times if name != base), key=lambda name: statistics.median(times[name]), default=None)


def text(found, floors):
    """What `rounds.compare` found as a Markdown table, a line for each call, and the calls that miss their goals.

    `floors` are the milliseconds that moving their bytes takes some of the calls; they are told as a part of PyTorch's.
    """
    lines = ["| call | minigrad, ms | PyTorch, ms | of its memory orders | ratio | bytes alone | goal |",
             "|---|--:|--:|---|--:|--:|--:|"]
    missed = []
    for call, times in found.items():
        name, ours = best(times), statistics.median(times["minigrad"])
        if name is None:
            lines.append(f"| {call} | {ours:.3f} | | | | | {goal(call)} |")
            continue
        part, theirs = ratio(times, "minigrad", name), statistics.median(times[name])
        least = f"{floors[call] / theirs:.2f}" if call in floors else ""
        order = "channels last" if "channels_last" in name else "channels first"
        lines.append(f"| {call} | {ours:.3f} | {theirs:.3f} | {order} | {part:.2f} | {least} | {goal(call)} |")
        if part > goal(call):
            missed.append(f"{call}: {part:.2f}, goal {goal(call)}{f', its bytes alone {least}' if least else ''}")
    judged = [call for call, times in found.items() if best(times)]
    if judged:
        lines += ["", f"{len(missed)} of {len(judged)} miss their goals{':' if missed else ''}",
                  *(f"- {line}" for line in missed)]
    return "\n".join(lines)
