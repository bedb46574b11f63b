"""Pictures: what is drawn, in which colours, on which scale, and that nothing pops up or is left open."""

from functools import partial

import numpy as np
import pytest

import explain
from explain import Attribution, metrics, show
from explain.show.scale import Shown, displayable

from . import nets

matplotlib = pytest.importorskip("matplotlib")
MAP = np.array([[1.0, -2.0, 0.0], [0.5, 0.25, -0.25]])
DRAW = {
    "heat_map": lambda values, **o: show.heat_map(values, **o),
    "overlay": lambda values, **o: show.overlay(values, np.ones(np.shape(values)[-2:]), **o),
    "blended": lambda values, **o: show.blended(values, np.ones(np.shape(values)[-2:]), **o),
    "masked": lambda values, **o: show.masked(values, np.ones(np.shape(values)[-2:]), **o),
}


@pytest.fixture(autouse=True)
def canvas(monkeypatch):
    """No window, and nothing left in pyplot's list."""
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setattr(pyplot, "show", lambda *a, **k: pytest.fail("nothing may be shown"))
    yield
    pyplot.close("all")


def axes():
    from matplotlib.figure import Figure

    return Figure().subplots()


def shades(ax):
    return np.asarray(ax.images[-1].get_array(), np.float64)


def test_a_signed_map_is_symmetric_and_its_scale_is_stated():
    ax = show.heat_map(MAP, axes(), outlier_perc=0, colorbar=False)
    np.testing.assert_allclose(shades(ax), MAP / 2)
    assert ax.images[-1].get_clim() == (-1, 1) and ax.get_xlabel() == "±2"
    assert ax.images[-1].get_cmap().name == "RdBu_r"
    bar = show.heat_map(MAP, axes(), outlier_perc=0).figure.axes[1]
    assert [t.get_text() for t in bar.get_yticklabels()] == ["-2", "0", "2"]


def test_a_map_without_negative_values_is_sequential():
    ax = show.heat_map(np.abs(MAP), axes(), outlier_perc=0, colorbar=False)
    assert ax.images[-1].get_clim() == (0, 1) and ax.get_xlabel() == "0 to 2"
    assert ax.images[-1].get_cmap().name != "RdBu_r"


@pytest.mark.parametrize(
    "sign, expected, text",
    [
        ("positive", np.maximum(MAP, 0) / 1, "0 to 1"),
        ("negative", np.maximum(-MAP, 0) / 2, "0 to -2"),
        ("absolute", np.abs(MAP) / 2, "0 to 2"),
    ],
)
def test_one_sign_of_a_map(sign, expected, text):
    ax = show.heat_map(MAP, axes(), sign=sign, outlier_perc=0, colorbar=False)
    np.testing.assert_allclose(shades(ax), expected)
    assert ax.get_xlabel() == text


@pytest.mark.parametrize("name", DRAW)
def test_zero_tiny_and_huge_maps_are_drawn(name):
    ax = (
        DRAW[name](np.zeros((4, 5)), ax=axes(), colorbar=False)
        if name != "masked"
        else DRAW[name](np.zeros((4, 5)), ax=axes())
    )
    assert (shades(ax) == 0).all() and ax.get_xlabel() == "all zero"
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 5))
    drawn = [shades(DRAW[name](k * values, ax=axes(), **{"sign": "positive"})) for k in (1, 1e-30, 1e30)]
    for other in drawn[1:]:
        np.testing.assert_allclose(other, drawn[0], rtol=1e-6)


def test_the_scale_leaves_out_a_part_of_the_sum():
    """Captum's rule: the smallest value at which the sorted magnitudes reach 98 % of their sum."""
    values = np.r_[np.ones(98), [2.0, 100.0]]
    total, reached = values.sum(), 0
    for value in np.sort(values):
        reached += value
        if reached >= 0.98 * total:
            break
    assert show.full_colour(values) == value == 100
    assert (
        show.full_colour(values, 60) == 1 and show.full_colour(values, 0) == 100 and show.full_colour(0 * values) == 0
    )
    with pytest.raises(ValueError, match="outlier_perc is 100"):
        show.full_colour(values, 100)


def test_a_given_scale_makes_maps_comparable():
    pale = shades(show.heat_map(MAP / 4, axes(), scale=2))
    np.testing.assert_allclose(pale, MAP / 8)


