"""The command line: what it writes, what it prints, and that every mistake gets one line."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigrad
from minigrad.cli import main
from minigrad.cli.arguments import number, one_of, shape
from minigrad.runs import FILES, load_run

pytestmark = pytest.mark.compiled  # a step of mnist_cnn in plain Python takes minutes
QUICK = ("train", "--dataset", "digits", "--limit", "192", "--epochs", "2", "--quiet")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a finished run."""
    out = tmp_path_factory.mktemp("runs") / "quick"
    assert main([*QUICK, "--out", str(out)]) == 0
    return out


@pytest.fixture
def without_pictures(monkeypatch):
    """Leave out what takes longest and is not looked at."""
    for name in ("curves", "confusion_matrix", "misclassified", "save"):
        monkeypatch.setattr(minigrad.plots, name, lambda *arguments, **options: None)


def error(capsys, *arguments):
    """The one line that a command ends with."""
    try:
        status = main(list(map(str, arguments)))
    except SystemExit as stopped:  # argparse leaves this way
        status = stopped.code
    printed = capsys.readouterr().err.splitlines()
    assert status == 2 and len(printed) == 1 and printed[0].startswith("minigrad: error: "), printed
    return printed[0]


def test_training_leaves_a_complete_run(run):
    assert {path.name for path in run.iterdir()} == set(FILES)
    model = load_run(run)
    assert model.metadata["dataset"] == "digits" and model.metadata["input"] == [1, 28, 28]
    assert model.metadata["seed"] == 0 and model.metadata["epochs"] == 2
    assert model.metadata["classes"] == list("0123456789")
    history = minigrad.train.History(**json.loads((run / "history.json").read_text()))
    tested = minigrad.train.evaluate(model, minigrad.data.load("digits", "test"))
    assert tested.accuracy == history.test_accuracy[-1] == model.metadata["metrics"]["accuracy"]
    report = (run / "classification_report.txt").read_text()
    assert f"accuracy {tested.accuracy:.2%}" in report and "recall" in report and "weighted avg" in report
    for name in ("curves.png", "confusion_matrix.png", "misclassified.png"):
        assert min(Image.open(run / name).size) > 200


def test_the_last_lines_name_the_files(tmp_path, capsys):
    main([*QUICK, "--out", str(tmp_path / "run")])
    head, _, files = capsys.readouterr().out.partition("files made:\n")
    assert head.startswith("mnist_cnn (799,078 parameters) learned digits in 2 epochs, ") and "test accuracy" in head
    assert [Path(line.split()[0]).name for line in files.splitlines()] == list(FILES)
    assert all(Path(line.split()[0]).is_file() for line in files.splitlines())


def test_one_seed_decides_everything(tmp_path, without_pictures):
    options = ("--batch-norm", "--dropout", "0.3", "--augment", "--limit", "64", "--epochs", "1")
    states = {}
    for name, more in (("a", ()), ("b", ()), ("other seed", ("--seed", "1")), ("no dropout", ("--dropout", "0")),
                       ("not moved", ("--no-augment",))):
        assert main([*QUICK, "--out", str(tmp_path / name), *options, *more]) == 0
        states[name] = b"".join(array.tobytes() for array in load_run(tmp_path / name).state_dict().values())
    assert states["a"] == states["b"]
    assert len(set(states.values())) == 4


def test_the_weights_do_not_depend_on_what_else_is_random(tmp_path):
    from minigrad.cli import settings, train

    digits = minigrad.data.load("digits")

    def weights(**options):
        generators = [np.random.default_rng(seed) for seed in (0, 1)]
        return train.build_model(settings.DEFAULTS | options, digits, *generators).state_dict()

    assert "features.3.running_mean" in weights(batch_norm=True)
    assert train.build_model(settings.DEFAULTS | {"model": "cifar_cnn", "batch_norm": False}, digits, *[None] * 2
                             ).architecture["options"]["batch_norm"] is False  # what was asked for, not the default
    plain, dropped = weights(), weights(dropout=0.5)
    assert all((a == b).all() for a, b in zip(plain.values(), dropped.values()))


