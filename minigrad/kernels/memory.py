"""Freed memory is kept for the next array, for fetching it anew costs more than filling it.

A training step makes and frees some forty arrays of several megabytes. glibc hands blocks that large back to the
operating system at once, and every page of the next block is a page fault: a quarter of the step, half of a large
gradient. Its limit for what is large is dynamic (mallopt(3), M_MMAP_THRESHOLD): it rises to the size of the largest
block that was ever freed, up to 32 MiB, and it keeps twice as much free memory. So one such block is made and freed,
untouched: it costs microseconds and no memory.
"""

import numpy as np

_LARGEST = 2**25 - 2**13  # bytes: just below glibc's ceiling for the limit, which counts the block's header too


def keep_freed_memory():
    """Let glibc keep blocks of up to 32 MiB for reuse; other allocators are not affected."""
    np.empty(_LARGEST, np.uint8)
