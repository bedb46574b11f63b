"""A picture of the tape: what `grad` will walk, from the leaves at the top to the result at the bottom.

    draw(loss)                                    in a notebook, the picture appears
    draw(loss).save("tape.svg")                   or "tape.dot", for graphviz
    draw(loss, label=lambda t: f"{t.data.mean():.3g}")
    draw(loss, label={t: name for name, t in model.named_parameters()}.get)
    draw(loss, rules=select)                      the ops whose derivative `grad(..., rules=select)` replaces

One box is one Tensor, named after the op that made it, with the op's settings, the shape and the path of the module it
was made in. The SVG stands alone: text and paths with their colours written out (no styles, no identifiers), because
several pictures share one notebook page, and on a panel of its own, because that page may be light or dark.
"""

import dataclasses
import inspect
import textwrap
import unicodedata
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from ._layout import layered
from .autodiff import tape
from .files import write_atomically
from .tensor import Tensor

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
ADVANCE = 0.61  # width of a character over the font size: the widest of the fonts above has 0.602
PAD, MARGIN, HEAD = 9, 20, 7  # inside a box; around the picture; length of an arrowhead
WIDEST = 32  # characters in a line of a box
NBSP = "\N{NO-BREAK SPACE}"
# Fill and outline by kind of node.
COLOURS = {
    "op": ("#ffffff", "#64748b"),
    "leaf that requires grad": ("#dbeafe", "#2563eb"),
    "leaf": ("#f1f5f9", "#94a3b8"),
    "rule replaced": ("#ffedd5", "#ea580c"),
}
INK, FAINT, PATH, EDGE, SKIP = "#0f172a", "#475569", "#7c3aed", "#64748b", "#0d9488"


@dataclasses.dataclass(frozen=True)
class Drawing:
    """A drawn tape. A notebook shows it by itself.

    Attributes
    ----------
    svg, dot : str
        The picture, and the same graph in graphviz's language.
    """

    svg: str = dataclasses.field(repr=False)
    dot: str = dataclasses.field(repr=False)

    def _repr_svg_(self):
        return self.svg

    def save(self, path):
        """Write the picture to `path`, whose ending (.svg or .dot) says in which form. Returns the path.

        Raises
        ------
        ValueError
            For another ending.
        """
        path = Path(path)
        forms = {".svg": self.svg, ".dot": self.dot}
        if path.suffix not in forms:
            raise ValueError(f"save: {path} ends in {path.suffix!r}, expected '.svg' or '.dot'; rename it")
        write_atomically(path, forms[path.suffix].encode(), caller="save")
        return path


@dataclasses.dataclass(frozen=True)
class Line:
    """One line of text in a box."""

    text: str
    size: int = 11
    colour: str = FAINT
    bold: bool = False

    @property
    def width(self):
        cells = sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in self.text)
        return cells * self.size * ADVANCE

    @property
    def height(self):
        return self.size * 1.35


@dataclasses.dataclass(frozen=True)
class Box:
    """What is said about one tensor, and as which kind of node."""

    kind: str
    lines: list

    @property
    def size(self):
        width = max(max(line.width for line in self.lines) + 2 * PAD, 64)
        return width, sum(line.height for line in self.lines) + 2 * PAD - 4


def draw(y, *, rules=None, label=None, max_nodes=200):
    """Draw the tape of `y` as SVG.

    Parameters
    ----------
    y : Tensor
    rules : callable, optional
        The selection that `grad` takes: ``rules(t)`` returns a rule or None. Ops whose rule is replaced stand out and
        carry the rule's name.
    label : callable, optional
        ``label(t)`` returns another line for the box of `t` (a value, a gradient, a relevance) or None.
    max_nodes : int, default 200
        The most tensors to draw.

    Returns
    -------
    Drawing
        With `svg`, `dot` and `save`. A teal edge skips one or more rows; a dashed one carries no gradient.

    Raises
    ------
    TypeError
        If `y` is not a Tensor.
    ValueError
        If the tape has more than `max_nodes` tensors.
    """
    if not isinstance(y, Tensor):
        raise TypeError(f"draw: y is {type(y).__name__}, expected a Tensor; pass the result of a forward pass")
    tensors = tape(y)
    if len(tensors) > max_nodes:
        raise ValueError(f"draw: the tape has {len(tensors)} tensors, expected at most max_nodes={max_nodes}; draw an "
                         f"inner tensor or a smaller model, or pass max_nodes={len(tensors)}")
    number = {t: i for i, t in enumerate(tensors)}
    edges = [(number[x], number[t]) for t in tensors for x in t.inputs]
    roles = {x: role for t in reversed(tensors) for x, role in zip(t.inputs, operand_names(t.op))}
    boxes = [describe(t, roles.get(t, ""), rules, label) for t in tensors]
    live = [t.requires_grad for t in tensors]
    return Drawing(render_svg(boxes, edges, live), render_dot(boxes, edges, live))


