"""``python -m attacks``: what it writes, its table, and one line for every mistake."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import minigrad
from attacks.cli import main, menu, table
from minigrad import data, models

pytestmark = pytest.mark.compiled


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A saved network that has seen some digits."""
    path = tmp_path_factory.mktemp("run") / "model.safetensors"
    model = models.lenet5(rng=np.random.default_rng(0))
    train = data.load("digits", "train")
    optimizer = minigrad.optim.Adam(model.parameters(), lr=3e-3)
    for images, labels in data.batches(train, 64, shuffle=True, rng=np.random.default_rng(0)):
        optimizer.zero_grad()
        minigrad.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    minigrad.save(path, model, dataset="digits", classes=list("0123456789"), input=(1, 28, 28))
    return path.parent


def error(capsys, *arguments):
    """The one line that a command ends with."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as stopped:  # argparse leaves this way
        status = stopped.code
    printed = capsys.readouterr().err.splitlines()
    assert status == 2 and printed[-1].startswith("attacks: error: "), printed
    return printed[-1]


def test_pictures_numbers_and_images_of_two_attacks(run, tmp_path, capsys):
    out = tmp_path / "deep" / "attacked"
    options = ("--attack", "pgd", "deepfool", "--eps", "0.2", "0.1", "--samples", "20", "--shown", "4")
    assert main([str(run), *options, "--out", str(out)]) == 0
    names = {"results.txt", "results.json", "adversarial.safetensors", "examples.png", "curve.png"}
    assert {path.name for path in out.iterdir()} == names
    rows = json.loads((out / "results.json").read_text())
    assert [row["attack"] + row["setting"] for row in rows] == ["pgdeps 0.1", "pgdeps 0.2", "deepfool"]
    assert rows[0]["accuracy"] >= rows[1]["accuracy"] and rows[0]["linf"] <= 0.1 + 1e-6
    text = (out / "results.txt").read_text()
    assert text.strip() in capsys.readouterr().out and "the first 20 test images" in text
    saved, test = load_file(out / "adversarial.safetensors"), data.load("digits", "test")
    assert set(saved) == {"pgd", "deepfool", "labels"} and saved["pgd"].shape == (20, 1, 28, 28)
    right = menu.predicted(minigrad.load(run / "model.safetensors"), saved["deepfool"]) == test.labels[:20]
    assert np.isclose(right.mean(), rows[2]["accuracy"])
    from PIL import Image

    assert min(Image.open(out / "examples.png").size) > 500


def test_one_radius_makes_no_curve(run, tmp_path):
    assert main([str(run), "--attack", "fgsm", "--eps", "0.1", "--samples", "4", "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "curve.png").exists()


def test_the_table_is_written_as_markdown_and_numbers(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table, "SETTINGS", [("fgsm", {"eps": 0.1}), ("fmn", {"steps": 20, "norm": "linf"})])
    out = tmp_path / "table.md"
    assert main(["table", str(run), "--samples", "10", "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert lines[0].startswith("digits, the first 10 test images, clean accuracy")
    assert lines[2].startswith("| attack | setting |") and lines[4].startswith("| fgsm | eps 0.1 |") and len(lines) == 6
    assert len(json.loads(out.with_suffix(".json").read_text())["rows"]) == 2
    assert "saved" in capsys.readouterr().out


def test_the_doctor_reports_with_its_status(run, capsys):
    status = main(["doctor", str(run), "--samples", "8", "--eps", "0.05"])
    assert status == ("ALARM" in capsys.readouterr().out)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--attack", "pdg"], "there is no attack 'pdg'; did you mean pgd"),
        (["--eps", "-0.1"], "'-0.1' is not a number of at least 0"),
        (["--samples", "0"], "'0' is not a whole number of at least 1"),
        (["--attack", "jsma", "--steps", "3", "--samples", "2"], "jsma takes no steps; leave --steps out"),
        (["--attack", "pgd", "--norm", "l0", "--samples", "2"], "norm 'l0' has no steps of any length"),
    ],
)
def test_a_mistake_is_one_line(run, capsys, tmp_path, arguments, message):
    assert message in error(capsys, run, *arguments, "--out", tmp_path)


def test_a_run_that_is_not_there(capsys):
    assert "there is no nowhere" in error(capsys, "nowhere")