def test_ctrl_c_says_how_to_go_on_and_that_works(tmp_path, without_pictures):
    out = tmp_path / "a run"
    command = [sys.executable, "-m", "minigrad", *QUICK[:-1], "--out", str(out)]  # aloud: a line an epoch
    child = subprocess.Popen([*command, "--epochs", "500"], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    said = [""]
    while "epoch   1/500" not in said[-1]:
        said.append(child.stderr.readline())
        assert said[-1], f"it ended with {child.wait()} before its first epoch: {said}"
    child.send_signal(signal.SIGINT)
    said = child.communicate(timeout=120)[1].splitlines()
    assert child.returncode == 130 and not any("Traceback" in line for line in said)
    done = re.fullmatch(r"minigrad: fit: stopped after (\d+) of 500 epochs and \d of 3 batches; saved in .*", said[-2])
    epochs = str(int(done[1]) + 2)
    assert said[-1] == f"python -m minigrad train --out '{out}' --resume"
    assert main(["train", "--out", str(out), "--resume", "--quiet", "--epochs", epochs]) == 0
    assert main([*QUICK, "--out", str(tmp_path / "whole"), "--epochs", epochs]) == 0
    stopped, whole = (load_run(folder).state_dict() for folder in (out, tmp_path / "whole"))
    assert all(stopped[name].tobytes() == whole[name].tobytes() for name in whole)


def test_a_run_is_never_overwritten_unasked(run, capsys):
    before = {path.name: path.read_bytes() for path in run.iterdir()}
    said = error(capsys, *QUICK, "--out", run)
    assert "holds a run already" in said and "--resume" in said and "--overwrite" in said
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_overwrite_starts_anew_and_keeps_what_is_not_its_own(tmp_path, capsys, without_pictures):
    out = tmp_path / "run"
    assert main([*QUICK, "--out", str(out), "--epochs", "1"]) == 0
    (out / "notes.txt").write_text("mine")
    assert "model unet" in error(capsys, *QUICK, "--out", out, "--overwrite", "--model", "unet").replace("'", "")
    assert (out / "model.safetensors").exists()
    assert main([*QUICK, "--out", str(out), "--overwrite", "--seed", "3"]) == 0
    assert load_run(out).metadata["seed"] == 3 and (out / "notes.txt").read_text() == "mine"


def test_a_finished_run_can_be_made_longer(tmp_path, without_pictures):
    short, long = tmp_path / "short", tmp_path / "long"
    main([*QUICK, "--out", str(short), "--epochs", "1"])
    assert main(["train", "--out", str(short), "--resume", "--epochs", "2", "--quiet"]) == 0
    main([*QUICK, "--out", str(long)])
    a, b = (load_run(folder).state_dict() for folder in (short, long))
    assert all(a[name].tobytes() == b[name].tobytes() for name in a)


def test_a_run_goes_on_as_it_was_started(run, tmp_path, capsys, without_pictures):
    said = error(capsys, "train", "--out", run, "--resume", "--lr", "0.1", "--seed", "5")
    assert "--lr was 0.001, is 0.1; --seed was 0, is 5" in said and "leave those out" in said
    assert "holds no run to resume" in error(capsys, "train", "--out", tmp_path / "typo", "--resume")
    assert not (tmp_path / "typo").exists()
    assert "not allowed with" in error(capsys, "train", "--out", run, "--resume", "--overwrite")
    out = tmp_path / "scheduled"
    main([*QUICK, "--out", str(out), "--schedule", "cosine"])
    assert "laid out for 2 epochs and cannot be stretched to 4" in error(
        capsys, "train", "--out", out, "--resume", "--epochs", "4")
    (out / "settings.json").write_text("{")
    assert "settings.json is damaged" in error(capsys, "train", "--out", out, "--resume")


@pytest.mark.parametrize(("given", "said"), [
    (["--dataset", "mnits"], "there is no dataset 'mnits'; did you mean mnist? There are mnist, fashion-mnist"),
    (["--dataset", "Fashion_MNSIT"], "did you mean fashion-mnist?"),
    (["--model", "mnist_cn"], "there is no model 'mnist_cn'; did you mean mnist_cnn?"),
    (["--optimizer", "adm"], "there is no optimizer 'adm'; did you mean adam?"),
    (["--schedule", "cosin"], "there is no schedule 'cosin'; did you mean cosine?"),
    (["--recipe", "bset"], "there is no recipe 'bset'; did you mean best?"),
    (["--epochs", "0"], "'0' is not a whole number of at least 1"),
    (["--epochs", "ten"], "'ten' is not a whole number of at least 1"),
    (["--lr", "-1"], "'-1' is not a number above 0"),
    (["--lr", "nan"], "'nan' is not a number above 0"),
    (["--dropout", "1"], "'1' is not a number from 0 to below 1"),
    (["--epoch", "3", "--bathc-size", "4"], "unrecognized arguments: --bathc-size 4"),
])
def test_a_wrong_argument_gets_one_line(given, said, capsys):
    assert said in error(capsys, "train", *given)


def test_an_option_the_model_lacks_is_named(tmp_path, capsys):
    said = error(capsys, *QUICK, "--model", "lenet5", "--batch-norm", "--dropout", "0.5", "--out", tmp_path)
    assert "the model lenet5 has no --batch-norm and no --dropout; leave that out" in said


def test_a_model_for_other_images_is_named_before_an_older_run_is_removed(tmp_path, capsys, monkeypatch):
    images = np.zeros((20, 3, 32, 32), np.float32)
    colours = minigrad.data.Dataset(images, np.arange(20) % 2, ("cat", "dog"), "cats-vs-dogs")
    monkeypatch.setattr(minigrad.data, "load", lambda *arguments: colours)
    (tmp_path / "settings.json").write_text("an older run")
    assert "x has 3 channels" in error(capsys, *QUICK, "--out", tmp_path, "--overwrite")
    assert (tmp_path / "settings.json").read_text() == "an older run"


@pytest.mark.parametrize("name", ["resnet20", "vit_tiny"])
def test_other_networks_fit_themselves_to_the_images(name, tmp_path, without_pictures):
    assert main([*QUICK, "--model", name, "--limit", "32", "--epochs", "1", "--out", str(tmp_path / "run")]) == 0
    options = load_run(tmp_path / "run").architecture["options"]
    assert options["num_classes"] == 10 and options["mean"] == pytest.approx([0.13], abs=0.02)


@pytest.mark.parametrize("options", [
    ["--recipe", "best"], ["--schedule", "step"], ["--schedule", "cosine", "--optimizer", "sgd"],
    ["--optimizer", "rmsprop", "--weight-decay", "1e-4"], ["--optimizer", "adagrad", "--label-smoothing", "0.1"]])
def test_every_way_to_train_learns(options, tmp_path, without_pictures):
    quick = [*QUICK, "--epochs", "1", "--limit", "320", "--batch-size", "32", "--out", str(tmp_path / "run")]
    assert main([*quick, *options]) == 0
    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["epochs"] == 1 and (settings["dropout"] == 0.5) == ("best" in options)
    assert load_run(tmp_path / "run").metadata["metrics"]["accuracy"] > 0.2  # chance is 0.1


def test_an_out_that_cannot_be_written_fails_before_any_work(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(minigrad.data, "load", lambda *arguments: pytest.fail("data were loaded"))
    (tmp_path / "file").write_text("in the way")
    assert "cannot write" in error(capsys, *QUICK, "--out", tmp_path / "file")
    assert "cannot write" in error(capsys, *QUICK, "--out", tmp_path / "file" / "run")


def test_evaluate_prints_the_report_of_training(run, capsys):
    assert main(["evaluate", str(run)]) == 0
    assert capsys.readouterr().out == (run / "classification_report.txt").read_text()
    assert main(["evaluate", str(run / "model.safetensors"), "--split", "train", "--limit", "50"]) == 0
    assert "mnist_cnn on digits (train): accuracy" in capsys.readouterr().out
    assert "there is no dataset 'digit'; did you mean digits?" in error(capsys, "evaluate", run, "--dataset", "digit")


def test_runs_that_are_not_there_are_named(tmp_path, capsys):
    assert "there is no" in error(capsys, "evaluate", tmp_path / "nowhere")
    assert "holds no model.safetensors; is it the folder that train's --out" in error(capsys, "evaluate", tmp_path)
    (tmp_path / "checkpoint.safetensors").write_bytes(b"")
    assert "its training has not finished: python -m minigrad train --out" in error(capsys, "evaluate", tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"half a file")
    assert "is damaged" in error(capsys, "predict", "x.png", "--model", tmp_path)


def test_info_counts_parameters_and_shapes(run, capsys):
    assert main(["info", "mnist_cnn"]) == 0
    table = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in table if line.strip()}
    assert rows["features.0"] == "Conv2d 32 x 28 x 28 320".split() and rows["classifier.2"] == "Linear 10 5,010".split()
    assert rows["features.2"] == "MaxPool2d 32 x 14 x 14 -".split() and rows["total"] == ["799,078"]
    main(["info", str(run)])
    said = capsys.readouterr().out
    assert "trained on digits for 2 epochs, seed 0: test accuracy" in said and "799,078" in said


@pytest.mark.parametrize(("name", "shape", "total"), [
    ("lenet5", "1 x 28 x 28", "61,706"), ("squeezenet1_1", "3 x 224 x 224", "1,235,496"),
    ("vit_tiny", "1 x 28 x 28", "139,018")])
def test_info_finds_the_size_of_images(name, shape, total, capsys):
    assert main(["info", name]) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[4].split("(an image)")[1].strip() == shape and table[-1].split() == ["total", total]


def test_info_says_what_it_does_not_know(capsys):
    assert "did you mean 'mnist_cnn'?" in error(capsys, "info", "mnist_cn")
    assert "'1,28' is not channels,height,width" in error(capsys, "info", "lenet5", "--input", "1,28")
    assert "x has 3 channels" in error(capsys, "info", "lenet5", "--input", "3,28,28")


def test_predict_says_what_it_did_and_what_it_sees(run, tmp_path, capsys):
    digits = minigrad.data.load("digits", "test")
    paths = []
    for i in range(2):
        paths.append(str(tmp_path / f"digit {i}.png"))
        Image.fromarray(np.rint(255 * digits.images[i, 0]).astype(np.uint8)).save(paths[-1])
    p = minigrad.train.evaluate(load_run(run), digits[:2]).probabilities
    options = ["--model", str(run), "--top", "2", "--preview", "--save-preview", str(tmp_path / "p")]
    assert main(["predict", *paths, *options]) == 0
    said = capsys.readouterr().out
    assert f"{paths[0]}: read 28x28, taken as it is" in said and "██" in said
    classes = [line.split()[0] for line in said.splitlines() if " %" in line]
    assert classes == [str(c) for row in p for c in np.argsort(-row)[:2]]
    assert (tmp_path / "p" / "digit 1-seen.png").is_file()
    assert "there is no file none.png" in error(capsys, "predict", "none.png", "--model", run)


def test_help_is_there_for_everything(capsys):
    for command in ([], ["train"], ["evaluate"], ["info"], ["predict"]):
        with pytest.raises(SystemExit) as stopped:
            main([*command, "--help"])
        assert stopped.value.code == 0 and "usage: python -m minigrad" in capsys.readouterr().out
    assert "invalid choice: 'trian'" in error(capsys, "trian")


def test_traceback_is_shown_on_request_only(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no"):
        main(["evaluate", str(tmp_path / "nowhere"), "--traceback"])


def test_as_a_program_it_ends_with_its_status(tmp_path):
    command = [sys.executable, "-m", "minigrad", "info", "nothing"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == "" and len(done.stderr.splitlines()) == 1


def test_types_of_arguments():
    assert one_of("dataset", ["fashion-mnist"])("Fashion_MNIST") == "fashion-mnist"
    assert one_of("model", ["mnist_cnn"])("mnist_cnn") == "mnist_cnn"
    assert number(int, 1)("3") == 3 and number(float, 0, 1)("1") == 1.0
    assert shape("3x32x32") == shape("3,32,32") == (3, 32, 32)
