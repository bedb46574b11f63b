"""Clusters of maps: spectra of graphs that are known, and kinds of maps that were planted."""

import numpy as np
import pytest

import explain
from explain.spray import neighbour_graph, spectrum
from minigrad import nn

RNG = np.random.default_rng


def planted(seed=0):
    """Thirty maps of a thing in the middle, twelve of a mark in a corner, in random order."""
    rng = RNG(seed)
    kind = rng.permutation(np.repeat([0, 1], [30, 12]))
    maps = rng.normal(0, 0.05, (42, 1, 16, 16))
    maps[kind == 0, :, 5:11, 5:11] += rng.uniform(0.5, 1.5, (30, 1, 1, 1))
    maps[kind == 1, :, 13:, 13:] += rng.uniform(2, 4, (12, 1, 1, 1))
    return maps, kind


def test_spectra_of_known_graphs():
    complete = np.ones((6, 6)) - np.eye(6)
    np.testing.assert_allclose(spectrum(complete)[0], [0] + [6 / 5] * 5, atol=1e-12)
    ring = np.roll(np.eye(7), 1, 0) + np.roll(np.eye(7), -1, 0)
    right = np.sort(1 - np.cos(2 * np.pi * np.arange(7) / 7))
    np.testing.assert_allclose(spectrum(ring)[0], right, atol=1e-12)
    apart = np.kron(np.eye(3), np.ones((4, 4)) - np.eye(4))
    assert (spectrum(apart)[0] < 1e-12).sum() == 3


def test_the_graph_joins_either_ones_neighbours():
    points = np.array([[0.0], [1], [3], [10]])
    right = [[0, 1, 0, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0]]
    np.testing.assert_array_equal(neighbour_graph(points, 1), right)


def test_a_planted_cluster_is_found_and_the_eigengap_says_so():
    maps, kind = planted()
    found = explain.spray(maps, n_neighbors=6, rng=RNG(0))
    assert found.n_clusters == 2 and found.gaps.argmax() == 1
    np.testing.assert_array_equal(found.labels, kind)
    np.testing.assert_allclose(found.means[1], maps[kind == 1, 0].mean(0))
    assert np.unravel_index(found.means[1].argmax(), (16, 16)) >= (13, 13)
    assert len(found.eigenvalues) == 9 and found.embedding.shape == (42, 2)


def test_maps_of_one_kind_stay_together():
    maps, kind = planted()
    assert explain.spray(maps[kind == 0], rng=RNG(0)).n_clusters == 1
    forced = explain.spray(maps, n_clusters=3, rng=RNG(0))
    sizes = np.bincount(forced.labels)
    assert len(sizes) == 3 and (np.diff(sizes) <= 0).all()


def test_scale_and_order_of_the_maps_do_not_matter():
    maps, kind = planted()
    order = RNG(3).permutation(42)
    found = explain.spray(maps[order] * RNG(4).uniform(1, 100, (42, 1, 1, 1)), n_neighbors=6, rng=RNG(0))
    np.testing.assert_array_equal(found.labels, kind[order])


def test_a_model_that_reads_a_watermark_on_some_images():
    """Class 0 is a bright middle or a bright corner: maps of images with a mark fall into a cluster of their own."""
    rng = RNG(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2)).to(np.float64)
    weight = np.zeros((2, 8, 8))
    weight[0, 2:6, 2:6], weight[0, 7, 7] = 0.3, 4
    model[1].weight.data = weight.reshape(2, 64)
    x = rng.uniform(0, 0.2, (40, 1, 8, 8))
    marked = np.arange(40) % 4 == 0
    x[~marked, :, 2:6, 2:6] += 0.7
    x[marked, :, 7, 7] += 0.8
    found = explain.spray(explain.input_x_gradient(model, x, 0), n_neighbors=5, n_clusters=2, rng=RNG(0))
    np.testing.assert_array_equal(found.labels == 1, marked)


def test_a_cluster_can_be_drawn():
    pytest.importorskip("matplotlib").use("Agg")
    maps, _ = planted()
    assert explain.spray(maps, rng=RNG(0)).plot(cluster=1).get_title() == "cluster 1: 12 maps"


@pytest.mark.parametrize(
    ("maps", "options", "match"),
    [
        (np.zeros((2, 4, 4)), {}, r"spray: got maps of shape \(2, 4, 4\), expected at least 3"),
        (np.full((5, 4, 4), np.nan), {}, r"expected at least 3 finite ones"),
        (np.zeros((5, 4, 4)), {"n_neighbors": 0}, r"spray: n_neighbors is 0, expected an integer of at least 1"),
        (np.zeros((5, 4, 4)), {"size": 0}, r"spray: size is 0"),
        (np.zeros((5, 4, 4)), {"max_clusters": 0}, r"spray: max_clusters is 0"),
        (np.zeros((5, 4, 4)), {"n_clusters": 6}, r"n_clusters is 6, expected at most the number of maps, 5"),
    ],
)
def test_bad_options_are_named(maps, options, match):
    with pytest.raises(ValueError, match=match):
        explain.spray(maps, **options)
