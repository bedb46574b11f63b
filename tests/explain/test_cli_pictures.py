"""``python -m explain occlusion, filters, visualize, style``: each writes a figure and says what it holds."""

import re

import numpy as np
import pytest
from PIL import Image

import explain
import minigrad
from explain.cli import filters, main, occlusion, style, subject
from minigrad import data, models

from .test_cli import error

pytestmark = pytest.mark.compiled


def written(path, capsys):
    assert min(Image.open(path).size) > 200 and f"saved {path}" in capsys.readouterr().out


def test_occlusion_says_where_a_class_is_lost(run, tmp_path, capsys):
    out = tmp_path / "occlusion.png"
    assert main(["occlusion", str(run), "--index", "3", "5", "--shade", "0.5", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert f"a patch of 10x10 in steps of 2; saved {out}" in printed and min(Image.open(out).size) > 200
    test = data.load("digits", "test")
    found = explain.occlusion_map(
        minigrad.load(run / "model.safetensors"), test.images[[3, 5]], test.labels[[3, 5]], baselines=0.5
    )
    worst = re.findall(r"at worst ([\d.]+)%", printed)
    assert [float(p) for p in worst] == [round(100 * p, 1) for p in found.probability.min((1, 2)).astype(float)]
    others = re.findall(r"another class at (\d+)% of 100 places", printed)
    assert [int(n) for n in others] == [round(100 * (f != k).mean()) for f, k in zip(found.predicted, found.target)]


def test_occlusion_takes_one_picture_of_each_class_that_is_recognised(run):
    model, test = minigrad.load(run / "model.safetensors"), data.load("digits", "test")
    index = occlusion.first_of_each(model, test)
    with minigrad.no_grad():
        taken = model(minigrad.tensor(test.images[index])).data.argmax(1)
    assert (taken == test.labels[index]).all() and len(set(taken)) == len(index)


def test_filters_draws_the_layers_asked_for(run, tmp_path, capsys):
    out = tmp_path / "filters.png"
    assert main(["filters", str(run), "--out", str(out)]) == 0
    written(out, capsys)
    two = Image.open(out).size
    assert main(["filters", str(run), "--layers", "features.3", "--index", "4", "--out", str(out)]) == 0
    assert Image.open(out).size[1] < 0.7 * two[1]
    assert [filters.columns(n) for n in (1, 6, 16, 32, 64, 96, 97)] == [1, 3, 4, 8, 8, 12, None]


def test_visualize_climbs_to_the_classes_named(run, tmp_path, capsys):
    out = tmp_path / "classes.png"
    assert main(["visualize", str(run), "--classes", "3", "8", "--steps", "30", "--out", str(out)]) == 0
    assert "Images(class_visualization, (2, 1, 28, 28), 30 steps" in capsys.readouterr().out
    assert min(Image.open(out).size) > 100
    first = out.read_bytes()
    assert main(["visualize", str(run), "--classes", "3", "8", "--steps", "30", "--out", str(out)]) == 0
    assert out.read_bytes() == first
    assert main(["visualize", str(run), "--index", "0", "--classes", "3", "--steps", "5", "--out", str(out)]) == 0
    assert "(1, 1, 28, 28), 5 steps" in capsys.readouterr().out


def test_style_paints_files_of_any_proportions(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    for name, size in (("photo", (60, 40)), ("stripes", (32, 48))):
        Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), np.uint8)).save(tmp_path / f"{name}.png")
    monkeypatch.setattr(style, "pretrained_squeezenet", lambda: models.squeezenet1_0(rng=np.random.default_rng(0)))
    files = [str(tmp_path / "photo.png"), str(tmp_path / "stripes.png")]
    assert style.photo(tmp_path / "photo.png", 32).shape == (1, 3, 32, 48)
    options = ("--size", "64", "--steps", "10", "--start", "noise")
    assert main(["style", *files, *options, "--out", str(tmp_path / "painted.png")]) == 0
    before, after = re.search(r"stripes: style loss ([\d.]+) to ([\d.]+)", capsys.readouterr().out).groups()
    assert float(after) < float(before) and min(Image.open(tmp_path / "painted.png").size) > 200


def test_a_class_is_known_by_its_name_or_its_number():
    assert subject.class_number("coat", ["shirt", "coat"]) == 1 and subject.class_number("0", ["shirt", "coat"]) == 0
    assert subject.class_number("1", ["3", "1", "2"]) == 1, "names come first"


MISTAKES = {
    ("occlusion", "RUN", "--index", "999"): "there is no test image 999; digits has 0 to 354",
    ("occlusion", "RUN", "--patch", "40"): "the window (1, 40, 40) is larger than a sample",
    ("occlusion", "RUN", "--patch", "2", "--stride", "3"): "go beyond the window",
    ("occlusion", "RUN", "--out", "fig.jpg"): "--out is fig.jpg, expected the name of a PNG file",
    ("filters", "RUN", "--layers", "features.9"): "no module at 'features.9'; nearest: 'features.",
    ("filters", "RUN", "--layers", "features.1"): "the weights of layer 'features.1' are none",
    ("visualize", "RUN", "--classes", "ten"): "there is no class 'ten'; Expected the name of a class, or its number",
    ("visualize", "RUN", "--classes", "10"): "Expected the name of a class, or its number from 0 to 9",
    ("visualize", "RUN", "--preset", "corse"): "invalid choice: 'corse'",
    ("visualize", "RUN", "--size", "64"): "expects its last axis to be 400",
    ("style", "nowhere.jpg", "nothing.jpg"): "there is no file nowhere.jpg",
    ("style", "nowhere.jpg"): "the following arguments are required: PICTURE",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_line_and_status_2(arguments, run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert MISTAKES[arguments] in error(capsys, *(str(run) if a == "RUN" else a for a in arguments))
    assert not list(tmp_path.iterdir()), "nothing is written"