def test_a_map_that_is_high_everywhere_begins_at_its_lowest_value():
    shown = Shown("test", np.array([[0.9, 0.95], [0.92, 1.0]]), outlier_perc=0)
    assert (shown.low, shown.high) == (0.9, 1) and str(shown) == "0.9 to 1"
    np.testing.assert_allclose(shown.strength, [[0, 0.5], [0.2, 1]], atol=1e-12)
    assert Shown("test", np.array([[0.1, 1.0]])).low == 0
    assert not Shown("test", np.full((2, 2), 0.7)).strength.any() or Shown("test", np.full((2, 2), 0.7)).low == 0


def test_channels_are_added_up():
    values = np.random.default_rng(1).normal(size=(3, 4, 4))
    np.testing.assert_allclose(shades(show.heat_map(values, axes())), shades(show.heat_map(values.sum(0), axes())))


def test_images_grey_in_colour_and_standardised():
    rng = np.random.default_rng(2)
    grey, colour = rng.random((1, 4, 5)), rng.random((3, 4, 5))
    np.testing.assert_array_equal(displayable(grey)[..., 2], grey[0])
    np.testing.assert_array_equal(displayable(colour), colour.transpose(1, 2, 0))
    standard = displayable(4 * colour - 2)
    assert standard.min() == 0 and standard.max() == 1
    np.testing.assert_allclose(displayable(grey[0]), displayable(grey))


