"""The primitives. Importing this package gives Tensor its operators and methods, all in the one table below."""
import operator

from ..tensor import Tensor
from . import arrange as r
from . import fusion  # noqa: F401  registers its kernels
from . import methods as m
from .activation import ELU, GELU, Erf, Gate, LeakyReLU, ReLU, Sigmoid, SiLU, Softplus, Tanh
from .conv import ChannelSum, Conv2d, Conv2dInput, Conv2dWeight
from .elementwise import (
    Abs,
    Add,
    Cast,
    Clip,
    Cos,
    Div,
    Exp,
    Log,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Pow,
    Power,
    Sin,
    Sqrt,
    Sub,
    Where,
)
from .linear import Einsum, Linear, MatMul
from .norm import BatchNorm, BatchNormGrad, BatchNormTraining, ChannelAffine, ChannelDot, LayerNorm, Moments
from .pool import AvgPool2d, AvgPool2dInput, MaxPool2d, MaxPoolCollect, MaxPoolRoute
from .reduce import Max, Min, Sum
from .resample import AdaptiveAvgPool2d, Adjoint, Interpolate
from .shape import BroadcastTo, Concat, GetItem, Pad, Permute, PutItem, Reshape, SumTo
from .softmax import CrossEntropy, CrossEntropyInput, LogSoftmax, Softmax

__all__ = [
    "ELU", "GELU", "Abs", "AdaptiveAvgPool2d", "Add", "Adjoint", "AvgPool2d", "AvgPool2dInput", "BatchNorm",
    "BatchNormGrad", "BatchNormTraining", "BroadcastTo", "Cast", "ChannelAffine", "ChannelDot", "ChannelSum",
    "Clip", "Concat", "Conv2d", "Conv2dInput", "Conv2dWeight", "Cos", "CrossEntropy", "CrossEntropyInput", "Div",
    "Einsum", "Erf", "Exp", "Gate", "GetItem", "Interpolate", "LayerNorm", "LeakyReLU", "Linear", "Log",
    "LogSoftmax", "MatMul", "Max", "MaxPool2d", "MaxPoolCollect", "MaxPoolRoute", "Maximum", "Min", "Minimum",
    "Moments", "Mul", "Neg", "Pad", "Permute", "Pow", "Power", "PutItem", "ReLU", "Reshape", "SiLU", "Sigmoid",
    "Sin", "Softmax", "Softplus", "Sqrt", "Sub", "Sum", "SumTo", "Tanh", "Where",
]

_METHODS = {
    "__add__": m.add, "__radd__": m.add, "__sub__": m.sub, "__rsub__": lambda x, other: m.sub(other, x),
    "__mul__": m.mul, "__rmul__": m.mul, "__truediv__": m.div, "__rtruediv__": lambda x, other: m.div(other, x),
    "__pow__": m.pow, "__rpow__": lambda x, other: m.pow(other, x),
    "__matmul__": m.matmul, "__rmatmul__": lambda x, other: m.matmul(other, x),
    "__neg__": m.unary(Neg(), "neg"), "__abs__": m.unary(Abs(), "abs"), "__getitem__": r.getitem,
    "__lt__": m.compare(operator.lt, "lt"), "__le__": m.compare(operator.le, "le"),
    "__gt__": m.compare(operator.gt, "gt"), "__ge__": m.compare(operator.ge, "ge"),
    "eq": m.compare(operator.eq, "eq"), "ne": m.compare(operator.ne, "ne"),
    "exp": m.unary(Exp(), "exp"), "log": m.unary(Log(), "log"), "sqrt": m.unary(Sqrt(), "sqrt"),
    "abs": m.unary(Abs(), "abs"), "sin": m.unary(Sin(), "sin"), "cos": m.unary(Cos(), "cos"),
    "tanh": m.unary(Tanh(), "tanh"), "sigmoid": m.unary(Sigmoid(), "sigmoid"), "relu": m.unary(ReLU(), "relu"),
    "clip": m.clip, "clamp": m.clip, "maximum": m.maximum, "minimum": m.minimum, "pow": m.pow, "matmul": m.matmul,
    "to": r.to, "astype": r.to, "sum": m.sum, "mean": m.mean, "var": m.var, "std": m.std, "max": m.max, "min": m.min,
    "argmax": m.argmax, "logsumexp": m.logsumexp, "reshape": r.reshape, "view": r.reshape, "flatten": r.flatten,
    "squeeze": r.squeeze, "unsqueeze": r.unsqueeze, "permute": r.permute, "transpose": r.transpose, "expand": r.expand,
    "gather": r.gather, "T": property(r.transpose, doc="All axes in reverse order."),
}
_METHODS |= {f"__i{_name}__": m.in_place(_sign) for _name, _sign in {
    "add": "+=", "sub": "-=", "mul": "*=", "truediv": "/=", "pow": "**=", "matmul": "@="}.items()}
for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
