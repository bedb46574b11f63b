"""Freed memory is kept for the next array, for fetching it anew costs more than filling it.

A pass through a network makes and frees dozens of arrays of some megabytes. glibc gives blocks that large back to the
operating system at once, and every page of the next block is a page fault: a quarter of a training step of `mnist_cnn`;
for eight images in SqueezeNet 4,800 faults forward and 7,900 with the gradient. It also gives back the end of its heap
when more than twice that size is free there. So glibc is asked (mallopt(3)) to take arrays of up to 32 MiB (its
ceiling) from its heap, and larger ones where they fit; to let that heap grow in large strides; and to keep what is
freed of it.
"""

import ctypes
import os

_SETTINGS = (  # the parameters' numbers are those of malloc.h
    (-3, "MALLOC_MMAP_THRESHOLD_", 32 << 20),  # bytes: larger blocks are the system's, if the heap has no room for them
    (-2, "MALLOC_TOP_PAD_", 64 << 20),  # address space to ask for in addition, which is no memory until it is touched
    (-1, "MALLOC_TRIM_THRESHOLD_", 512 << 20),  # what may be free at the heap's end before it is given back
)


def keep_freed_memory():
    """Let glibc keep freed memory for reuse; what the environment says of one of the three settings stands.

    Other C libraries are not affected.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    for parameter, variable, value in _SETTINGS if mallopt else ():
        if variable not in os.environ:
            mallopt(parameter, value)