def test_overlays_show_the_image_beneath():
    rng = np.random.default_rng(3)
    values, image = rng.normal(size=(4, 4)), rng.random((3, 4, 4))
    over, blend = show.overlay(values, image, axes(), alpha=0.3), show.blended(values, image, axes())
    np.testing.assert_allclose(over.images[0].get_array(), image.mean(0))
    assert over.images[1].get_alpha() == 0.3
    alpha = np.asarray(blend.images[1].get_alpha())
    assert alpha.shape == (4, 4) and alpha[np.abs(values).argmin() // 4, np.abs(values).argmin() % 4] == alpha.min()
    seen = shades(show.masked(values, image, axes(), outlier_perc=0))
    np.testing.assert_allclose(seen, displayable(image) * (np.maximum(values, 0) / values.max())[..., None])


def test_an_attribution_draws_itself():
    model, x = nets.build("cnn"), nets.images(2)
    a = explain.saliency(model, x, 3)
    ax = a.plot(axes(), index=1)
    assert ax.get_title() == "saliency, class 3"
    assert a.plot().figure.axes, "without axes it makes some"


def test_a_page_has_a_column_per_class_and_each_image_once():
    model, x = nets.build("cnn"), nets.images(2)
    rows, target = np.array([0, 0, 0, 1, 1]), np.array([1, 2, 3, 1, 4])
    maps = {name: getattr(explain, name)(model, x[rows], target) for name in ("saliency", "deep_lift")}
    maps["grad_cam"] = explain.grad_cam(model, x[rows], target, layer="3")
    for a in maps.values():
        a.x = a.x[:, :1]  # two channels are no picture
    page = show.grid(maps, classes="abcde", captions=["one", "two"], title="page")
    titles = [ax.get_title() for ax in page.axes]
    assert [t for t in titles if t] == ["b", "c", "d", "b", "e"]
    assert [ax.get_title(loc="left") for ax in page.axes if ax.get_title(loc="left")] == ["one", "two"]
    assert len(page.axes) == 2 + 3 * 5 + 2  # images, maps, two scales
    texts = [t.get_text() for t in page.texts]
    assert "deep lift" in texts and "page" in texts
    assert all(ax.get_xlabel() for ax in page.axes[2:17] if ax.images[0].get_array().ndim == 2)
    assert "a\n3 %" in [ax.get_title() for ax in show.grid(maps, labels=["a\n3 %"] * 5).axes]


def test_a_long_page_is_set_in_blocks():
    x = np.random.default_rng(0).random((2, 1, 8, 8))
    maps = {f"method {i}": Attribution(x - 0.5, "m", np.zeros(2, int), x) for i in range(30)}
    page = show.grid(maps)
    width, height = page.get_size_inches()
    assert 0.4 < height / width < 2
    boxes = [tuple(np.round(ax.get_position().bounds, 6)) for ax in page.axes]
    assert len(set(boxes)) == len(boxes) and all(
        0 <= b[0] and b[0] + b[2] <= 1 and 0 <= b[1] and b[1] + b[3] <= 1 for b in boxes
    )


def test_curves_and_cascades():
    model, x = nets.build("cnn"), nets.images(3)
    m = metrics.deletion(model, explain.saliency(model, x, 1), n_steps=6, rng=np.random.default_rng(0))
    ax = m.plot(axes())
    assert len(ax.lines) == 4 and ax.get_xlabel() == "part of the pixels removed" and ax.get_ylabel() == "probability"
    np.testing.assert_allclose(ax.lines[0].get_ydata(), m.curve[1].mean(0))
    picture = np.random.default_rng(0).random((3, 1, 6, 6))
    cascades = [metrics.mprt(f, model, x, rng=np.random.default_rng(0)) for f in (explain.saliency, explain.deep_lift)]
    for c in cascades:
        c.extra["x"] = picture
    page = show.cascade(cascades, index=1)
    heads = [ax.get_title() for ax in page.axes if ax.get_title()]
    assert heads == ["image", "trained", "8", "+ 6", "+ 3", "+ 0"]
    names = [t.get_text() for t in page.axes[-1].get_legend().get_texts()]
    assert names == ["saliency", "deep lift", "(random)", "(edges)"]
    page.canvas.draw()


def test_captums_names_and_refusals():
    image = np.random.default_rng(0).random((4, 4, 3))
    figure, ax = show.visualize_image_attr(image - 0.5, image, "blended_heat_map", "all", show_colorbar=True, title="t")
    assert ax.get_title() == "t" and len(figure.axes) == 2
    given = axes()
    assert show.visualize_image_attr(image, image, "masked_image", "positive", (given.figure, given))[1] is given
    for message, options in {
        "method is 'heatmap', expected one of heat_map": {"method": "heatmap"},
        "sign is 'absolute', expected one of all, positive": {"sign": "absolute"},
        "masked_image needs original_image": {"method": "masked_image"},
        "alpha_scaling cannot show sign='all'": {"method": "alpha_scaling", "sign": "all", "original_image": image},
        r"original_image has shape \(4, 4\)": {"method": "original_image", "original_image": image[..., 0]},
    }.items():
        with pytest.raises(ValueError, match=message):
            show.visualize_image_attr(image, **options)


MAPS = partial(np.zeros, (2, 2))
MISTAKES = {
    r"heat_map: the map has shape \(1, 1, 2, 2\)": lambda: show.heat_map(np.zeros((1, 1, 2, 2))),
    "heat_map: the map holds NaN": lambda: show.heat_map(np.full((2, 2), np.nan)),
    "heat_map: sign is 'both'": lambda: show.heat_map(MAPS(), sign="both"),
    "heat_map: scale is 0": lambda: show.heat_map(MAPS(), scale=0),
    r"overlay: the map is \(2, 2\) and the image \(3, 2\) pixels": lambda: show.overlay(MAPS(), np.zeros((3, 2))),
    r"blended: the image has shape \(2, 2, 2\)": lambda: show.blended(MAPS(), np.zeros((2, 2, 2))),
    "masked: sign is 'all'": lambda: show.masked(MAPS(), MAPS(), sign="all"),
    "grid: attributions is empty": lambda: show.grid({}),
    "grid: style is 'heat'": lambda: show.grid({"a": given()}, style="heat"),
    "got 1 labels and 1 captions for 2 samples of 2 images": lambda: show.grid(
        {"a": given()}, labels=["x"], captions=["y"]
    ),
    "b explains other samples or classes than a": lambda: show.grid({"a": given(), "b": given(1)}),
    r"the maps of a have shape \(2, 1, 3, 3\)": lambda: show.grid({"a": given(size=3)}),
    "curves: gini has no curve": lambda: show.curves(metrics.gini(np.ones((2, 3)))),
    "not of mprt with the same layers": lambda: show.cascade(
        [metrics.Measurement(np.ones(2), "deletion", "lower", "m", curve=([0], np.ones((2, 1))))]
    ),
}


def given(target=0, size=4):
    x = np.random.default_rng(0).random((2, 1, 4, 4))
    return Attribution(np.ones((2, 1, size, size)), "m", np.full(2, target), x)


@pytest.mark.parametrize("message", MISTAKES)
def test_a_mistake_says_what_came_and_what_was_expected(message):
    with pytest.raises(ValueError, match=message):
        MISTAKES[message]()


def test_importing_the_package_does_not_import_matplotlib():
    import subprocess
    import sys

    code = "import sys, explain; from explain import show, metrics; print('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
