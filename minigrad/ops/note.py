"""What an op finds out on its way, and its derivative would have to find out again: a note, which nobody must have."""
from weakref import ref


class Note:
    """What was found in an array: in that very one, which is not kept alive for it.

    It does not tell whether somebody has written to the array since: who reads it has made sure of that.
    """

    __slots__ = ("last",)

    def __init__(self, last=None):
        self.last = last

    def write(self, array, found):
        """Note what was found in an array, or in a result that waits."""
        self.last = ref(array), found

    def read(self, array):
        """What was found in this array, if it is the last one; otherwise None."""
        last = self.last  # once: another thread may write
        return last[1] if last is not None and last[0]() is array else None

    def clear(self):
        """Forget it."""
        self.last = None

    def copy(self):
        """The same note, for somebody who may forget it."""
        return Note(self.last)

    def __reduce__(self):
        return Note, ()  # of a tensor that was copied or pickled: its arrays are others