def describe(t, role, rules, label):
    """The box of one tensor."""
    rule = rules(t) if rules and t.op is not None else None
    if t.op is None:
        kind = "leaf that requires grad" if t.requires_grad else "leaf"
        constant = t.size == 1 and not t.requires_grad
        lines = [Line(f"{t.item():.6g}" if constant else role or "tensor", 13, INK, True)]
    else:
        kind = "op" if rule is None else "rule replaced"
        lines = [Line(type(t.op).__name__, 13, INK, True)]
        lines += [Line(text) for text in wrapped(settings(t.op), 3)]
    if rule is not None:
        lines += [Line(text, colour=COLOURS[kind][1], bold=True) for text in wrapped(f"rule {name_of(rule)}", 2)]
    lines.append(Line(f"{t.shape}" if t.dtype == np.float32 else f"{t.shape} {t.dtype}"))
    if t.scope:
        lines += [Line(text, colour=PATH) for text in wrapped(f"in {t.scope}", 3)]
    note = label(t) if label else None
    if note is not None:
        lines += [Line(text, colour=INK) for part in str(note).splitlines() for text in wrapped(part, 3)]
    return Box(kind, [dataclasses.replace(line, text=printable(line.text)) for line in lines])


def operand_names(op):
    """What an op's `forward` calls its operands; single letters say nothing and become ''."""
    if op is None:
        return []
    parameters = inspect.signature(op.forward).parameters.values()
    names = [p.name if len(p.name) > 1 else "" for p in parameters]
    rest = names.pop() if parameters and list(parameters)[-1].kind is inspect.Parameter.VAR_POSITIONAL else ""
    return names + [rest] * 8


def settings(op):
    """The settings of an op that differ from their defaults, as in its repr but shorter; no line breaks inside one."""
    fields = [f for f in dataclasses.fields(op) if f.repr] if dataclasses.is_dataclass(op) else []
    shown = [(f.name, brief(getattr(op, f.name)), brief(f.default)) for f in fields]
    solid = [f"{name}={value}".replace(" ", NBSP) for name, value, default in shown if value != default]
    return ", ".join(solid)


