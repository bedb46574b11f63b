"""Neural networks: modules that hold parameters, and a layer for each function of `minigrad.functional`."""
from . import init
from .layers import (
    BatchNorm1d,
    BatchNorm2d,
    Conv2d,
    ConvTranspose2d,
    Embedding,
    LayerNorm,
    Linear,
    MultiheadAttention,
)
from .module import Module, Parameter, Sequential
from .plain import (
    ELU,
    GELU,
    AdaptiveAvgPool2d,
    AvgPool2d,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Identity,
    LeakyReLU,
    LogSoftmax,
    MaxPool2d,
    MSELoss,
    NLLLoss,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Standardize,
    Tanh,
    Upsample,
    ZeroPad2d,
)

__all__ = [
    "ELU", "GELU", "AdaptiveAvgPool2d", "AvgPool2d", "BatchNorm1d", "BatchNorm2d", "Conv2d", "ConvTranspose2d",
    "CrossEntropyLoss", "Dropout", "Embedding", "Flatten", "Identity", "LayerNorm", "LeakyReLU", "Linear", "LogSoftmax",
    "MSELoss", "MaxPool2d", "Module", "MultiheadAttention", "NLLLoss", "Parameter", "ReLU", "Sequential", "SiLU",
    "Sigmoid", "Softmax", "Softplus", "Standardize", "Tanh", "Upsample", "ZeroPad2d", "init",
]
