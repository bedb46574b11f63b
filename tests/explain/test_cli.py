"""``python -m explain``: the figure and table it writes, the classes it asks about, one line for every mistake."""

import csv

import numpy as np
import pytest

import minigrad
from explain.cli import figure, main, subject
from explain.methods import METHODS, Setting, last_convolution, named_methods
from minigrad import data, models

from . import nets

pytestmark = pytest.mark.compiled  # a photograph's worth of forwards in plain Python takes minutes
FEW = ("--methods", "saliency,lrp_epsilon,grad_cam", "--index", "0", "3")


def error(capsys, *arguments):
    """The one line that a command ends with."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as stopped:  # argparse leaves this way
        status = stopped.code
    printed = capsys.readouterr().err.splitlines()
    assert status == 2 and len(printed) == 1 and printed[0].startswith("explain: error: "), printed
    return printed[0]


def test_a_figure_a_table_and_its_numbers(run, tmp_path, capsys):
    out = tmp_path / "deep" / "fig.png"
    options = ("--targets", "true,top1,top2,least", "--metrics", "deletion,completeness,gini", "--out", str(out))
    assert main([str(run), *FEW, *options]) == 0
    from PIL import Image

    assert min(Image.open(out).size) > 500
    printed = capsys.readouterr().out
    assert "maps for the class 'true' of test images 0, 3" in printed and str(out.with_suffix(".csv")) in printed
    text = out.with_suffix(".txt").read_text(encoding="utf-8")
    assert text.strip() in printed and "(random)" in text and "deletion ↓" in text
    rows = list(csv.DictReader(out.with_suffix(".csv").open()))
    assert len(rows) == 6 * 3 and {row["method"] for row in rows if row["control"] == "0"} == {
        "saliency", "lrp_epsilon", "grad_cam"}  # fmt: skip
    assert all(len(row["values"].split()) == 2 for row in rows)


def test_the_same_seed_gives_the_same_bytes(run, tmp_path):
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        options = (
            "--methods",
            "smooth_grad",
            "--metrics",
            "gini",
            "--seed",
            seed,
            "--out",
            str(tmp_path / f"{name}.png"),
        )
        assert main([str(run), "--index", "1", "--targets", "top1", *options]) == 0
    for suffix in (".png", ".csv"):
        a, b, c = ((tmp_path / name).with_suffix(suffix).read_bytes() for name in "abc")
        assert a == b != c


def test_without_metrics_there_is_only_the_figure(run, tmp_path, capsys):
    assert main([str(run), *FEW, "--metrics", "none", "--style", "overlay", "--out", str(tmp_path / "f.png")]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["f.png"]
    assert capsys.readouterr().out == f"saved {tmp_path / 'f.png'}\n"


def test_all_methods_are_drawn_and_what_does_not_suit_is_said(tmp_path, capsys, monkeypatch):
    """A network without convolutions has no class activation maps."""
    for name in ("rise", "lime", "kernel_shap", "shapley_sampling"):  # the slow ones
        monkeypatch.delitem(METHODS, name)
    model = models.lenet5(rng=np.random.default_rng(0))
    flat = minigrad.nn.Sequential(minigrad.nn.Flatten(), minigrad.nn.Linear(784, 10))
    dataset = data.load("digits", "test")
    flat.metadata = {"classes": list("0123456789")}
    monkeypatch.setattr(figure, "load", lambda run: ({"flat": flat, "cnn": model.eval()}[run], dataset))
    for name, left_out in (("cnn", 0), ("flat", 5)):
        assert (
            main([name, "--methods", "all", "--index", "0", "--metrics", "none", "--out", str(tmp_path / "f.png")]) == 0
        )
        said = capsys.readouterr().err
        assert said.count("left out") == left_out and said.count(" s\n") == len(METHODS) - left_out
    assert "left out grad_cam: last_convolution: the model has no convolution" in said


def test_classes_that_coincide_are_asked_about_once():
    model, x = nets.build("cnn"), nets.images(2)
    with minigrad.no_grad():
        order = np.argsort(-model(minigrad.Tensor(x)).data, 1)
    names = ["a", "b", "c", "d", "e"]
    asked = subject.questions(model, x, order[:, 0], ["true", "top1", "top3", "least", "c"], names)
    first = [q for q in asked if q.row == 0]
    assert first[0].roles[:2] == ("true", "top1") and first[0].target == order[0, 0]
    assert len({(q.row, q.target) for q in asked}) == len(asked)
    assert {q.target for q in first} == {order[0, 0], order[0, 2], order[0, 4], 2}
    assert first[0].label.splitlines()[0] == names[order[0, 0]] and "true, top 1" in first[0].label


def test_verify_prints_a_table(run, capsys):
    assert main(["verify", str(run), "--index", "2"]) == 0
    printed = capsys.readouterr().out
    assert "LRP-0 = input x gradient" in printed and "0 fail" in printed


def test_verify_ends_with_1_if_an_identity_fails(run, monkeypatch, capsys):
    from explain import identities

    monkeypatch.setattr(identities, "ALL", {"one = two": lambda case: (0.5, ""), "one = one": lambda case: (0, "")})
    assert main(["verify", str(run), "--index", "2"]) == 1
    assert "FAILS" in capsys.readouterr().out
    assert main(["verify", str(run), "--index", "2", "--tolerance", "0.6"]) == 0


def test_methods_have_names_nearest_to_a_slip():
    with pytest.raises(ValueError, match="there is no method 'gradcam'; nearest: grad_cam"):
        named_methods(["gradcam"], None)


def test_every_method_suits_a_picture_and_draws_the_same_each_time():
    model, x = nets.build("cnn"), nets.images(2)
    setting = Setting(model, x, seed=3)
    assert setting.cam_layer() == "4" == last_convolution(model, x)
    for name, method in named_methods([n for n in METHODS if n != "rise"], setting).items():
        first, again = (method(model, x, 1).values for _ in range(2))
        assert first.shape[2:] == x.shape[2:] and np.isfinite(first).all(), name
        np.testing.assert_array_equal(first, again, err_msg=name)


MISTAKES = {
    ("nowhere",): "there is no nowhere; expected the folder of a run",
    ("RUN", "--methods", "salienc"): "there is no method 'salienc'; did you mean saliency",
    ("RUN", "--targets", "tru"): "there is no target 'tru'; did you mean true?",
    ("RUN", "--targets", "top11"): "there is no target 'top11'",
    ("RUN", "--metrics", "deletion,ginni"): "there is no metric 'ginni'; did you mean gini?",
    ("RUN", "--index", "999"): "there is no test image 999; digits has 0 to 354",
    ("RUN", "--index", "-1"): "'-1' is not a whole number of at least 0",
    ("RUN", "--index", "x"): "'x' is not a whole number of at least 0",
    ("RUN", "--methods", ","): "',' names nothing; give names with commas between them",
    ("RUN", "--out", "fig.pdf"): "--out is fig.pdf, expected the name of a PNG file",
    ("RUN", "--methods", "grad_cam", "--layer", "features.9"): "no module at 'features.9'; nearest: 'features.",
    ("RUN", "--style", "heat"): "invalid choice: 'heat'",
    ("--frobnicate",): "--help explains all arguments",
    ("verify",): "the following arguments are required: RUN",
    ("verify", "nowhere"): "there is no nowhere",
    ("verify", "RUN", "--tolerance", "0"): "'0' is not a number above 0",
    ("verify", "RUN", "--layer", "featured"): "no module at 'featured'; nearest: 'features'",
}


@pytest.mark.parametrize("arguments", MISTAKES, ids=" ".join)
def test_a_mistake_gets_one_line_and_status_2(arguments, run, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert MISTAKES[arguments] in error(capsys, *(str(run) if a == "RUN" else a for a in arguments))
    assert not list(tmp_path.iterdir()), "nothing is written"


def test_a_file_that_does_not_say_its_data(tmp_path, capsys):
    path = tmp_path / "model.safetensors"
    minigrad.save(path, models.lenet5(rng=np.random.default_rng(0)))
    assert "does not say what it learned from" in error(capsys, path)


def test_the_traceback_is_there_on_request(run):
    with pytest.raises(ValueError, match="no test image 999"):
        main([str(run), "--index", "999", "--traceback"])
