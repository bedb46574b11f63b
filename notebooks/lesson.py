"""What the lessons share: data, the networks they look at, sentences with computed numbers, the look of figures."""

import warnings
from pathlib import Path

import matplotlib
import numpy as np
from IPython.display import Markdown, display

import minigrad
from minigrad import data, models, optim, train

_missed = set()
RUNS = Path(__file__).parent.parent / "runs" / "lessons"
matplotlib.rcParams.update({"figure.dpi": 72, "savefig.bbox": "tight", "axes.titlesize": 10, "axes.labelsize": 9,
                            "xtick.labelsize": 8, "ytick.labelsize": 8, "image.cmap": "gray"})


def say(text):
    """Show a sentence in Markdown: prose whose numbers were computed in this cell."""
    display(Markdown(text))


def dataset(name="mnist", split="test"):
    """Load a dataset where it is at hand ($MINIGRAD_DATA or the cache), else the digits that scikit-learn brings."""
    try:
        found = data.load(name, split, download=False)
    except FileNotFoundError:
        found = data.load("digits", split)
        if name not in _missed:
            _missed.add(name)
            say(f"*{name} is not at hand ($MINIGRAD_DATA, or `minigrad.data.load('{name}')` once to fetch it): this "
                f"lesson runs on the embedded digits instead, and what it says of pictures may look different.*")
    return found


def trained(name="mnist", batch_norm=False, epochs=10):
    """Return the lesson's network: `mnist_cnn`, Adam 1e-3, batches of 64; from disk if a lesson trained it before.

    Returns
    -------
    model : Module
        In evaluation mode.
    history : History or None
        Of its training, None if it was read from disk.
    """
    learn, test = dataset(name, "train"), dataset(name, "test")
    path = RUNS / f"{learn.name}{'-batch-norm' * batch_norm}-{epochs}.safetensors"
    if path.exists():
        return minigrad.load(path), None
    rng = np.random.default_rng(0)
    model = models.mnist_cnn(batch_norm=batch_norm, rng=rng)
    history = train.fit(model, learn, test, epochs=epochs, optimizer=optim.Adam(model.parameters(), lr=1e-3), rng=rng,
                        progress=False)
    minigrad.save(path, model, dataset=learn.name, classes=list(learn.classes), input=learn.images.shape[1:],
                  history=history.as_dict())
    return model, history


def pictures(images, titles=None, columns=8, size=1.2):
    """Draw grey or RGB images (N, C, H, W) side by side and return the axes."""
    import matplotlib.pyplot as plt

    rows = -(-len(images) // columns)
    columns = min(columns, len(images))
    _, axes = plt.subplots(rows, columns, figsize=(size * columns, (size + 0.25) * rows), squeeze=False,
                           layout="constrained")
    for ax in axes.flat:
        ax.axis("off")
    for i, (ax, image) in enumerate(zip(axes.flat, images)):
        ax.imshow(image[0] if len(image) == 1 else np.moveaxis(image, 0, -1), vmin=0, vmax=1)
        if titles is not None:
            ax.set_title(titles[i], fontsize=8)
    return axes


warnings.filterwarnings("ignore", message=".*IProgress.*")
