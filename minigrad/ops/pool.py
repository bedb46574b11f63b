"""Pooling. A max-pool's derivative is a route: each window sends its cotangent to its winner.

MaxPool2d reads the winners' values; its vjp MaxPoolRoute sends values to the winners; the vjp of that,
MaxPoolCollect, reads other values at the winners; and MaxPoolCollect's vjp is MaxPoolRoute. Who won, a byte for each
window, is noted where a tape is recorded and handed from each to the next: to find it again would be to read x again.
"""
from dataclasses import dataclass, field
from functools import cached_property

from .. import kernels
from ..tensor import Op, recording
from .arguments import of_unseen_images
from .note import Note


@dataclass(frozen=True, eq=False)
class _Windows(Op):
    """The settings of a pooling; pairs are (vertical, horizontal)."""
    memory = "new"
    kernel_size: tuple
    stride: tuple
    padding: tuple = (0, 0)
    ceil_mode: bool = False

    @cached_property
    def window(self):
        return self.kernel_size, self.stride, self.padding, self.ceil_mode


@dataclass(frozen=True, eq=False)
class MaxPool2d(_Windows):
    """The largest value of each window of x (N, C, H, W); the first one in reading order wins a tie."""
    known: Note = field(default_factory=Note, init=False, repr=False)  # who won in what it was applied to last

    def forward(self, x):
        if not recording.get():
            self.known.clear()
            return kernels.max_pool2d(x, *self.window)
        y, winners = kernels.max_pool2d_winners(x, *self.window)
        self.known.write(x, winners)
        return y

    def vjp(self, g, y, x):
        return (lambda: MaxPoolRoute(*self.window, self.known.copy())(g, x),)


@dataclass(frozen=True, eq=False)
class _AmongWinners(_Windows):
    """What needs to know who won in x."""
    given: Note = field(default_factory=Note, repr=False)  # who won in what it will be applied to first
    known: Note = field(default_factory=Note, init=False, repr=False)  # and in what it was applied to last

    def winners(self, x):
        """Who won, as it was told, or finds out itself: the next time the same array may hold other numbers."""
        winners = self.given.read(x)
        self.given.clear()
        if winners is None:
            _, winners = kernels.max_pool2d_winners(x, *self.window)
        if recording.get():
            self.known.write(x, winners)
        return winners


@dataclass(frozen=True, eq=False)
class MaxPoolRoute(_AmongWinners):
    """g, of the pooled shape, sent to the winners in x and added up where windows overlap."""
    may_wait = of_unseen_images

    def forward(self, g, x):
        return kernels.route_winners(g, self.winners(x), x.shape, *self.window)

    def vjp(self, h, y, g, x):
        return lambda: MaxPoolCollect(*self.window, self.known.copy())(h, x), None


@dataclass(frozen=True, eq=False)
class MaxPoolCollect(_AmongWinners):
    """v, of x's shape, read where x's windows have their winners."""

    def forward(self, v, x):
        return kernels.collect_winners(v, self.winners(x), *self.window)

    def vjp(self, h, y, v, x):
        return lambda: MaxPoolRoute(*self.window, self.known.copy())(h, x), None


@dataclass(frozen=True, eq=False)
class AvgPool2d(_Windows):
    """The mean of each window of x (N, C, H, W), with PyTorch's rule for what the divisor counts."""
    count_include_pad: bool = True

    def forward(self, x):
        return kernels.avg_pool2d(x, *self.window, self.count_include_pad)

    def vjp(self, g, y, x):
        return (lambda: AvgPool2dInput(*self.window, self.count_include_pad, x.shape)(g),)


@dataclass(frozen=True, eq=False)
class AvgPool2dInput(_Windows):
    """The gradient of average pooling: each window's cotangent shared evenly among its elements."""
    count_include_pad: bool = True
    input_shape: tuple = ()

    def forward(self, g):
        return kernels.avg_pool2d_grad(g, self.input_shape, *self.window, self.count_include_pad)

    def vjp(self, h, y, g):
        return (lambda: AvgPool2d(*self.window, self.count_include_pad)(h),)
