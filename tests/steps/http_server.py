"""A web server on loopback that misbehaves as archives do.

with BadServer() as server:
    server.files["/a.fits"] = data
    server.plan("/a.fits", truncate(100), status(503, retry_after=1))   # then it behaves
    server.url("/a.fits"), server.requests
"""

import http.server
import re
import socket
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable


def truncate(size: int) -> Callable:
    """Promise the whole file and close after `size` bytes of the answer."""

    def act(handler, data: bytes) -> None:
        handler.start(200, len(data))
        handler.wfile.write(data[:size])
        handler.hang_up()

    return act


def stall(size: int = 0, seconds: float = 3.0) -> Callable:
    """Send `size` bytes, and then nothing."""

    def act(handler, data: bytes) -> None:
        handler.start(200, len(data))
        handler.wfile.write(data[:size])
        handler.wfile.flush()
        time.sleep(seconds)
        handler.hang_up()

    return act


def drip(seconds: float = 0.05) -> Callable:
    """Send a byte now and then, so that the connection is never silent."""

    def act(handler, data: bytes) -> None:
        handler.start(200, len(data))
        for number in range(len(data)):
            handler.wfile.write(data[number : number + 1])
            time.sleep(seconds)

    return act


def status(code: int, retry_after: str | int | None = None) -> Callable:
    """Answer with an error."""

    def act(handler, data: bytes) -> None:
        handler.start(code, 0, {} if retry_after is None else {"Retry-After": str(retry_after)})

    return act


def web_page(content_type: str = "text/html; charset=utf-8") -> Callable:
    """Answer 200 with an error page; some archives even call it FITS."""
    page = b"<!DOCTYPE html>\n<html><body>The archive is down for maintenance.</body></html>\n"

    def act(handler, data: bytes) -> None:
        handler.start(200, len(page), {"Content-Type": content_type})
        handler.wfile.write(page)

    return act


def lie(announced: int) -> Callable:
    """Announce another length than that of the file, and close."""

    def act(handler, data: bytes) -> None:
        handler.start(200, announced)
        handler.wfile.write(data[:announced])
        handler.hang_up()

    return act


def endless(handler, data: bytes) -> None:
    """Send the file over and over, without a length."""
    handler.start(200, None)
    for _ in range(100):
        handler.wfile.write(data)
    handler.hang_up()


def redirect(location: str, code: int = 302) -> Callable:
    """Lead elsewhere."""

    def act(handler, data: bytes) -> None:
        handler.start(code, 0, {"Location": location})

    return act


def wrong_range(handler, data: bytes) -> None:
    """Answer a range with another one."""
    handler.start(206, 10, {"Content-Range": f"bytes 0-9/{len(data)}"})
    handler.wfile.write(data[:10])


def ignore_range(handler, data: bytes) -> None:
    """Answer a range with the whole file, as RFC 9110 allows."""
    handler.start(200, len(data))
    handler.wfile.write(data)


class BadServer:
    """Serves `files`; each path may have a plan of bad answers that come first.

    Attributes
    ----------
    files : dict of str to bytes
    headers : dict
        Sent with each good or half-good answer, e.g. an ETag.
    requests : list of (path, headers)
    posted : list of (path, body)
    """

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.headers: dict[str, str] = {}
        self.requests: list[tuple[str, dict]] = []
        self.posted: list[tuple[str, str]] = []
        self._plans: dict[str, list] = defaultdict(list)
        self._lock = threading.Lock()

    def plan(self, path: str, *answers: Callable) -> None:
        """Give these answers first, one a request, and behave afterwards."""
        self._plans[path] = list(answers)

    def url(self, path: str = "") -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def count(self, path: str) -> int:
        return sum(asked == path for asked, _ in self.requests)

    def __enter__(self) -> "BadServer":
        owner = self

        class Handler(_Handler):
            server_owner = owner

        self._server = _QuietServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, path: str, headers: dict) -> Callable | None:
        with self._lock:
            self.requests.append((path, headers))
            return self._plans[path].pop(0) if self._plans[path] else None


class _QuietServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that hang up; they are meant to."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_owner: BadServer

    def log_message(self, *_) -> None:
        pass

    def do_GET(self) -> None:
        answer = self.server_owner._next(self.path, dict(self.headers))
        data = self.server_owner.files.get(self.path)
        try:
            if answer is not None:
                answer(self, data if data is not None else b"")
            elif data is None:
                self.start(404, 0)
            else:
                self.whole_or_range(data)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server_owner.posted.append((self.path, body.decode(errors="replace")))
        self.do_GET()

    def whole_or_range(self, data: bytes) -> None:
        asked = re.match(r"bytes=(\d+)-$", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        current = {self.server_owner.headers.get("ETag"), self.server_owner.headers.get("Last-Modified")}
        if not asked or (condition is not None and condition not in current):
            self.start(200, len(data))
            self.wfile.write(data)
            return
        start = int(asked[1])
        if start >= len(data):
            self.start(416, 0, {"Content-Range": f"bytes */{len(data)}"})
            return
        self.start(206, len(data) - start, {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"})
        self.wfile.write(data[start:])

    def start(self, code: int, length: int | None, more: dict | None = None) -> None:
        headers = {"Content-Type": "application/octet-stream", **self.server_owner.headers, **(more or {})}
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name, value)
        if length is None:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def hang_up(self) -> None:
        self.close_connection = True
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
