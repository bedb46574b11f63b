"""Networks by name. They take pixels in [0, 1] and return logits; state dicts have PyTorch's keys and shapes."""
from .digits import CNN, lenet5, mnist_cnn
from .registry import create, names, register

__all__ = ["CNN", "create", "lenet5", "mnist_cnn", "names", "register"]
