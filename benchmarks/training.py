"""Workload: a training step of `mnist_cnn` (forward, cross-entropy, backward, Adam), or its forward pass alone.

`side` and `channels` make the same network for larger images, or with more channels in its convolutions.
"""
import numpy as np


def _batch(size, side=28):
    rng = np.random.default_rng(0)
    return rng.random((size, 1, side, side), np.float32), rng.integers(0, 10, size)


def minigrad(size, batch_norm=0, inference=0, side=28, channels=32):
    """The step in minigrad, or the forward pass alone."""
    import minigrad
    from minigrad import functional as F

    images, labels = _batch(size, side)
    if (side, channels) == (28, 32):
        model = minigrad.models.mnist_cnn(batch_norm=bool(batch_norm), rng=np.random.default_rng(0))
    else:
        model = network(side, channels)
    optimizer = minigrad.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()
        optimizer.step()

    def answer():
        with minigrad.no_grad():
            model(images)

    return answer if inference and model.eval() else step


def network(side, channels):
    """`mnist_cnn` for images of side x side pixels, with so many channels in both convolutions."""
    from minigrad import nn
    from minigrad.models.digits import CNN

    rng = np.random.default_rng(0)
    return CNN(
        nn.Sequential(nn.Conv2d(1, channels, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2),
                      nn.Conv2d(channels, channels, 3, padding=1, rng=rng), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.Linear(channels * (side // 4) ** 2, 500, rng=rng), nn.ReLU(), nn.Linear(500, 10, rng=rng)))


def torch(size, *settings):
    """The step in PyTorch eager as most people write it."""
    return _torch(size, *settings, channels_last=False, fused=False)


def torch_channels_last(size, *settings):
    """PyTorch with channels-last memory."""
    return _torch(size, *settings, channels_last=True, fused=False)


def torch_fused(size, *settings):
    """PyTorch with its fused Adam."""
    return _torch(size, *settings, channels_last=False, fused=True)


def torch_channels_last_fused(size, *settings):
    """PyTorch with channels-last memory and its fused Adam."""
    return _torch(size, *settings, channels_last=True, fused=True)


def _torch(size, batch_norm=0, inference=0, side=28, channels=32, *, channels_last, fused):
    import torch
    from torch import nn

    torch.set_num_threads(threads())
    images, labels = (torch.from_numpy(a) for a in _batch(size, side))
    norm = [[nn.BatchNorm2d(channels)] if batch_norm else [] for _ in range(2)]
    model = nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *norm[0],
        nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), *norm[1],
        nn.Flatten(), nn.Linear(channels * (side // 4) ** 2, 500), nn.ReLU(), nn.Linear(500, 10))
    if channels_last:
        model, images = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def step():
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    def answer():
        with torch.inference_mode():
            model(images)

    return answer if inference and model.eval() else step


def tensorflow(size, batch_norm=0, inference=0):
    """The step in TensorFlow, compiled by `tf.function`, channels last."""
    import tensorflow as tf

    count = threads()
    tf.config.threading.set_intra_op_parallelism_threads(count)
    tf.config.threading.set_inter_op_parallelism_threads(count)
    images, labels = _batch(size)
    images, labels = tf.constant(images.transpose(0, 2, 3, 1)), tf.constant(labels)
    layers = tf.keras.layers
    norm = [[layers.BatchNormalization()] if batch_norm else [] for _ in range(2)]
    model = tf.keras.Sequential([
        layers.Input((28, 28, 1)),
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPool2D(), *norm[0],
        layers.Conv2D(32, 3, padding="same", activation="relu"), layers.MaxPool2D(), *norm[1],
        layers.Flatten(), layers.Dense(500, activation="relu"), layers.Dense(10)])
    optimizer = tf.keras.optimizers.Adam(1e-3)
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss(labels, model(images, training=True))
        optimizer.apply_gradients(zip(tape.gradient(value, model.trainable_variables), model.trainable_variables))
        return value

    @tf.function
    def answer():
        return model(images, training=False)

    return lambda: (answer if inference else step)().numpy()


def threads():
    """How many threads minigrad uses, so that its peers use as many; where numba is not installed, all."""
    import os

    try:
        import numba
    except ModuleNotFoundError:
        return int(os.environ.get("NUMBA_NUM_THREADS", len(os.sched_getaffinity(0))))
    return numba.get_num_threads()