def brief(value):
    """A setting's value in a few characters: an array by its shape, a slice as it is written."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop)]
        return ":".join(ends if value.step is None else [*ends, str(value.step)])
    if isinstance(value, tuple):
        return f"({', '.join(map(brief, value))}{',' * (len(value) == 1)})"
    return "..." if value is Ellipsis else f"{value:.6g}" if isinstance(value, float) else str(value)


def name_of(rule):
    """The name of a rule: a function's, the wrapped function's for a partial, else the repr of the object."""
    return name_of(rule.func) if isinstance(rule, partial) else getattr(rule, "__qualname__", None) or repr(rule)


def wrapped(text, most):
    """`text` in at most that many lines of a box, the rest left out as an ellipsis."""
    return textwrap.wrap(text, WIDEST, max_lines=most, placeholder=" …", break_on_hyphens=False)


def printable(text):
    """`text` without the control characters that XML forbids."""
    return "".join(c if c.isprintable() else " " for c in text)


def render_svg(boxes, edges, live):
    """The SVG of a graph of boxes; `live` says which carry a gradient."""
    layout = layered([box.size for box in boxes], edges)
    legend = [(kind, Line(kind)) for kind in COLOURS if any(box.kind == kind for box in boxes)]
    legend_width = sum(line.width + 34 for _, line in legend)
    width, height = max(layout.width, legend_width) + 2 * MARGIN, layout.height + 2 * MARGIN + 28
    shift = (width - layout.width) / 2, MARGIN
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
             f'viewBox="0 0 {width:.1f} {height:.1f}" style="max-width: 100%; height: auto" font-family="{FONT}">',
             f'<rect width="{width:.1f}" height="{height:.1f}" rx="8" fill="#f8fafc" stroke="#cbd5e1"/>',
             f'<g transform="translate({shift[0]:.1f} {shift[1]})">']
    parts += [svg_edge(edge, points, live[edge[0]]) for edge, points in zip(edges, layout.routes)]
    parts += [svg_box(i, box, place, i == len(boxes) - 1) for i, (box, place) in enumerate(zip(boxes, layout.boxes))]
    parts += ["</g>", '<g class="legend">']
    x, y = (width - legend_width) / 2 + 8, height - 22
    for kind, line in legend:
        parts += [svg_rect(x, y, 12, 12, kind, 1.2), svg_text(x + 18, y + 10, line, "start")]
        x += line.width + 34
    return "\n".join([*parts, "</g>", "</svg>"])


def svg_edge(edge, points, live):
    """One edge with its arrowhead: vertical lines through the rows, bends between them."""
    colour = SKIP if len(points) > 4 else EDGE
    (x, tip), (_, row) = points[-1], points[-2]
    points = [*points[:-2], (x, row - HEAD - 2), (x, tip - HEAD)]
    path = "M{:.1f} {:.1f}".format(*points[0])
    for i in range(1, len(points), 2):
        x1, y1 = points[i]
        path += f" L{x1:.1f} {y1:.1f}"
        if i + 1 < len(points):
            x2, y2 = points[i + 1]
            path += f" C{x1:.1f} {(y1 + y2) / 2:.1f} {x2:.1f} {(y1 + y2) / 2:.1f} {x2:.1f} {y2:.1f}"
    dash = "" if live else ' stroke-dasharray="4 3"'
    head = f"M{x:.1f} {tip:.1f} l-4 -{HEAD} h8 z"
    return (f'<g data-edge="{edge[0]} {edge[1]}">'
            f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="1.4"{dash}/>'
            f'<path d="{head}" fill="{colour}"/></g>')


def svg_box(number, box, place, last):
    """One box and its lines, centred; the result of the tape has a heavier outline."""
    left, top, width, height = place
    parts = [f'<g data-node="{number}">', svg_rect(left, top, width, height, box.kind, 2.4 if last else 1.2)]
    y = top + PAD - 2
    for line in box.lines:
        y += line.height
        parts.append(svg_text(left + width / 2, y - 0.3 * line.size, line, "middle"))
    return "\n".join([*parts, "</g>"])


def svg_rect(x, y, width, height, kind, stroke):
    """A rectangle in the colours of a kind of node, round for leaves."""
    fill, outline = COLOURS[kind]
    radius = min(height / 2, 14) if kind.startswith("leaf") else 4
    return (f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius:.1f}" '
            f'fill="{fill}" stroke="{outline}" stroke-width="{stroke}"/>')


def svg_text(x, y, line, anchor):
    """A line of text on its baseline."""
    style = f'font-size="{line.size}" fill="{line.colour}"' + ' font-weight="bold"' * line.bold
    return f'<text x="{x:.1f}" y="{y:.1f}" {style} text-anchor="{anchor}">{escape(line.text)}</text>'


def render_dot(boxes, edges, live):
    """The same graph for graphviz's dot."""
    parts = ["digraph tape {", '  node [shape=box, style="filled,rounded", fontname=monospace, fontsize=11]']
    for i, box in enumerate(boxes):
        text = "\\n".join(line.text.replace("\\", "\\\\").replace('"', '\\"') for line in box.lines)
        fill, outline = COLOURS[box.kind]
        parts.append(f'  t{i} [label="{text}", fillcolor="{fill}", color="{outline}"]')
    parts += [f"  t{u} -> t{v}" + ("" if live[u] else " [style=dashed]") for u, v in edges]
    return "\n".join([*parts, "}", ""])
