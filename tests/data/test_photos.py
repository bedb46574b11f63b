"""Photographs: shapes, colours and sizes, and files that are none."""

import numpy as np
import pytest
from PIL import Image

from minigrad.data import imagenet_classes, imagenet_samples, load_photo

RED = np.zeros((4, 6, 3), np.uint8) + np.array([255, 51, 0], np.uint8)  # 4 high, 6 wide


def saved(tmp_path, array, name="photo.png", **settings):
    Image.fromarray(array).save(tmp_path / name, **settings)
    return tmp_path / name


def test_pixels_are_red_green_blue_in_0_1(tmp_path):
    photo = load_photo(saved(tmp_path, RED))
    assert photo.shape == (1, 3, 4, 6) and photo.dtype == np.float32 and photo.flags.c_contiguous
    np.testing.assert_allclose(photo[0, :, 2, 3], [1, 0.2, 0])


@pytest.mark.parametrize(("size", "shape"), [(3, (1, 3, 3, 3)), ((2, 5), (1, 3, 2, 5)), ([8, 12], (1, 3, 8, 12))])
def test_size_is_height_and_width(tmp_path, size, shape):
    photo = load_photo(saved(tmp_path, RED), size)
    assert photo.shape == shape
    np.testing.assert_allclose(photo[0, 1], 0.2)


def test_shrinking_averages(tmp_path):
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 255
    assert abs(load_photo(saved(tmp_path, stripes), 2) - 0.5).max() < 0.1


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_every_colour_mode_becomes_three_channels(tmp_path, mode):
    path = tmp_path / "photo.tiff"
    Image.fromarray(RED).convert(mode).save(path)
    assert load_photo(path).shape == (1, 3, 4, 6)


def test_a_photograph_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    assert load_photo(saved(tmp_path, RED, "photo.jpg", exif=exif)).shape == (1, 3, 6, 4)


@pytest.mark.parametrize("size", [0, -3, (2, 0), (1, 2, 3), 2.5, "big"])
def test_a_wrong_size_is_named(tmp_path, size):
    with pytest.raises(ValueError, match="load_photo: size is .* expected a positive integer or a pair"):
        load_photo(saved(tmp_path, RED), size)


def test_files_that_are_no_photographs(tmp_path):
    with pytest.raises(FileNotFoundError, match="load_photo: there is no file .*nowhere.jpg; check the path"):
        load_photo(tmp_path / "nowhere.jpg")
    (tmp_path / "text.jpg").write_text("a picture is worth a thousand words")
    with pytest.raises(ValueError, match="text.jpg is damaged, or no image Pillow can read"):
        load_photo(tmp_path / "text.jpg")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    whole = saved(tmp_path, noise).read_bytes()
    for length in (20, 100, len(whole) // 2):
        (tmp_path / "cut.png").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut.png is damaged"):
            load_photo(tmp_path / "cut.png")


def test_the_samples_carry_labels_and_names(tmp_path, empty_machine):
    folder = empty_machine / "imagenet-samples"
    folder.mkdir(parents=True)
    folder.joinpath("synset_words.txt").write_text("n01 tench, Tinca tinca\nn02 great white shark, white shark\n")
    saved(folder, RED, "imagenet_00_1.jpg")
    saved(folder, RED[:, :2], "imagenet_01_0.jpg")
    samples = imagenet_samples(size=5)
    assert samples.images.shape == (2, 3, 5, 5) and samples.labels.tolist() == [1, 0]
    assert samples.classes == imagenet_classes() == ("tench", "great white shark")


@pytest.mark.parametrize("function", [imagenet_classes, imagenet_samples])
def test_missing_samples_say_where_they_belong(function, empty_machine):
    with pytest.raises(FileNotFoundError, match=rf"{function.__name__}: synset_words.txt is in none of "):
        function()
