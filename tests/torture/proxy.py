"""Between the archiver and the store: passes each request on, and spoils chosen answers."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from rehearsal.ports import LOOPBACK

ERROR = b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code><Message>Try again.</Message></Error>'
HOP_BY_HOP = ("connection", "transfer-encoding", "expect", "content-length", "date", "server")


class Spoil(Enum):
    """The possible fates of an answer."""

    ERROR_500 = "500"
    ERROR_503 = "503"
    LATE_500 = "done, and then 500"  # the store has done it
    ERROR_IN_200 = "an error inside a 200"
    CUT_OFF = "cut off in the middle"
    SHORT = "short, and of that length"
    FLIPPED = "a flipped bit"
    SILENT = "closed without a word"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A server's answer to a request."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    length: int  # as told, which may be a lie


class Proxy(ThreadingHTTPServer):
    """Spoils a number of answers to one method of HTTP."""

    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__((LOOPBACK, 0), _Handler)
        self.behind = urlsplit(endpoint)
        self.method = ""
        self.spoil: Spoil | None = None
        self.left = 0  # answers to spoil

    @property
    def endpoint(self) -> str:
        """The address for clients."""
        return f"http://{LOOPBACK}:{self.server_address[1]}"

    @contextmanager
    def spoiling(self, method: str, spoil: Spoil) -> Iterator[None]:
        """Spoil the answers to a method while the block runs."""
        self.spoil_next(method, spoil, 1_000_000)
        try:
            yield
        finally:
            self.left = 0

    def spoil_next(self, method: str, spoil: Spoil, answers: int = 1) -> None:
        """Spoil the next answers to a method."""
        self.method, self.spoil, self.left = method, spoil, answers

    def take(self, method: str) -> Spoil | None:
        """Return the fate of the answer to this request."""
        if method != self.method or not self.left:
            return None
        self.left -= 1
        return self.spoil


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Proxy

    def do_GET(self) -> None:
        """Any request."""
        self.close_connection = True
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        spoil = self.server.take(self.command)
        early = _instead(spoil)
        answer = early or self._ask(body)
        answer = _spoiled(answer, spoil) if spoil and not early else answer
        if spoil is not Spoil.SILENT:
            self._answer(answer)

    do_HEAD = do_PUT = do_DELETE = do_GET  # noqa: N815 (the names are http.server's)

    def _ask(self, body: bytes) -> Answer:
        """The store's own answer; the Host header goes along as it came, for it is signed."""
        behind = self.server.behind
        assert behind.hostname
        link = http.client.HTTPConnection(behind.hostname, behind.port, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP[:3]}
            link.request(self.command, self.path, body=body, headers=headers)
            said = link.getresponse()
            content = said.read()
            length = int(said.headers.get("Content-Length", len(content)))
            return Answer(status=said.status, headers=dict(said.headers), body=content, length=length)
        finally:
            link.close()

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def _instead(spoil: Spoil | None) -> Answer | None:
    """An answer for which the store is not even asked."""
    if spoil in (Spoil.ERROR_500, Spoil.ERROR_503):
        return _error(int(spoil.value))
    return _error(200) if spoil in (Spoil.ERROR_IN_200, Spoil.SILENT) else None


def _error(status: int) -> Answer:
    return Answer(status=status, headers={"Content-Type": "application/xml"}, body=ERROR, length=len(ERROR))


def _spoiled(answer: Answer, spoil: Spoil) -> Answer:
    middle = len(answer.body) // 2
    if spoil is Spoil.LATE_500:
        return _error(500)
    if spoil is Spoil.FLIPPED:
        body = answer.body[:middle] + bytes([answer.body[middle] ^ 1]) + answer.body[middle + 1 :]
        return Answer(status=answer.status, headers=answer.headers, body=body, length=answer.length)
    length = middle if spoil is Spoil.SHORT else answer.length
    return Answer(status=answer.status, headers=answer.headers, body=answer.body[:middle], length=length)


@contextmanager
def between(endpoint: str) -> Iterator[Proxy]:
    """A proxy before a store, while the block runs."""
    with Proxy(endpoint) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
