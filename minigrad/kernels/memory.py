"""Freed memory is kept for the next array, for fetching it anew costs more than filling it.

A pass through a network makes and frees dozens of arrays of some megabytes. glibc gives blocks that large back to the
operating system at once, and every page of the next block is a page fault: a quarter of a training step of `mnist_cnn`;
for eight images in SqueezeNet 4,800 faults forward and 7,900 with the gradient. It also gives back the end of its heap
when more than twice that size is free there. So glibc is asked (mallopt(3)) to take all arrays from its heap, however
large, and to keep what is freed of it. In a process that holds 640 MB of other arrays, in parts of the time without
that, for eight images of 111 x 111 pixels and 96 channels (38 MB; two cores of an AMD Zen 4): a rectifier 0.43, its
gate 0.6 to 0.7, the convolution that makes them 0.75 to 0.9.

Pages can be huge, two megabytes instead of four kilobytes, where a program asks for it, and then a core has less to
look up. NumPy asks for those of every array of four megabytes or more, and what was asked for a place stays so. One
array of half a gigabyte, made and freed at the start, does this for the heap that all others will live in. It is never
touched, so it takes address space, but no memory; where address space is limited it is left out. With it a training
step of 64 images takes 0.98 of the time, SqueezeNet's forward pass 0.93 with one image and 0.91 with eight.
"""

import ctypes
import os
from contextlib import suppress

import numpy as np

_KEPT = 1 << 29  # bytes
_SETTINGS = (  # the parameters' numbers are those of malloc.h
    (-4, 0),  # M_MMAP_MAX: blocks that may be the system's own
    (-1, _KEPT),  # M_TRIM_THRESHOLD: bytes that may be free at the heap's end before it is given back
)
_WISHES = "MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"  # of whoever started the process


def keep_freed_memory():
    """Let glibc keep freed memory for reuse, unless the environment says what it should do with it.

    What is freed at the heap's end, beyond half a gigabyte, goes back to the system; what is freed below something that
    is still in use stays the process's. ``MALLOC_MMAP_MAX_=65536`` leaves glibc as it is. Other C libraries are not
    affected.
    """
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for name in _WISHES):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library
        return
    for parameter, value in _SETTINGS:
        mallopt(parameter, value)
    if not _limited():
        with suppress(MemoryError):  # of a system that promises no more than it has
            np.empty(_KEPT - (1 << 25), np.uint8)


def _limited():
    """Whether the process may have only so much address space, which threads and compiled code need as well."""
    from resource import RLIM_INFINITY, RLIMIT_AS, RLIMIT_DATA, getrlimit  # there is none outside of Unix

    return any(getrlimit(kind)[0] != RLIM_INFINITY for kind in (RLIMIT_AS, RLIMIT_DATA))
