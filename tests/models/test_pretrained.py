"""SqueezeNet with its published weights: found where it may lie, right on photographs, clear where it is missing."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import minigrad
from minigrad import data, models
from minigrad.data import download

DATA = Path(os.environ.get("MINIGRAD_DATA", ""))
WEIGHTS = DATA / "squeezenet1_0" / "model.safetensors"
needs_weights = pytest.mark.skipif(not WEIGHTS.is_file(), reason="no squeezenet1_0/model.safetensors in $MINIGRAD_DATA")


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A machine without weights; gives its cache."""
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    return tmp_path / "cache"


@pytest.mark.compiled
@needs_weights
@pytest.mark.skipif(not (DATA / "imagenet-samples").is_dir(), reason="no imagenet-samples in $MINIGRAD_DATA")
def test_15_of_20_photographs_are_recognised_and_19_are_among_the_first_five():
    photos, model = data.imagenet_samples(), models.pretrained_squeezenet()
    with minigrad.no_grad():
        logits = np.concatenate([model(images).data for images, _ in data.batches(photos, 5)])
    ranked = (-logits).argsort(1)
    assert (ranked[:, 0] == photos.labels).sum() == 15
    assert (ranked[:, :5] == photos.labels[:, None]).any(1).sum() == 19


@pytest.mark.compiled
@needs_weights
def test_it_is_found_in_root_and_survives_a_file_of_its_own(elsewhere, tmp_path):
    x = np.random.default_rng(0).random((1, 3, 64, 64)).astype(np.float32)
    shutil.copy(WEIGHTS, tmp_path / "model.safetensors")
    model = models.pretrained_squeezenet(tmp_path)
    assert not model.training and model.architecture["options"]["classifier_padding"] == 1
    minigrad.save(tmp_path / "mine.safetensors", model)
    np.testing.assert_array_equal(minigrad.load(tmp_path / "mine.safetensors")(x).data, model(x).data)


def test_the_cache_is_looked_at_and_other_weights_are_refused(elsewhere):
    from safetensors.numpy import save_file

    folder = elsewhere / "squeezenet1_0"
    folder.mkdir(parents=True)
    state = models.squeezenet1_0(rng=np.random.default_rng(0)).state_dict()
    save_file(state, folder / "model.safetensors")
    found = models.pretrained_squeezenet().state_dict()
    assert all(np.array_equal(found[key], array) for key, array in state.items())
    save_file(models.lenet5().state_dict(), folder / "model.safetensors")
    with pytest.raises(ValueError, match="model.safetensors holds no weights of SqueezeNet 1.0: load_state_dict"):
        models.pretrained_squeezenet()
    (folder / "model.safetensors").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match="model.safetensors holds no weights of SqueezeNet 1.0"):
        models.pretrained_squeezenet()


def test_torchvisions_file_comes_with_its_own_options(elsewhere, tmp_path, monkeypatch):
    state = models.squeezenet1_0(rng=np.random.default_rng(0)).state_dict()
    monkeypatch.setattr("minigrad.torch_pickle.read", lambda path: state)
    (tmp_path / "squeezenet1_0-b66bff10.pth").write_bytes(b"read by the line above")
    model = models.pretrained_squeezenet(tmp_path)
    assert model.architecture == {"name": "squeezenet1_0", "options": {}}


def test_where_it_is_missing_the_message_says_what_to_do(elsewhere, tmp_path):
    message = (r"neither model.safetensors nor squeezenet1_0-b66bff10.pth is in any of .*mine.*cache/squeezenet1_0; "
               r"download https://\S+squeezenet1_0-b66bff10.pth into the last of these folders")  # fmt: skip
    with pytest.raises(FileNotFoundError, match=message):
        models.pretrained_squeezenet(tmp_path / "mine")
