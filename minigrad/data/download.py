"""Where a file comes from: the user's folders, the cache, the network; and the proof that it is the right one.

A file is used only if the SHA-256 of its raw bytes is the registry's. A download stays in memory until it has passed,
and then takes its place in one step, so that an interrupted one leaves nothing that a later run could mistake for
data.
"""

import hashlib
import os
from pathlib import Path

from ..files import write_atomically
from .idx import decompress
from .registry import IDX_FILES

TIMEOUT = 30  # seconds without a byte


def cache_folder():
    """Return the folder for downloads: minigrad's own in the user's cache."""
    import pooch

    return Path(pooch.os_cache("minigrad"))


def folders(name, root=None):
    """List the folders in which files of dataset `name` may lie, in the order in which they are looked at."""
    given = [Path(base).expanduser() for base in (root, os.environ.get("MINIGRAD_DATA")) if base]
    return [folder for base in given for folder in (base / name, base)] + [cache_folder() / name]


def find(names, places):
    """Return the path of the first of `names` in the first of the folders `places` that has one, or None."""
    return next((place / name for place in places for name in names if (place / name).is_file()), None)


def obtain(file, name, root=None, download=True):
    """Return the raw bytes of a file of the registry, verified, wherever they are to be had.

    Parameters
    ----------
    file : File
    name : str
        The dataset, which names its folder.
    root : str or Path, optional
        Looked at first; a download is put into ``root/name``, otherwise into the user's cache.
    download : bool

    Returns
    -------
    bytes

    Raises
    ------
    ValueError
        The file is there and is not the right one; it is left untouched.
    FileNotFoundError
        The file is nowhere, and `download` is False.
    ConnectionError
        No mirror delivered it.
    """
    places = folders(name, root)
    if path := find((file.name, f"{file.name}.gz"), places):
        return verified(path.read_bytes(), file, path)
    if not download:
        raise FileNotFoundError(f"load: {file.name} (or .gz) of {name} is in none of {', '.join(map(str, places))}; "
                                f"allow download=True, or put the file there from {file.urls[0]}")
    raw = fetch(file, places[0 if root else -1])
    write_atomically(places[0 if root else -1] / file.name, raw, caller="load")
    return raw


def verified(content, file, source, fix="move it away and load again to get the right one"):
    """Return the raw bytes of `content`, or raise ValueError if their SHA-256 is not that of `file`."""
    raw = content if file.name.endswith(".gz") else decompress(content, source)
    digest = hashlib.sha256(raw).hexdigest()
    if digest == file.sha256:
        return raw
    known = [(other.sha256, f"it is {other.name} of {name}") for name, splits in IDX_FILES.items()
             for pair in splits.values() for other in pair]
    what = dict(known).get(digest, "it is damaged or another file")
    raise ValueError(f"load: {source} has SHA-256 {digest}, expected {file.sha256}; {what}: {fix}")


def fetch(file, destination):
    """Return the verified raw bytes of `file` from the first of its URLs that delivers them.

    Raises ConnectionError, naming every URL with what went wrong there and `destination`, the folder for a copy made
    by hand.
    """
    import io

    import pooch
    import requests

    failures = []
    for url in file.urls:
        body = io.BytesIO()
        try:
            # Not pooch.retrieve: it checks the packed bytes, and a mirror may pack them anew or unpack them on the way.
            pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16, timeout=TIMEOUT)(url, body, None)
            return verified(body.getvalue(), file, "what came", fix="not used")
        except (requests.exceptions.RequestException, ValueError) as error:
            failures.append(f"  {url}: {error}")
    raise ConnectionError(f"load: could not download {file.name}:\n" + "\n".join(failures) +
                          f"\nTry again later, or put the file into {destination} by hand")
