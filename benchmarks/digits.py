"""What explanations and attacks are measured on: a trained `mnist_cnn` and the first test images of what it learned."""
from pathlib import Path

import numpy as np


def trained(folder, epochs=5):
    """Train mnist_cnn on the embedded digits, and return the file in `folder` with its weights."""
    import minigrad
    from minigrad import functional as F

    model = minigrad.models.mnist_cnn(rng=np.random.default_rng(0))
    train, rng = minigrad.data.load("digits"), np.random.default_rng(1)
    adam = minigrad.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(epochs):
        for images, labels in minigrad.data.batches(train, 64, shuffle=True, rng=rng):
            adam.zero_grad()
            F.cross_entropy(model(images), labels).backward()
            adam.step()
    path = Path(folder) / "model.safetensors"
    minigrad.save(path, model, dataset="digits")
    return path


def setting(run, count):
    """The network of a run, and images (count, 1, 28, 28) and labels of the test set."""
    import minigrad
    from minigrad.runs import load_run

    model = load_run(run)
    test = minigrad.data.load(model.metadata["dataset"], "test")
    return model, np.ascontiguousarray(test.images[:count]), test.labels[:count]
