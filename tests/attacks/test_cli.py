"""``python -m attacks``: what it writes, its table, and one line for every mistake."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

import attacks
import minigrad
from attacks import show
from attacks.cli import main, menu, table
from minigrad import data

pytestmark = pytest.mark.compiled


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
    numbers = json.loads((out / "results.json").read_text())
    rows = numbers["rows"]
    assert [row["attack"] + row["setting"] for row in rows] == ["pgdeps 0.1", "pgdeps 0.2", "deepfool"]
    assert numbers["clean accuracy"] > rows[0]["accuracy"] >= rows[1]["accuracy"] and numbers["images"] == 20
    assert rows[0]["interval"][0] <= rows[0]["accuracy"] <= rows[0]["interval"][1]
    assert rows[0]["mean"]["linf"] <= 0.1 + 1e-6 and 0 < rows[2]["median"]["l2"] < rows[2]["mean"]["l1"]
    text = (out / "results.txt").read_text()
    assert text.strip() in capsys.readouterr().out and "the first 20 test images" in text
    saved, test = load_file(out / "adversarial.safetensors"), data.load("digits", "test")
    assert set(saved) == {"pgd", "deepfool", "labels"} and saved["pgd"].shape == (20, 1, 28, 28)
    right = menu.predicted(minigrad.load(run / "model.safetensors"), saved["deepfool"]) == test.labels[:20]
    assert np.isclose(right.mean(), rows[2]["accuracy"])
    from PIL import Image

    assert min(Image.open(out / "examples.png").size) > 500


def test_differences_are_magnified_as_much_as_fits():
    signs = np.random.default_rng(0).choice([-1.0, 0, 1], 1000)
    assert [show.fitting(eps * signs) for eps in (0.004, 0.05, 0.06, 0.1, 0.3, 1)] == [100, 10, 5, 5, 1, 1]
    signs[:3] = 40  # a few that stick out are cut off
    assert show.fitting(0.1 * signs) == 5 and show.fitting(0 * signs) == 100


def test_ctrl_c_keeps_the_attacks_that_are_done(run, tmp_path, capsys, monkeypatch):
    def broken_off(*arguments, **options):
        result = attacks.pgd(*arguments, **options)
        result.extra["interrupted"] = True
        return result

    monkeypatch.setattr(attacks, "deepfool", broken_off)
    options = ("--samples", "4", "--eps", "0.1", "--out", str(tmp_path / "out"))
    monkeypatch.setattr(menu, "options", lambda name, **wanted: {"eps": 0.1})
    assert main([str(run), "--attack", "pgd", "deepfool", *options]) == 130
    assert "stopped during deepfool; " in capsys.readouterr().err
    assert [r["attack"] for r in json.loads((tmp_path / "out" / "results.json").read_text())["rows"]] == ["pgd"]
    assert main([str(run), "--attack", "deepfool", "pgd", "--out", str(tmp_path / "none")]) == 130
    assert not list((tmp_path / "none").iterdir())


def test_one_radius_makes_no_curve_and_where_none_is_turned_there_is_no_distance(run, tmp_path, capsys):
    assert main([str(run), "--attack", "fgsm", "--eps", "0", "--samples", "4", "--out", str(tmp_path)]) == 0
    assert not (tmp_path / "curve.png").exists()
    row = json.loads((tmp_path / "results.json").read_text())["rows"][0]
    assert row["rate"] == 0 and row["mean"]["l2"] is None
    assert capsys.readouterr().out.splitlines()[2].split()[4:10] == ["0.0%", *"-----"]


def test_where_nothing_can_be_written_nothing_is_attacked(run, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    for command in ([run, "--out", tmp_path / "file"], ["table", run, "--out", tmp_path / "file" / "t.md"]):
        assert "cannot write into --out" in error(capsys, *command)


def test_the_table_is_written_as_markdown_and_numbers(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(table, "SETTINGS", [("fgsm", {"eps": 0.1}), ("fmn", {"steps": 20, "norm": "linf"})])
    out = tmp_path / "table.md"
    assert main(["table", str(run), "--samples", "10", "--out", str(out)]) == 0
    lines = out.read_text().splitlines()
    assert lines[0].startswith("digits, the first 10 test images, clean accuracy")
    assert lines[2].startswith("| attack | setting |") and lines[4].startswith("| fgsm | eps 0.1 |") and len(lines) == 9
    assert len(json.loads(out.with_suffix(".json").read_text())["rows"]) == 2
    assert "saved" in capsys.readouterr().out


def test_the_table_trains_a_network_that_is_not_there(tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr(table, "minigrad_main", lambda arguments: asked.append(arguments) or 2)
    assert main(["table", str(tmp_path / "new"), "--train", "digits"]) == 2
    assert asked == [["train", "--dataset", "digits", "--out", str(tmp_path / "new")]]


@pytest.mark.parametrize("name, options", table.SETTINGS)
def test_every_row_of_the_table_is_something_its_attack_takes(name, options):
    assert name in menu.NAMES and set(menu.options(name, **options)) >= set(options)


@pytest.mark.parametrize("command", [[], ["table"], ["doctor"]])
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--help"])
    assert stopped.value.code == 0 and "examples:\n  python -m attacks" in capsys.readouterr().out


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
        (["--attack", "ddn", "jsma", "--eps", "0.1"], "ddn and jsma look for the smallest change and take no radius"),
        (["--magnify", "0"], "'0' is not a number above 0"),
        (["--attack", "pgd", "--norm", "l0", "--samples", "2"], "norm 'l0' has no steps of any length"),
    ],
)
def test_a_mistake_is_one_line(run, capsys, tmp_path, arguments, message):
    assert message in error(capsys, run, *arguments, "--out", tmp_path)


def test_a_run_that_is_not_there(capsys):
    assert "there is no nowhere" in error(capsys, "nowhere")
