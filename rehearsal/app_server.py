"""The product's web application, as far as maintenance mode is concerned: 503 while it is on, else 200."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rehearsal.daemon import serve
from rehearsal.ports import LOOPBACK


class Page(BaseHTTPRequestHandler):
    """One request."""

    def __init__(self, maintenance: Path, *args: Any) -> None:
        self._maintenance = maintenance
        super().__init__(*args)

    def do_GET(self) -> None:  # http.server's name
        """Answer by the current content of the file."""
        shut = self._maintenance.read_text().strip() == "on"
        status = HTTPStatus.SERVICE_UNAVAILABLE if shut else HTTPStatus.OK
        body = f"{status.value} {status.phrase}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        """Log nothing."""


def run(config: Mapping[str, Any], ready: Callable[[Mapping[str, object]], None]) -> None:
    """Serve until the process is ended."""
    with ThreadingHTTPServer((LOOPBACK, 0), partial(Page, Path(config["maintenance"]))) as server:
        ready({"port": server.server_port})
        server.serve_forever()


if __name__ == "__main__":
    serve(run)
