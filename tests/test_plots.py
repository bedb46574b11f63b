"""Pictures say what they found; nothing is shown, and the same figure is the same file."""

import subprocess
import sys

import matplotlib

matplotlib.use("Agg")  # before pyplot: no test opens a window

import matplotlib.pyplot as plt
import numpy as np
import pytest

from minigrad import data, plots, train


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


def history(test_loss):
    h = train.History()
    for i, loss in enumerate(test_loss):
        h.append(train_loss=1 / (i + 1), train_accuracy=0.9, test_loss=loss, test_accuracy=0.95 + i / 100, lr=1e-3,
                 seconds=1.0, images_per_second=9.0)
    return h


def drawn(ax):
    return [text.get_text() for text in ax.texts]


@pytest.mark.parametrize(("losses", "title"), [
    ((0.5, 0.2, 0.3), "Test loss is lowest after epoch 2, then overfits"),
    ((0.5, 0.3, 0.2), "Test loss falls to 0.2000"),
    ((0.25,), "Test loss falls to 0.2500"),
])
def test_curves_state_the_finding(losses, title):
    loss, accuracy = history(losses).plot()
    assert loss.get_title("left") == title
    assert accuracy.get_title("left") == f"{94 + len(losses)}.00 % of the test images right"
    np.testing.assert_allclose(loss.lines[1].get_ydata(), losses)
    np.testing.assert_allclose(accuracy.lines[0].get_ydata(), 90)
    assert [text.get_text() for text in loss.get_legend().get_texts()] == [
        f"train: {1 / len(losses):.4f} at the end", f"test: {losses[-1]:.4f} at the end"]


def test_curves_draw_into_given_axes_and_need_an_epoch():
    axes = plots.new_figure().subplots(1, 2)
    assert tuple(history([1.0, 0.5]).plot(axes)) == tuple(axes)
    with pytest.raises(ValueError, match="curves: the history has no epoch yet"):
        train.History().plot()


def test_confusion_matrix_counts_and_names_the_worst():
    labels, predictions = np.array([0, 0, 0, 1, 1, 2]), np.array([0, 2, 2, 1, 0, 2])
    ax = plots.confusion_matrix(labels, predictions, ("cat", "dog", "bird"))
    assert ax.get_title("left") == "3 of 6 wrong; most often\ncat taken for bird (2 of 3)"
    assert drawn(ax) == ["1", "2", "1", "1", "1"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["cat", "dog", "bird"]
    assert plots.confusion_matrix([0, 1], np.array([0, 1]), "ab").get_title("left") == "All 2 right"
    assert "no confusion more than once" in plots.confusion_matrix([0, 1], np.array([1, 0]), "ab").get_title("left")


def test_misclassified_shows_the_surest_mistakes_first():
    images = np.zeros((4, 1, 5, 5), np.float32)
    dataset = data.Dataset(images, np.array([0, 1, 1, 0]), ("shirt", "bag"))
    p = np.array([[0.4, 0.6], [0.1, 0.9], [0.9995, 0.0005], [0.3, 0.7]])
    metrics = train.Metrics(loss=1.0, accuracy=0.25, predictions=p.argmax(1), probabilities=p)
    figure = plots.misclassified(dataset, metrics, rows=1, columns=2)
    assert [ax.get_title() for ax in figure.axes] == ["is bag (<0.1 %)\ntaken for shirt (>99.9 %)",
                                                      "is shirt (30 %)\ntaken for bag (70 %)"]
    assert figure.get_suptitle().startswith("3 of 4 test images wrong; here the 2 it was surest of")
    right = train.Metrics(loss=0.1, accuracy=1.0, predictions=dataset.labels, probabilities=p)
    assert plots.misclassified(dataset, right).get_suptitle() == "All 4 test images right"


@pytest.mark.parametrize(("p", "words"), [(0.0004, "<0.1 %"), (0.004, "0.4 %"), (0.5, "50 %"), (0.9949, "99.5 %"),
                                          (0.99991, ">99.9 %")])
def test_percent_fits_under_a_picture(p, words):
    assert plots.percent(p) == words


def test_the_same_figure_is_the_same_file(tmp_path):
    for name in ("a.png", "b.png"):
        figure = plots.new_figure()
        plots.curves(history([0.5, 0.4]), figure.subplots(1, 2))
        plots.save(figure, tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert not plt.get_fignums()


def test_importing_plots_does_not_import_matplotlib():
    program = "import sys, minigrad.plots, minigrad.cli; sys.exit(bool({'matplotlib', 'sklearn'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_gallery_has_a_picture_and_a_title_for_each_image():
    images = np.random.default_rng(0).random((5, 3, 8, 8))
    figure = plots.gallery(images, list("abcde"), columns=3)
    drawn = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in drawn] == list("abcde") and len(figure.axes) == 6
    np.testing.assert_array_equal(drawn[4].images[0].get_array(), images[4].transpose(1, 2, 0))
