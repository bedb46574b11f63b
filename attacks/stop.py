"""Ctrl-C ends what is long and keeps what is done: one way to say so, for whatever is long.

    stop = Stoppable()
    with stop:
        ...                                # Ctrl-C leaves the block, quietly
    return Result(..., interrupted=stop.interrupted)
"""


class Stoppable:
    """A block that Ctrl-C may end; may be entered several times.

    Attributes
    ----------
    interrupted : bool
        Whether Ctrl-C came in any of its blocks.
    """

    interrupted = False

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        stopped = kind is not None and issubclass(kind, KeyboardInterrupt)
        self.interrupted |= stopped
        return stopped

    def finish(self, work):
        """What ``work()`` gives. If Ctrl-C comes it is done once more: without it all that was done would be lost."""
        with self:
            return work()
        return work()
