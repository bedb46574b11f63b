"""From picture files to a network's input: what MNIST's makers did to their scans, said step by step."""

import numpy as np
import pytest
from PIL import Image

from minigrad import data, nn
from minigrad.predict import as_png, as_text, predict, prepare

DIGITS = data.load("digits", "test")
SHAPE = (1, 28, 28)


def saved(array, path):
    """Write floats in [0, 1], (H, W) or (H, W, 3), as a picture file."""
    Image.fromarray(np.rint(255 * array).astype(np.uint8)).save(path)
    return path


def drawing(digit, scale=6, frame=(320, 240), at=(100, 20)):
    """A digit of 28x28, enlarged and put somewhere into a larger black picture."""
    picture = np.zeros(frame)
    large = Image.fromarray(digit).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC)
    picture[at[0] : at[0] + 28 * scale, at[1] : at[1] + 28 * scale] = np.clip(np.asarray(large), 0, 1)
    return picture


def test_an_image_of_the_dataset_stays_what_it_is(tmp_path):
    for i in range(3):
        image, steps = prepare(saved(DIGITS.images[i, 0], tmp_path / "digit.png"), SHAPE)
        np.testing.assert_allclose(image[0], DIGITS.images[i], atol=0.5 / 255 + 1e-6)
    assert steps == ["read 28x28", "taken as it is: the right size, light on dark"]


@pytest.mark.parametrize("surroundings", ["black", "white", "paper"])
def test_a_digit_anywhere_on_any_background_comes_back_as_in_the_dataset(surroundings, tmp_path):
    rng, shade = np.random.default_rng(0), np.linspace(0.9, 0.75, 240)
    for i in range(0, 40, 4):
        picture = drawing(DIGITS.images[i, 0])
        if surroundings == "white":
            picture = 1 - picture
        elif surroundings == "paper":
            picture = np.clip(shade * (1 - 0.8 * picture) + rng.normal(0, 0.01, picture.shape), 0, 1)
        image, steps = prepare(saved(picture, tmp_path / "photo.png"), SHAPE)
        assert image.shape == (1, *SHAPE) and image.dtype == np.float32 and 0 <= image.min() <= image.max() <= 1
        similar = np.corrcoef(image.ravel(), DIGITS.images[i].ravel())[0, 1]
        assert similar > 0.8, f"digit {i}: {similar:.2f} after {steps}"  # half a pixel more or less of outline: 0.85
    inverted = surroundings != "black"
    assert ("inverted (dark on light)" in steps) == inverted and steps[0] == "read 240x320"
    assert ("background made black and contrast stretched" in steps) == (surroundings == "paper")
    assert steps[-1] == "centred by mass in 28x28" and any(step.startswith("scaled to ") for step in steps)


def test_the_longer_side_becomes_20_pixels_and_proportions_stay(tmp_path):
    picture = np.ones((300, 200))
    picture[50:250, 90:110] = 0
    image, steps = prepare(saved(picture, tmp_path / "one.png"), SHAPE)
    assert "cropped to 20x200" in steps and "scaled to 2x20" in steps
    rows, columns = (np.flatnonzero(image[0, 0].any(axis)) for axis in (1, 0))
    assert (len(rows), len(columns)) == (20, 2) and image.max() == 1
    image, steps = prepare(tmp_path / "one.png", SHAPE, digit=False)
    assert "scaled to 3x28" in steps and not any("mass" in step for step in steps)


def test_transparent_is_white_and_the_camera_is_held_upright(tmp_path):
    ink = drawing(DIGITS.images[0, 0])
    pixels = np.zeros((*ink.shape, 4), np.uint8)
    pixels[..., 3] = np.rint(255 * ink)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    image, steps = prepare(tmp_path / "clear.png", SHAPE)
    assert "put on white where it was transparent" in steps and "inverted (dark on light)" in steps
    turned = Image.fromarray(np.rint(255 * (1 - ink)).astype(np.uint8)).transpose(Image.Transpose.ROTATE_90)
    exif = turned.getexif()
    exif[0x0112] = 6  # shown turned clockwise by 90 degrees
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    np.testing.assert_allclose(prepare(tmp_path / "turned.jpg", SHAPE)[0], image, atol=0.15)


