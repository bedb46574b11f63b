"""Files that are either whole or not there.

A program can die at any instruction: power, the memory limit, Ctrl-C. A file written in place is then half old and
half new. So the content first goes to a temporary file in the same folder, is pushed to the disk (fsync), and only
then takes the final name: ``os.replace`` is one step of the file system, so whoever opens the name sees the old file
or the new one.
"""

import os
import tempfile
from pathlib import Path


def write_atomically(path, content, *, caller="write_atomically"):
    """Write bytes to a file so that no moment exists at which the file is half written.

    Missing parent folders are made. On an error, or Ctrl-C, the temporary file is removed and an older file of that
    name stays as it was; a killed process (SIGKILL) may leave a temporary file ``.NAME.PID.tmp`` behind, never a
    broken NAME.

    Parameters
    ----------
    path : str or Path
        A symbolic link is followed: what it points to is replaced.
    content : bytes
    caller : str
        The function the user called, named in the error.

    Raises
    ------
    OSError
        The folder cannot be made or written, or `path` is a folder.
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{caller}: cannot write {path}: {reason}; choose a file in a folder you may write to") from error


def ensure_writable(out, *, caller):
    """Make the folder that a command's --out names, and make sure that it can be written, before the work begins.

    Raises
    ------
    OSError
    """
    try:
        Path(out).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=out).close()
    except OSError as error:
        raise OSError(f"{caller}: cannot write into --out {out}: {error.strerror}; choose a folder you may write "
                      f"to") from error
