"""The drawn tape: what it says, that it is valid SVG on its own, and that nothing in it overlaps or overflows."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from functools import partial
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigrad._layout import layered, spread
from minigrad.draw import Drawing, draw
from minigrad.tensor import Op, Tensor, scope, setting

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, eq=False)
class Mix(Op):
    """A stand-in for any op: drawing a tape computes nothing."""

    size: object = 1
    note: str = "plain"

    def forward(self, x, *others):
        return x


@dataclass(frozen=True, eq=False)
class Affine(Op):
    def forward(self, x, weight, *bias):
        return x


def leaf(*shape, grad=True, dtype=np.float32):
    return Tensor(np.zeros(shape, dtype), grad)


def texts(drawing, number):
    (node,) = [g for g in ET.fromstring(drawing.svg).iter(f"{SVG}g") if g.get("data-node") == str(number)]
    return [text.text for text in node.iter(f"{SVG}text")]


def boxes(drawing):
    """Left, top, right, bottom of every node's box."""
    groups = [g for g in ET.fromstring(drawing.svg).iter(f"{SVG}g") if g.get("data-node")]
    rects = [[float(g.find(f"{SVG}rect").get(k)) for k in ("x", "y", "width", "height")] for g in groups]
    return [(x, y, x + w, y + h) for x, y, w, h in rects]


def edges(drawing):
    """Source, target and points along every drawn edge."""
    for group in ET.fromstring(drawing.svg).iter(f"{SVG}g"):
        if group.get("data-edge"):
            u, v = map(int, group.get("data-edge").split())
            yield u, v, walk(group.find(f"{SVG}path").get("d"))


def walk(path):
    """Points along an SVG path made of M, L and C, every few pixels."""
    steps = re.findall("[MLC][^MLC]*", path)
    steps = [(step[0], np.array(re.findall(r"-?[\d.]+", step), float).reshape(-1, 2)) for step in steps]
    points = [steps[0][1]]
    for kind, ends in steps[1:]:
        p = [points[-1][-1], *ends]
        t = np.linspace(0, 1, 50)[:, None]
        line = p[0] + t * (p[1] - p[0]) if kind == "L" else (
            (1 - t) ** 3 * p[0] + 3 * t * (1 - t) ** 2 * p[1] + 3 * t**2 * (1 - t) * p[2] + t**3 * p[3])
        points.append(line)
    return np.concatenate(points)


def residual_block(x):
    y = x
    for path in ("block.conv1", "block.conv2"):
        with setting(scope, path):
            y = Mix(size=(1, 1))(Affine()(y, leaf(4, 4, 3, 3), leaf(4)))
    return Mix()(y, x)


def test_box_says_op_settings_shape_and_module():
    with setting(scope, "features.3"):
        y = Mix(size=(2, 2))(leaf(1, 8, 4, 4))
    assert texts(draw(y), 1) == ["Mix", "size=(2, 2)", "(1, 8, 4, 4)", "in features.3"]


def test_leaves_are_named_by_what_the_op_calls_them():
    drawing = draw(Affine()(leaf(2, 3), leaf(4, 3), leaf(4, dtype=np.float64)))
    assert [texts(drawing, i)[0] for i in range(4)] == ["tensor", "weight", "bias", "Affine"]
    assert texts(drawing, 2)[1] == "(4,) float64"


def test_constants_show_their_value():
    assert texts(draw(Mix()(leaf(3), Tensor(np.float32(0.5)))), 1) == ["0.5", "()"]


def test_kinds_of_leaves_and_edges_without_gradient_look_different():
    svg = draw(Mix()(leaf(3), leaf(4, grad=False))).svg
    assert svg.count("stroke-dasharray") == 1
    assert "leaf that requires grad" in svg and ">leaf<" in svg


def test_a_single_leaf_can_be_drawn():
    assert texts(draw(leaf(3)), 0) == ["tensor", "(3,)"]


def test_label_adds_lines_and_none_adds_nothing():
    x = leaf(3)
    drawing = draw(Mix()(x), label=lambda t: "first\nsecond" if t is x else None)
    assert texts(drawing, 0)[-2:] == ["first", "second"]
    assert texts(drawing, 1) == ["Mix", "(3,)"]


def guided(op, g, y, *xs):
    """A rule; drawing only names it."""


