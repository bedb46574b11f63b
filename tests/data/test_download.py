"""Downloads from servers on this machine that answer well, badly, half or not at all."""

import gzip
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pooch
import pytest
from tiny_mnist import NAMES, packed, use_mirrors

from minigrad import data


def files_in(folder):
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def bad_mirrors(raw, serve):
    """{what is wrong: (URL of a server that does that, what the error says)}."""
    good = packed(raw)
    flipped = {name: content[:-1] + bytes([content[-1] ^ 1]) for name, content in raw.items()}
    return {
        "wrong hash": (lambda: serve(packed(flipped)), "what came has SHA-256 .*: not used"),
        "a page instead": (lambda: serve(lambda path: (200, {}, b"<html>log in</html>")), "what came has SHA-256"),
        "404": (lambda: serve(lambda path: (404, {}, b"no such file")), "404"),
        "truncated body": (lambda: serve(lambda name: (200, {"Content-Length": "9999"}, good(name)[2])), "Incomplete"),
        "truncated file": (lambda: serve(lambda path: (200, {}, good(path)[2][:-30])), "is damaged or cut short"),
        "connection refused": (closed_port, "refused"),
    }


BAD = ["wrong hash", "a page instead", "404", "truncated body", "truncated file", "connection refused"]


def test_a_download_is_verified_kept_and_not_repeated(tiny, serve, empty_machine, monkeypatch):
    asked = []
    good = packed(tiny)
    use_mirrors(tiny, monkeypatch, serve(lambda path: asked.append(path) or good(path)))
    assert len(data.load("mnist", "test")) == 4 and len(data.load("mnist", "test")) == 4
    assert asked == [f"{name}.gz" for name in NAMES[2:]]
    assert files_in(empty_machine) == sorted(NAMES[2:])
    assert (empty_machine / "mnist" / NAMES[2]).read_bytes() == tiny[NAMES[2]]


def test_a_download_goes_to_root_if_there_is_one(tiny, serve, empty_machine, monkeypatch, tmp_path):
    use_mirrors(tiny, monkeypatch, serve(packed(tiny)))
    data.load("mnist", "test", root=tmp_path / "root")
    assert files_in(tmp_path / "root" / "mnist") == sorted(NAMES[2:]) and not empty_machine.exists()


def test_a_server_may_unpack_on_the_way(tiny, serve, empty_machine, monkeypatch):
    good = packed(tiny)
    use_mirrors(tiny, monkeypatch, serve(lambda path: (200, {"Content-Encoding": "gzip"}, good(path)[2])))
    assert len(data.load("mnist", "test")) == 4


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_mirror_leaves_nothing_behind(tiny, serve, empty_machine, monkeypatch, kind):
    start, message = bad_mirrors(tiny, serve)[kind]
    url = start()
    use_mirrors(tiny, monkeypatch, url)
    message = rf"could not download {NAMES[2]}:\n  {url}{NAMES[2]}.gz: .*{message}"
    with pytest.raises(ConnectionError, match=message) as caught:
        data.load("mnist", "test")
    assert f"put the file into {empty_machine / 'mnist'} by hand" in str(caught.value)
    assert files_in(empty_machine) == []


@pytest.mark.parametrize("kind", BAD)
def test_the_next_mirror_helps_out(tiny, serve, empty_machine, monkeypatch, kind):
    use_mirrors(tiny, monkeypatch, bad_mirrors(tiny, serve)[kind][0](), serve(packed(tiny)))
    assert len(data.load("mnist", "test")) == 4


def test_the_error_names_every_mirror(tiny, serve, empty_machine, monkeypatch):
    bad = bad_mirrors(tiny, serve)
    urls = [bad[kind][0]() for kind in ("404", "wrong hash", "connection refused")]
    use_mirrors(tiny, monkeypatch, *urls)
    with pytest.raises(ConnectionError) as caught:
        data.load("mnist", "test")
    assert all(f"{url}{NAMES[2]}.gz: " in str(caught.value) for url in urls)


def test_ctrl_c_leaves_nothing_behind(tiny, empty_machine, monkeypatch):
    def interrupted(self, url, output_file, pooch, check_only=False):
        output_file.write(gzip.compress(tiny[NAMES[2]])[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(pooch.HTTPDownloader, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist", "test")
    assert files_in(empty_machine) == []


def test_a_killed_download_leaves_nothing_behind(tmp_path, serve):
    """A process that dies in the middle of a body, as when the power fails."""
    halfway, done = threading.Event(), threading.Event()

    def half():
        yield bytes(5_000)
        halfway.set()
        done.wait(20)

    def stall(path):
        return 200, {"Content-Length": "10000"}, half()

    code = ("from minigrad.data import download, registry\n"
            f"file = registry.File('train-images-idx3-ubyte', '0' * 64, ({serve(stall)!r},))\n"
            f"download.obtain(file, 'mnist', root={str(tmp_path / 'root')!r})")
    environment = {key: value for key, value in os.environ.items() if key != "MINIGRAD_DATA"}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache"), "NO_PROXY": "127.0.0.1"}
    child = subprocess.Popen([sys.executable, "-c", code], env=environment, cwd=Path(__file__).parents[2])
    try:
        assert halfway.wait(60)
    finally:
        child.kill()
        child.wait(10)
        done.set()
    assert files_in(tmp_path) == []
