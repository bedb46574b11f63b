"""Loading by name: where a file is looked for, what is refused, and the real datasets where they are at hand."""

import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from tiny_mnist import NAMES

from minigrad import data
from minigrad.data import cats_vs_dogs, registry


def put(raw, folder, pack=bytes, ending=""):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in raw.items():
        (folder / f"{name}{ending}").write_bytes(pack(content))


@pytest.mark.parametrize("pack, ending", [(bytes, ""), (gzip.compress, ".gz"), (bytes, ".gz"), (gzip.compress, "")])
@pytest.mark.parametrize("inner", ["mnist", "."])
def test_reads_each_layout(tiny, tmp_path, inner, pack, ending):
    put(tiny, tmp_path / "root" / inner, pack, ending)
    for split, names, count in (("train", NAMES[:2], 12), ("test", NAMES[2:], 4)):
        dataset = data.load("mnist", split, root=str(tmp_path / "root"), download=False)
        assert dataset.images.shape == (count, 1, 28, 28) and dataset.name == "mnist" and len(dataset.classes) == 10
        bytes_again = (dataset.images * 255).round().astype(np.uint8).tobytes()
        assert bytes_again == tiny[names[0]][16:] and dataset.labels.tolist() == list(tiny[names[1]][8:])
        assert dataset.images.flags.c_contiguous and dataset.images.flags.writeable


def test_root_comes_first_then_minigrad_data_then_the_cache(tiny, tmp_path, empty_machine, monkeypatch):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path / "env"))
    good = {"root": tmp_path / "root" / "mnist", "env": tmp_path / "env" / "mnist", "cache": empty_machine / "mnist"}
    for name in ("cache", "env", "root"):  # each new folder hides the damaged file in those behind it
        put(tiny, good[name])
        assert len(data.load("mnist", root=tmp_path / "root", download=False)) == 12
        (good[name] / NAMES[0]).write_bytes(b"damaged")
        with pytest.raises(ValueError, match=f"{good[name] / NAMES[0]} has SHA-256"):
            data.load("mnist", root=tmp_path / "root", download=False)


def test_a_file_that_fails_its_hash_is_named_and_left_alone(tiny, tmp_path):
    put(tiny, tmp_path)
    wrong = bytearray(tiny[NAMES[0]])
    wrong[100] ^= 1
    (tmp_path / NAMES[0]).write_bytes(wrong)
    got, expected = hashlib.sha256(wrong).hexdigest(), hashlib.sha256(tiny[NAMES[0]]).hexdigest()
    with pytest.raises(ValueError, match=f"{NAMES[0]} has SHA-256 {got}, expected {expected}; .* move it away"):
        data.load("mnist", root=tmp_path)
    assert (tmp_path / NAMES[0]).read_bytes() == wrong


def test_a_file_of_another_dataset_is_recognised(tiny, tmp_path):
    put({NAMES[0]: tiny[NAMES[2]]}, tmp_path)
    with pytest.raises(ValueError, match="it is t10k-images-idx3-ubyte of mnist: move it away"):
        data.load("mnist", root=tmp_path)


def test_a_gz_that_is_cut_short_is_named(tiny, tmp_path):
    put(tiny, tmp_path, lambda raw: gzip.compress(raw)[:-20], ".gz")
    with pytest.raises(ValueError, match=f"{NAMES[0]}.gz is damaged or cut short"):
        data.load("mnist", root=tmp_path)


def test_missing_without_download(tiny, tmp_path, empty_machine):
    message = (f"{NAMES[0]} .* is in none of {tmp_path}/root/mnist, {tmp_path}/root, {empty_machine}/mnist; "
               f"allow download=True, or put the file there from http://127.0.0.1:9/{NAMES[0]}.gz")
    with pytest.raises(FileNotFoundError, match=message):
        data.load("mnist", root=tmp_path / "root", download=False)


@pytest.mark.parametrize("name, split, message", [
    ("minst", "train", "unknown dataset 'minst', expected one of .*; did you mean 'mnist'"),
    ("Fashion_MNIST", "train", "did you mean 'fashion-mnist'"),
    ("imagenet-22k", "train", "unknown dataset 'imagenet-22k', expected one of mnist, .*, cats-vs-dogs$"),
    (None, "train", "unknown dataset None"),
    ("digits", "tset", "unknown split 'tset', expected one of train, test; did you mean 'test'"),
    ("digits", "validation", "unknown split 'validation', expected one of train, test$"),
])
def test_unknown_names_bring_the_nearest(name, split, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, split)


def test_digits_need_nothing_and_look_like_mnist(empty_machine):
    train, test = data.load("digits", download=False), data.load("digits", "test", download=False)
    assert (len(train), len(test)) == (1442, 355) and train.images.shape[1:] == (1, 28, 28)
    for label in range(10):  # a fifth of each class is for testing
        ours, theirs = (train.labels == label).sum(), (test.labels == label).sum()
        assert theirs == (ours + theirs) // 5
    known = {image.tobytes() for image in train.images}
    assert not any(image.tobytes() in known for image in test.images)
    images = train.images.astype(float)
    assert images.mean() == pytest.approx(0.1307, abs=0.01) and images.std() == pytest.approx(0.3081, abs=0.01)
    place = np.arange(28) @ images.sum(axis=3)[:, 0].T / images.sum(axis=(1, 2, 3))
    assert abs(place - 14).max() < 0.75  # where MNIST's centres of mass are, to the nearest pixel
    np.testing.assert_array_equal(train.images, data.load("digits").images)