class Gamma:
    def __repr__(self):
        return "Gamma(0.25)"

    def __call__(self, op, g, y, *xs):
        """A rule as an object."""


@pytest.mark.parametrize("rule, name", [(guided, "guided"), (partial(guided, 1), "guided"), (Gamma(), "Gamma(0.25)")])
def test_replaced_rules_stand_out_and_are_named(rule, name):
    y = Affine()(Mix()(leaf(3)), leaf(3))
    drawing = draw(y, rules=lambda t: rule if isinstance(t.op, Mix) else None)
    named = [i for i in range(4) if f"rule {name}" in texts(drawing, i)]
    assert named == [next(i for i in range(4) if texts(drawing, i)[0] == "Mix")]
    assert ">rule replaced<" in drawing.svg and ">rule replaced<" not in draw(y).svg


def test_selection_is_asked_about_tensors_with_an_op_only():
    draw(Mix()(leaf(3)), rules=lambda t: t.op.note and None)


@pytest.mark.parametrize("value, shown", [
    (np.zeros((3, 4)), "float64[3, 4]"), ((slice(None), slice(1, None, 2), 0), "(:, 1::2, 0)"), (0.1 + 0.2, "0.3"),
    ((Ellipsis, None), "(..., None)"), ((5,), "(5,)"),
])
def test_settings_are_brief(value, shown):
    assert texts(draw(Mix(size=value)(leaf(2))), 1)[1] == f"size={shown}"


def test_text_is_escaped_and_control_characters_are_left_out():
    drawing = draw(Mix(note="<&\"'\x00>")(leaf(2)), label=lambda t: 'a "quoted" \\ label\x1b & <b>')
    assert texts(drawing, 1)[-1] == 'a "quoted" \\ label  & <b>'
    assert 'a \\"quoted\\" \\\\ label  & <b>"' in drawing.dot


def test_svg_stands_alone():
    svg = draw(residual_block(leaf(1, 4, 8, 8))).svg
    root = ET.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    panel = root[0]
    assert (panel.get("width"), panel.get("height")) == tuple(root.get("viewBox").split()[2:])
    assert not re.search(r"<style|class=.(?!legend)|\bid=|url\(|href|<script", svg)


def test_same_tape_same_picture():
    y = residual_block(leaf(1, 4, 8, 8))
    assert draw(y) == draw(y) and draw(y)._repr_svg_() == draw(y).svg


def test_save_writes_the_form_the_ending_names(tmp_path):
    drawing = draw(residual_block(leaf(1, 4, 8, 8)))
    assert drawing.save(tmp_path / "tape.svg").read_text(encoding="utf-8") == drawing.svg
    assert drawing.save(str(tmp_path / "tape.dot")).read_text(encoding="utf-8") == drawing.dot
    with pytest.raises(ValueError, match=r"save: .*tape\.png ends in '\.png', expected '\.svg' or '\.dot'; rename it"):
        drawing.save(tmp_path / "tape.png")


def test_dot_has_every_node_and_edge():
    drawing = draw(residual_block(leaf(1, 4, 8, 8)))
    assert len(re.findall(r"^  t\d+ \[", drawing.dot, re.M)) == len(boxes(drawing)) == 10
    assert len(re.findall(r"^  t\d+ -> t\d+", drawing.dot, re.M)) == len(list(edges(drawing))) == 10
    assert drawing.dot.startswith("digraph") and drawing.dot.endswith("}\n")


def test_too_many_nodes_is_an_error_with_the_fix():
    y = leaf(2)
    for _ in range(20):
        y = Mix()(y)
    match = r"draw: the tape has 21 tensors, expected at most max_nodes=20; .*pass max_nodes=21"
    with pytest.raises(ValueError, match=match):
        draw(y, max_nodes=20)
    assert isinstance(draw(y, max_nodes=21), Drawing)


def test_something_else_than_a_tensor_is_an_error():
    with pytest.raises(TypeError, match="draw: y is ndarray, expected a Tensor; pass the result of a forward pass"):
        draw(np.zeros(3))


@st.composite
def tapes(draw_from):
    """A result of up to 14 ops with one to three random operands each; several uses and unequal boxes included."""
    known = [leaf(*[1] * k) for k in range(1, 4)]
    for _ in range(draw_from(st.integers(1, 14))):
        operands = draw_from(st.lists(st.integers(0, len(known) - 1), min_size=1, max_size=3))
        with setting(scope, "m." * draw_from(st.integers(0, 6))):
            known.append(Mix(note="n" * draw_from(st.sampled_from([1, 20, 70])))(*[known[i] for i in operands]))
    return known[-1]


