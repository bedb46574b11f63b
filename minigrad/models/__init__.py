"""Networks by name. They take pixels in [0, 1] and return logits; state dicts have PyTorch's keys and shapes."""
from .cifar import cifar_cnn
from .digits import CNN, lenet5, mnist_cnn
from .registry import create, names, register
from .resnet import ResNet, resnet18, resnet20
from .squeezenet import SqueezeNet, pretrained_squeezenet, squeezenet1_0, squeezenet1_1
from .vgg import VGG, vgg11, vgg13, vgg16, vgg19
from .vit import ViT, vit_b_16, vit_tiny

__all__ = ["CNN", "ResNet", "SqueezeNet", "VGG", "ViT", "cifar_cnn", "create", "lenet5", "mnist_cnn", "names",
           "pretrained_squeezenet", "register", "resnet18", "resnet20", "squeezenet1_0", "squeezenet1_1", "vgg11",
           "vgg13", "vgg16", "vgg19", "vit_b_16", "vit_tiny"]