def npz(path, **changes):
    arrays = {"x_train": np.full((4, 3, 32, 32), 51, np.uint8), "y_train": np.array([0, 1, 0, 1], np.uint8)}
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **(arrays | changes))


def test_cats_vs_dogs_from_an_npz(empty_machine, tmp_path):
    npz(tmp_path / "cats-vs-dogs.npz")
    dataset = data.load("cats-vs-dogs", root=tmp_path)
    assert dataset.classes == ("cat", "dog") and dataset.labels.tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(dataset.images, 0.2)
    with pytest.raises(ValueError, match="cats-vs-dogs.npz cannot be read .*x_test.* expected an .npz with x_test"):
        data.load("cats-vs-dogs", "test", root=tmp_path)


@pytest.mark.parametrize("changes, message", [
    ({"x_train": np.zeros((4, 3, 32, 32))}, r"holds images float64 \(4, 3, 32, 32\)"),
    ({"x_train": np.zeros((4, 32, 32, 3), np.uint8)}, r"holds images uint8 \(4, 32, 32, 3\) .* uint8 \(N, 3, 32, 32\)"),
    ({"y_train": np.zeros(5, np.uint8)}, r"holds .* labels \(5,\)"),
    ({"x_train": np.array([{}])}, "cannot be read"),  # an object array is a pickle, which is not run
])
def test_a_wrong_npz_is_refused(empty_machine, tmp_path, changes, message):
    npz(tmp_path / "cats-vs-dogs.npz", **changes)
    with pytest.raises(ValueError, match=f"cats-vs-dogs.npz {message}"):
        data.load("cats-vs-dogs", root=tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip"])
def test_a_damaged_npz_is_refused(empty_machine, tmp_path, content):
    (tmp_path / "cats-vs-dogs.npz").write_bytes(content)
    with pytest.raises(ValueError, match="cats-vs-dogs.npz cannot be read"):
        data.load("cats-vs-dogs", root=tmp_path)


@pytest.fixture
def cifar(empty_machine, monkeypatch):
    """CIFAR-10 with two images of each class in each of its six files; pixels of channel c in file f are 10 f + c."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for number, name in enumerate([f"data_batch_{i}.bin" for i in range(1, 6)] + ["test_batch.bin"]):
            channels = b"".join(bytes([10 * number + c]) * 1024 for c in range(3))
            content = b"".join(bytes([label]) + channels for label in list(range(10)) * 2)
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    content = file.getvalue()

    def use(url):
        digest = hashlib.sha256(content).hexdigest()
        name = registry.CIFAR10.name
        monkeypatch.setattr(cats_vs_dogs, "CIFAR10", registry.File(name, digest, (url + name,)))
        return content

    return use


def check_cats_and_dogs(root):
    train, test = data.load("cats-vs-dogs", root=root), data.load("cats-vs-dogs", "test", root=root)
    assert train.labels.tolist() == [0, 1] * 10 and test.labels.tolist() == [0, 1] * 2
    pixels = (train.images[::4, :, 5, 5] * 255).round()
    np.testing.assert_array_equal(pixels, np.add.outer(np.arange(0, 50, 10), range(3)))
    np.testing.assert_array_equal((test.images[0, :, 0, 0] * 255).round(), [50, 51, 52])


def test_cats_vs_dogs_from_the_users_archive(cifar, tmp_path):
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(cifar("http://127.0.0.1:9/"))
    check_cats_and_dogs(tmp_path)
    assert (tmp_path / "cats-vs-dogs" / "cats-vs-dogs.npz").is_file()


def test_cats_vs_dogs_downloaded(cifar, serve, empty_machine):
    archive = []
    url = serve(lambda path: (200, {}, archive[0]))
    archive.append(cifar(url))
    check_cats_and_dogs(None)
    archive[0] = b"gone"  # the second time it comes from the cache
    check_cats_and_dogs(None)
    assert [path.name for path in (empty_machine / "cats-vs-dogs").iterdir()] == ["cats-vs-dogs.npz"]


def test_cats_vs_dogs_refuses_a_wrong_archive_and_says_where_to_get_it(cifar, tmp_path):
    cifar("http://127.0.0.1:9/")
    with pytest.raises(FileNotFoundError, match="cats-vs-dogs.npz is in none of .*; allow download=True .* or put http://127"):
        data.load("cats-vs-dogs", root=tmp_path, download=False)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(b"not it")
    with pytest.raises(ValueError, match="cifar-10-binary.tar.gz has SHA-256"):
        data.load("cats-vs-dogs", root=tmp_path)


@pytest.mark.parametrize("name, mean, std", [("mnist", 0.1307, 0.3081), ("fashion-mnist", 0.2860, 0.3530)])
def test_the_real_ones(name, mean, std):
    try:
        train, test = data.load(name, download=False), data.load(name, "test", download=False)
    except FileNotFoundError:
        pytest.skip(f"{name} is not on this machine: set MINIGRAD_DATA or load it once")
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.images.mean(dtype=float) == pytest.approx(mean, abs=1e-4)
    assert train.images.std(dtype=float) == pytest.approx(std, abs=1e-4)
    assert np.bincount(test.labels).tolist() == ([1000] * 10 if name == "fashion-mnist" else
                                                 [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009])