def check_geometry(drawing):
    """Boxes apart and inside the panel, text inside its box, no edge through a box, every edge from and to its own."""
    places = boxes(drawing)
    for a, b in combinations(places, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    for u, v, points in edges(drawing):
        assert points[0] == pytest.approx([(places[u][0] + places[u][2]) / 2, places[u][3]], abs=0.2)
        assert places[v][0] < points[-1][0] < places[v][2] and 0 < places[v][1] - points[-1][1] < 10
        for left, top, right, bottom in places:
            x, y = points[1:].T
            assert not np.any((x > left) & (x < right) & (y > top + 0.2) & (y < bottom - 0.2))
    check_text(drawing, places)


def check_text(drawing, places):
    """Measure the text in the widest of the fonts asked for."""
    matplotlib = pytest.importorskip("matplotlib")
    ImageFont = pytest.importorskip("PIL.ImageFont")
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for number, (left, top, right, bottom) in enumerate(places):
        (node,) = [g for g in ET.fromstring(drawing.svg).iter(f"{SVG}g") if g.get("data-node") == str(number)]
        baselines = []
        for text in node.iter(f"{SVG}text"):
            size, x, y = (float(text.get(key)) for key in ("font-size", "x", "y"))
            bold = "-Bold" if text.get("font-weight") else ""
            half = ImageFont.truetype(folder / f"DejaVuSansMono{bold}.ttf", size).getlength(text.text) / 2
            assert left + 4 < x - half and x + half < right - 4
            assert top + 0.8 * size < y < bottom - 0.25 * size
            baselines.append((y, size))
        assert all(below - above >= 1.1 * size for (above, _), (below, size) in pairwise(baselines))


@given(tapes())
def test_nothing_overlaps_on_any_tape(y):
    check_geometry(draw(y))


def test_residual_block_has_a_straight_spine_and_a_visible_skip():
    drawing = draw(residual_block(leaf(1, 4, 8, 8)))
    check_geometry(drawing)
    places = boxes(drawing)
    spine = [i for i in range(len(places)) if texts(drawing, i)[0] not in ("weight", "bias")]
    centres = [(places[i][0] + places[i][2]) / 2 for i in spine]
    assert np.ptp(centres) < 0.5
    (skip,) = [points for u, v, points in edges(drawing) if v == u + 9]
    assert np.abs(skip[:, 0] - centres[0]).max() > max(right - left for left, _, right, _ in places) / 2


def test_a_long_chain_is_one_straight_column():
    y, shared = leaf(3), leaf(3)
    for i in range(60):
        y = Mix()(y, shared) if i % 3 else Mix()(y)
    drawing = draw(y)
    check_geometry(drawing)
    places = boxes(drawing)
    assert np.ptp([(box[0] + box[2]) / 2 for i, box in enumerate(places) if texts(drawing, i)[0] == "Mix"]) < 0.5


def test_rows_are_ordered_so_that_edges_need_not_cross():
    """A zigzag, 4 - 0 - 2 - 1 - 3, given in an order that crosses twice."""
    layout = layered([(50, 30)] * 5, [(0, 2), (1, 2), (1, 3), (0, 4)])
    lower = [layout.boxes[i][0] for i in (4, 2, 3)]
    assert lower == sorted(lower, reverse=layout.boxes[0][0] > layout.boxes[1][0])


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8), st.data())
def test_spread_is_the_nearest_point_that_keeps_the_distances(wanted, data):
    weights = data.draw(st.lists(st.floats(0.1, 10), min_size=len(wanted), max_size=len(wanted)))
    least = data.draw(st.lists(st.floats(0, 30), min_size=len(wanted) - 1, max_size=len(wanted) - 1))
    got = np.array(spread(wanted, weights, least))
    assert np.all(np.diff(got) >= np.array(least) - 1e-9)
    # The condition of optimality: no other point that keeps the distances lies in the direction of less distance.
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = np.cumsum([rng.uniform(-150, 150), *(np.array(least) + rng.exponential(20, len(least)))])
        assert np.dot(np.array(weights) * (np.array(wanted) - got), other - got) <= 1e-6