def test_16_bit_pictures_keep_their_greys(tmp_path):
    ink = np.rint(65535 * (1 - drawing(DIGITS.images[0, 0]))).astype(np.uint16)
    Image.fromarray(ink).save(tmp_path / "deep.png")
    np.testing.assert_allclose(prepare(tmp_path / "deep.png", SHAPE)[0],
                               prepare(saved(ink / 65535, tmp_path / "flat.png"), SHAPE)[0], atol=0.02)


def test_colour_networks_get_the_whole_picture_resized(tmp_path):
    colours = np.random.default_rng(0).uniform(size=(40, 60, 3))
    image, steps = prepare(saved(colours, tmp_path / "photo.png"), (3, 32, 32))
    assert image.shape == (1, 3, 32, 32) and steps == ["read 60x40", "resized to 32x32"]
    image, steps = prepare(saved(colours, tmp_path / "photo.png"), (3, 40, 60))
    np.testing.assert_allclose(image[0], colours.transpose(2, 0, 1), atol=0.5 / 255 + 1e-6)
    assert steps == ["read 60x40"]


@pytest.mark.parametrize(("level", "word"), [(0.0, "black"), (1.0, "white"), (0.5, "evenly grey")])
def test_an_empty_picture_is_refused(level, word, tmp_path):
    with pytest.raises(ValueError, match=f"empty.png is {word} all over, nothing to read"):
        prepare(saved(np.full((50, 50), level), tmp_path / "empty.png"), SHAPE)


def test_files_that_are_no_pictures_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file .*none.png"):
        prepare(tmp_path / "none.png", SHAPE)
    whole = saved(np.eye(50), tmp_path / "whole.png").read_bytes()
    for content in (b"", b"text", whole[: len(whole) // 2]):
        (tmp_path / "broken.png").write_bytes(content)
        with pytest.raises(ValueError, match="broken.png is no picture Pillow can read, or damaged"):
            prepare(tmp_path / "broken.png", SHAPE)
    with pytest.raises(ValueError, match="takes images of 2 channels, expected 1"):
        prepare(tmp_path / "whole.png", (2, 28, 28))


def test_probabilities_and_previews():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).train()
    p = predict(model, DIGITS.images[:3])
    assert p.shape == (3, 10) and model.training
    np.testing.assert_allclose(p.sum(1), 1, rtol=1e-5)
    text = as_text(np.array([[[0, 0.25, 0.5, 0.75, 1.0], [1, 0, 0, 0, 0]]]))
    assert text == "  ░░▒▒▓▓██\n██"
    assert len(as_text(np.ones((3, 227, 227))).splitlines()) <= 48


def test_the_saved_preview_shows_the_very_pixels(tmp_path):
    (tmp_path / "seen.png").write_bytes(as_png(DIGITS.images[0]))
    shown = np.asarray(Image.open(tmp_path / "seen.png"))
    assert shown.shape == (280, 280)
    np.testing.assert_array_equal(shown[5::10, 5::10], np.rint(255 * DIGITS.images[0, 0]))


def test_a_slope_of_the_light_is_evened_out(tmp_path):
    plain = np.full((90, 120), 0.9)
    plain[20:70, 55:65] = 0.1
    light = np.linspace(0.45, 1, 120)
    Image.fromarray(np.uint8(255 * plain * light)).save(tmp_path / "lamp.png")
    image, steps = prepare(tmp_path / "lamp.png", (1, 28, 28))
    assert "evened out the light" in steps
    assert image[0, 0, 6:22, 13:15].min() > 0.5 and image[0, 0, :, :8].max() < 0.2


def test_a_folder_is_no_picture(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder, expected a picture"):
        prepare(tmp_path, (1, 28, 28))
