"""Folders of its own for each test, and web servers on this machine."""

import http.server
import threading

import pytest
from tiny_mnist import raw_files, use_mirrors

from minigrad.data import download


@pytest.fixture
def empty_machine(tmp_path, monkeypatch):
    """No MINIGRAD_DATA, an empty cache, no proxy between us and the loopback interface; gives the cache."""
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)
    monkeypatch.setattr(download, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(download, "TIMEOUT", 5)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def tiny(empty_machine, monkeypatch):
    """Raw bytes of a tiny MNIST by file name; its mirror is a port that nobody listens on."""
    raw = raw_files()
    use_mirrors(raw, monkeypatch, "http://127.0.0.1:9/")
    return raw


@pytest.fixture
def serve():
    """``serve(answer)`` starts a server and returns its URL; ``answer(path)`` is (status, headers, body or parts)."""
    servers = []

    def start(answer):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, headers, body = answer(self.path.lstrip("/"))
                self.send_response(status)
                whole = isinstance(body, bytes)
                for key, value in (({"Content-Length": str(len(body))} if whole else {}) | headers).items():
                    self.send_header(key, value)
                self.end_headers()
                for part in [body] if whole else body:
                    self.wfile.write(part)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()
