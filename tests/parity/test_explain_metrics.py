"""Metrics and pictures beside Captum's, on the same networks and with the same perturbations, in float64 to 1e-6."""

import numpy as np
import pytest

import explain
from explain import metrics, show
from tests.explain import nets

torch = pytest.importorskip("torch")
pytest.importorskip("captum")
from captum import attr as captum_attr  # noqa: E402
from captum import metrics as captum_metrics  # noqa: E402
from captum.attr import visualization  # noqa: E402

NETS = ("cnn", "strided", "normed", "smooth", "branched")


def pair(name, count=3):
    """The same network in both, with inputs and targets."""
    ours = nets.build(name)
    theirs = nets.ALL[name](torch).double().eval()
    theirs.load_state_dict({k: torch.tensor(a) for k, a in ours.state_dict().items()})
    return ours, theirs, nets.images(count), np.array([1, 3, 0])


def in_turn(arrays, make):
    """A function that uses the next of the arrays at every call."""
    it = iter(arrays)
    return lambda x: make(x, next(it))


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("name", NETS)
def test_infidelity_equals_captums(name, normalize):
    ours, theirs, x, target = pair(name)
    a = explain.saliency(ours, x, target, absolute=False)
    changes = np.random.default_rng(2).normal(0, 0.1, (6, *x.shape))
    found = metrics.infidelity(
        ours, a, perturb_func=in_turn(changes, lambda x, c: (c, x - c)), n_perturb_samples=6, normalize=normalize
    )
    together = torch.tensor(
        changes.swapaxes(0, 1).reshape(-1, *x.shape[1:])
    )  # Captum: all changes of a sample in a row
    captum = captum_metrics.infidelity(
        theirs,
        lambda x: (together, x - together),
        torch.tensor(x),
        torch.tensor(a.values),
        target=torch.tensor(target),
        n_perturb_samples=6,
        normalize=normalize,
    )
    np.testing.assert_allclose(found.values, captum.detach(), rtol=1e-6)


@pytest.mark.filterwarnings("ignore:Input Tensor 0 did not already require gradients")
@pytest.mark.parametrize("norm_ord", ["fro", 1, np.inf])
@pytest.mark.parametrize("name", NETS)
def test_sensitivity_max_equals_captums(name, norm_ord):
    ours, theirs, x, target = pair(name)
    moves = np.random.default_rng(3).uniform(-0.02, 0.02, (5, *x.shape))
    found = metrics.sensitivity_max(
        explain.saliency,
        ours,
        x,
        target,
        perturb_func=in_turn(moves, lambda x, u: x + u),
        n_perturb_samples=5,
        norm_ord=norm_ord,
        controls=False,
    )
    together = torch.tensor(moves.swapaxes(0, 1).reshape(-1, *x.shape[1:]))
    captum = captum_metrics.sensitivity_max(
        captum_attr.Saliency(theirs).attribute,
        torch.tensor(x),
        perturb_func=lambda x, radius: x + together,
        n_perturb_samples=5,
        norm_ord=norm_ord,
        target=torch.tensor(target),
    )
    np.testing.assert_allclose(found.values, captum.detach(), rtol=1e-6)


DRAWN = [
    (method, sign, channels)
    for method in ("heat_map", "blended_heat_map", "original_image", "masked_image", "alpha_scaling")
    for sign in ("all", "positive", "negative", "absolute_value")
    for channels in (1, 3)
    if not (sign == "all" and method in ("masked_image", "alpha_scaling"))  # both refuse
    and not (channels == 1 and method == "alpha_scaling")  # Captum's image has two channels, which matplotlib refuses
]


@pytest.mark.parametrize("method, sign, channels", DRAWN)
def test_visualize_image_attr_draws_what_captums_does(method, sign, channels):
    rng = np.random.default_rng(5)
    values, image = rng.normal(size=(9, 7, channels)), rng.random((9, 7, channels))
    _, ours = show.visualize_image_attr(values, image, method, sign, use_pyplot=False, outlier_perc=5)
    _, theirs = visualization.visualize_image_attr(values, image, method, sign, use_pyplot=False, outlier_perc=5)
    assert len(ours.images) == len(theirs.images)
    for one, other in zip(ours.images, theirs.images):
        expected = np.asarray(other.get_array())
        if expected.ndim == 2 and method in ("original_image", "masked_image") or expected.shape[-1:] == (1,):
            expected = np.broadcast_to(expected.reshape(9, 7, 1), (9, 7, 3))  # grey: Captum leaves it to the colour map
        np.testing.assert_allclose(np.asarray(one.get_array()), expected, rtol=1e-9, atol=1e-9)
        assert one.get_alpha() == other.get_alpha()
        if method in ("heat_map", "blended_heat_map"):
            assert one.get_cmap().name == other.get_cmap().name
    if method == "heat_map":
        assert ours.images[0].get_clim() == theirs.images[0].get_clim()


def test_captum_refuses_a_map_of_zeros():
    zeros = np.zeros((4, 4, 1))
    with pytest.raises(AssertionError, match="scale factor = 0"):
        visualization.visualize_image_attr(zeros, use_pyplot=False)
    _, ax = show.visualize_image_attr(zeros, use_pyplot=False)
    np.testing.assert_array_equal(ax.images[0].get_array(), zeros[..., 0])


def test_captum_cuts_off_what_is_negative_in_a_standardised_image():
    image = np.linspace(-2, 0.9, 48).reshape(4, 4, 3)
    _, theirs = visualization.visualize_image_attr(image, image, "original_image", use_pyplot=False)
    assert (np.asarray(theirs.images[0].get_array()) == 0).mean() > 0.6
    _, ours = show.visualize_image_attr(image, image, "original_image", use_pyplot=False)
    shown = np.asarray(ours.images[0].get_array())
    assert shown.min() == 0 and shown.max() == 255 and len(np.unique(shown)) == 48
