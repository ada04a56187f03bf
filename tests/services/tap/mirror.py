"""An ALMA mirror as its clients see it, in front of DaCHS.

    python mirror.py PORT DACHS_ADDRESS PRODUCTS_FOLDER

``/tap…`` and ``/datalink/sync`` are handed on to DaCHS; ``/dataPortal/<file>`` serves a product, also from the middle.
"""

import http.server
import re
import sys
import urllib.error
import urllib.request
from pathlib import Path

PORT, DACHS, PRODUCTS = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
LINKS = "/skyloom_alma/links/links/dlmeta"


class Mirror(http.server.BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Keep quiet."""

    def do_HEAD(self):
        """Answer without a body."""
        self.do_GET()

    def do_POST(self):
        """Hand the form on."""
        self.do_GET(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def do_GET(self, form=None):
        """Serve a product, or hand the request on."""
        path, _, query = self.path.partition("?")
        if path.startswith("/dataPortal/"):
            self.product(PRODUCTS / Path(path).name)
        elif path == "/datalink/sync":
            self.hand_on(f"{LINKS}?{query}" if query else LINKS, form)
        elif path.startswith("/tap"):
            self.hand_on(self.path, form)
        else:
            self.answer(404, b"")

    def hand_on(self, path, form):
        """Ask DaCHS, and give its answer."""
        request = urllib.request.Request(DACHS + path, data=form)
        if form is not None:
            request.add_header("Content-Type", self.headers["Content-Type"])
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                self.answer(response.status, response.read(), {"Content-Type": response.headers["Content-Type"]})
        except urllib.error.HTTPError as error:
            self.answer(error.code, error.read(), {"Content-Type": error.headers["Content-Type"] or "text/plain"})
        except OSError:
            self.answer(502, b"")

    def product(self, path):
        """Serve a file or the end of it."""
        if not path.is_file():
            self.answer(404, b"")
            return
        data = path.read_bytes()
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Disposition": f"attachment; filename={path.name}",
            "Last-Modified": self.date_time_string(int(path.stat().st_mtime)),
            "Accept-Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and int(asked[1]) < len(data):
            start = int(asked[1])
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            self.answer(206, data[start:], headers)
        else:
            self.answer(200, data, headers)

    def answer(self, status, body, headers=None):
        """Send status, headers and body."""
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Mirror).serve_forever()
