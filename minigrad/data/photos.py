"""Photographs: one file at a time, and the sample of ImageNet that checks a network for them.

``imagenet-samples/`` holds photographs ``imagenet_NN_LABEL.jpg``, where LABEL is the class, 0 to 999, and
``synset_words.txt``, whose line LABEL + 1 names it: ``n01443537 goldfish, Carassius auratus``.
"""

from pathlib import Path

import numpy as np

from .dataset import Dataset
from .download import find, folders

SAMPLES, NAMES = "imagenet-samples", "synset_words.txt"


def load_photo(path, size=None):
    """Read a photograph as a batch of one image.

    Parameters
    ----------
    path : str or Path
        JPEG, PNG or whatever else Pillow reads, in any colour mode; turned upright if its EXIF data say how.
    size : int or (height, width), optional
        Resize to it, bilinearly and with what is left out averaged in; the proportions are not kept.

    Returns
    -------
    ndarray (1, 3, H, W), float32
        Red, green, blue in [0, 1].

    Raises
    ------
    FileNotFoundError
        No such file.
    ValueError
        The file is no image or is damaged; `size` is not one or two positive integers.
    """
    from PIL import Image, ImageOps

    if not Path(path).is_file():
        raise FileNotFoundError(f"load_photo: there is no file {path}; check the path")
    height_width = size if isinstance(size, (tuple, list)) else (size, size)
    if size is not None and not (len(height_width) == 2 and all(isinstance(n, int) and n > 0 for n in height_width)):
        raise ValueError(f"load_photo: size is {size!r}, expected a positive integer or a pair (height, width) of them")
    try:
        with Image.open(path) as photo:
            photo = ImageOps.exif_transpose(photo).convert("RGB")
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:  # a broken PNG is a SyntaxError to Pillow
        raise ValueError(f"load_photo: {path} is damaged, or no image Pillow can read ({error}); "
                         f"get a fresh copy") from error
    if size is not None:
        photo = photo.resize((height_width[1], height_width[0]), Image.Resampling.BILINEAR)
    return np.asarray(photo, np.float32).transpose(2, 0, 1)[None].copy() / 255


def imagenet_classes(root=None):
    """List the names of ImageNet's 1000 classes, by class number; of several synonyms the first.

    Parameters
    ----------
    root : str or Path, optional
        Looked at first; then ``$MINIGRAD_DATA``, then the user's cache, in the folder imagenet-samples.

    Raises
    ------
    FileNotFoundError
        There is no synset_words.txt.
    """
    lines = _folder("imagenet_classes", root).joinpath(NAMES).read_text(encoding="utf-8").splitlines()
    return tuple(line.split(" ", 1)[1].split(",")[0] for line in lines)


def imagenet_samples(size=227, root=None):
    """Load the sample photographs of ImageNet, each resized to `size`, as a Dataset of 1000 classes.

    Parameters
    ----------
    size : int or (height, width)
    root : str or Path, optional
        As in `imagenet_classes`.

    Raises
    ------
    FileNotFoundError
        The folder imagenet-samples is nowhere.
    """
    paths = sorted(_folder("imagenet_samples", root).glob("imagenet_*.jpg"))
    images = np.concatenate([load_photo(path, size) for path in paths])
    labels = np.array([int(path.stem.rsplit("_", 1)[1]) for path in paths])
    return Dataset(images, labels, imagenet_classes(root), SAMPLES)


def _folder(caller, root):
    places = folders(SAMPLES, root)
    path = find((NAMES,), places)
    if path is None:
        raise FileNotFoundError(f"{caller}: {NAMES} is in none of {', '.join(map(str, places))}; "
                                f"put the folder {SAMPLES} into one of them")
    return path.parent
