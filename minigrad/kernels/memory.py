"""Freed memory is kept for the next array, for fetching it anew costs more than filling it.

A pass through a network makes and frees dozens of arrays of some megabytes. glibc gives blocks that large back to the
operating system at once, and every page of the next block is a page fault: a quarter of a training step of `mnist_cnn`;
for eight images in SqueezeNet 4,800 faults forward and 7,900 with the gradient. It also gives back the end of its heap
when more than twice that size is free there. So glibc is asked (mallopt(3)) to take arrays of up to 32 MiB (its
ceiling) from its heap, and to keep what is freed of it. Larger ones it takes from there only where they fit: so the
heap is enlarged at once, by address space that becomes memory when it is touched.
"""

import ctypes
import os

import numpy as np

_LARGEST = 32 << 20  # bytes
_SETTINGS = (  # the parameters' numbers are those of malloc.h
    (-3, "MALLOC_MMAP_THRESHOLD_", _LARGEST),  # larger blocks are the system's, if the heap has no room for them
    (-1, "MALLOC_TRIM_THRESHOLD_", 16 * _LARGEST),  # what may be free at the heap's end before it is given back
)


def keep_freed_memory():
    """Let glibc keep freed memory for reuse, unless the environment says what it should do with it.

    Other C libraries are not affected.
    """
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(name in os.environ for _, name, _ in _SETTINGS):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # another C library
        return
    for parameter, _, value in _SETTINGS:
        mallopt(parameter, value)
    blocks = []  # which are one block when they are free
    try:
        for _ in range(15):
            blocks.append(np.empty(_LARGEST - 4096, np.uint8))
    except MemoryError:  # a limit of address space: what was found is enough
        pass
