"""From a picture file to what a network was trained on: the step where most surprising predictions are made.

A network for MNIST knows light digits on black, 20 pixels tall, their centre of mass in the middle of 28x28. Shown a
photo of dark ink on paper it would guess. So `prepare` redoes what MNIST's makers did to their scans, and says each
step it took.
Source: LeCun, Cortes and Burges, the MNIST page; Xiao et al. 2017, section 2, for Fashion-MNIST.
"""

from pathlib import Path

import numpy as np

from . import functional as F
from .data.digits import BOX, centred
from .tensor import no_grad
from .train.evaluate import evaluation_mode

CLEARLY = 0.2  # part of the strongest ink that counts as the thing and not its surroundings


def prepare(path, shape, digit=True):
    """Read a picture and make it an input of a network.

    Parameters
    ----------
    path : str or Path
        PNG, JPEG or whatever else Pillow reads.
    shape : (C, H, W)
        Of the network's images; grey (1) or RGB (3).
    digit : bool
        For grey: leave a digit the margin it has in MNIST, and centre it by mass; otherwise fill the frame.

    Returns
    -------
    image : ndarray (1, C, H, W), float32 in [0, 1]
    steps : list of str
        What was done, in words.

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        The file is no picture, or shows nothing; C is neither 1 nor 3.
    """
    channels, height, width = shape
    if channels not in (1, 3):
        raise ValueError(f"prepare: the network takes images of {channels} channels, expected 1 (grey) or 3 (RGB)")
    photo = _open(path)
    steps = [f"read {photo.width}x{photo.height}"]
    if photo.mode in ("RGBA", "LA", "PA") or "transparency" in photo.info:
        photo = _on_white(photo)
        steps.append("put on white where it was transparent")
    if channels == 3:
        from PIL import Image

        if photo.size != (width, height):
            steps.append(f"resized to {width}x{height}")
        photo = photo.convert("RGB").resize((width, height), Image.Resampling.BILINEAR)
        return np.asarray(photo, np.float32).transpose(2, 0, 1)[None] / 255, steps
    if photo.mode != "L":
        steps.append("made grey")
    ink = _ink(np.asarray(photo.convert("L"), np.float32) / 255, path, steps)
    if ink.shape == (height, width) and not any(step.startswith("inverted") for step in steps):
        return ink[None, None], [*steps, "taken as it is: the right size, light on dark"]
    box = (min(BOX, height), min(BOX, width)) if digit else (height, width)
    image = _framed(ink, path, box, (height, width), steps)
    if digit:
        steps.append(f"centred by mass in {width}x{height}")
        image = centred(image)
    return np.ascontiguousarray(image, np.float32), steps


def predict(model, images):
    """Return a model's probabilities (N, classes) for images (N, C, H, W) in [0, 1]; its modes stay as they are."""
    with evaluation_mode(model), no_grad():
        return F.softmax(model(images), 1).data


def as_text(image):
    """Return an image (C, H, W) as lines of text, two characters a pixel: what the network sees, in a terminal."""
    step = -(-max(image.shape[1:]) // 48)
    grey = image.mean(0)[::step, ::step]
    shades = " ░▒▓█"
    return "\n".join("".join(2 * shades[round(float(v) * (len(shades) - 1))] for v in row).rstrip() for row in grey)


def as_png(image, side=280):
    """Return an image (C, H, W) in [0, 1] as the bytes of a PNG of about `side` pixels, its pixels as squares."""
    from io import BytesIO

    from PIL import Image

    enlarge = max(1, side // max(image.shape[1:]))
    pixels = np.rint(255 * image).astype(np.uint8).repeat(enlarge, 1).repeat(enlarge, 2)
    content = BytesIO()
    Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(content, "png")
    return content.getvalue()


def _open(path):
    from PIL import Image, ImageOps

    if Path(path).is_dir():
        raise IsADirectoryError(f"prepare: {path} is a folder, expected a picture; name the files in it")
    if not Path(path).is_file():
        raise FileNotFoundError(f"prepare: there is no file {path}; check the path")
    try:
        with Image.open(path) as photo:
            photo.load()
            photo = ImageOps.exif_transpose(photo)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"prepare: {path} is no picture Pillow can read, or damaged ({error})") from error
    if photo.mode.startswith("I"):  # 16 bits a pixel; Pillow would cut them off at 255
        photo = Image.fromarray((np.asarray(photo) / 257).clip(0, 255).astype(np.uint8))
    return photo


def _on_white(photo):
    from PIL import Image

    photo = photo.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", photo.size, "white"), photo)


def _ink(grey, path, steps):
    """How much of a thing is at each pixel, in [0, 1]: the distance from the background, which the border shows."""
    grey = _evenly_lit(grey, steps)
    border = _border(grey)
    paper = float(np.median(border))
    darker, lighter = paper - np.percentile(grey, 0.5), np.percentile(grey, 99.5) - paper
    if max(darker, lighter) < 0.1:
        raise ValueError(f"prepare: {path} is {'black' if paper < 0.1 else 'white' if paper > 0.9 else 'evenly grey'} "
                         f"all over, nothing to read; expected a picture with one thing on a plain background")
    if darker > lighter:
        steps.append("inverted (dark on light)")
        grey, paper = 1 - grey, 1 - paper
    noise = 3 * 1.4826 * float(np.median(np.abs(np.where(darker > lighter, 1 - border, border) - paper)))
    low, high = paper + noise, max(float(np.percentile(grey, 99.5)), paper + noise + 0.05)
    if low > 0.02 or high < 0.95:
        steps.append("background made black and contrast stretched")
        grey = (grey - low) / (high - low)
    return np.clip(grey, 0, 1)


def _border(grey):
    """The outermost pixels, all round."""
    return np.concatenate([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])


def _evenly_lit(grey, steps):
    """Take away a slope of the light: the plane that fits the border best, where it rises noticeably."""
    if min(grey.shape) < 3:
        return grey
    down, right = np.meshgrid(*(np.linspace(-0.5, 0.5, n) for n in grey.shape), indexing="ij")
    at_border = np.stack([_border(down), _border(right), np.ones(len(_border(grey)))], axis=1)
    slope = np.linalg.lstsq(at_border, _border(grey), rcond=None)[0][:2]
    if np.abs(slope).sum() < 0.1:
        return grey
    steps.append("evened out the light")
    return (grey - slope[0] * down - slope[1] * right).astype(grey.dtype)


def _framed(ink, path, box, frame, steps):
    """Cut out what there is, scale it into `box` keeping its proportions, and put it in the middle of `frame`."""
    from PIL import Image

    rows, columns = (np.flatnonzero((ink > CLEARLY).any(axis)) for axis in (1, 0))
    if not rows.size:
        raise ValueError(f"prepare: nothing in {path} stands out from its background; expected a picture with one "
                         "thing on a plain background")
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    ink = ink[top:bottom, left:right]
    steps.append(f"cropped to {ink.shape[1]}x{ink.shape[0]}")
    factor = min(box[0] / ink.shape[0], box[1] / ink.shape[1])
    height, width = (min(limit, max(1, round(n * factor))) for n, limit in zip(ink.shape, box))
    if (height, width) != ink.shape:
        steps.append(f"scaled to {width}x{height}")
        scaled = Image.fromarray(ink.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
        ink = np.clip(np.asarray(scaled), 0, None)
        ink = np.clip(ink / ink.max(), 0, 1)  # a thin line has become faint
    canvas = np.zeros((1, 1, *frame), np.float32)
    y, x = (frame[0] - height) // 2, (frame[1] - width) // 2
    canvas[0, 0, y : y + height, x : x + width] = ink
    return canvas
