"""A web server that takes what is posted, or behaves badly."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from tests import web


@dataclass
class Inbox:
    """The posted messages; a test may let the server answer with an error, or never."""

    url: str = ""
    status: int = 200
    hangs: bool = False
    news: list[dict[str, Any]] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serving() -> Iterator[Inbox]:
    """A server while the block runs."""
    inbox = Inbox()

    class Handler(web.Quiet, BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if inbox.hangs:
                inbox.closing.wait()
                return
            inbox.news.append(json.loads(body))
            self.send_response(inbox.status)
            self.end_headers()

    with web.serving(Handler) as address:
        inbox.url = f"{address}/hook-s3cr3t"
        try:
            yield inbox
        finally:
            inbox.closing.set()
