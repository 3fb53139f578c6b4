"""Between the archiver and PostgreSQL: passes the protocol on, counts statements, and cuts the link at a chosen one."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BufferedReader

from rehearsal.ports import LOOPBACK

ENCRYPTION = (80877103, 80877104)  # SSLRequest, GSSENCRequest: declined here
QUERY, READY = b"Q", b"Z"
ASKING_FOR_MORE = (b"G", b"H", READY)  # the server has done what it can: COPY begins, or the statement has ended


@dataclass
class Wire:
    """The links of one run, all of which pass through here."""

    behind: tuple[str, int]
    cut_at: int | None = None  # the moment: before a statement reaches the server, or after, its answer lost
    passed: list[str] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, cut_at: int | None) -> None:
        """Count from here on."""
        self.cut_at, self.passed = cut_at, []

    def passes(self, statement: str) -> tuple[bool, bool]:
        """Count a statement; return whether to cut before it, and after it."""
        with self._lock:
            number = len(self.passed)
            self.passed += [f"before {statement}", f"after {statement}"]
        return self.cut_at == number, self.cut_at == number + 1

    def serve(self, listener: socket.socket) -> None:
        """Take in links until the listener is closed."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=_Link(self, client).run, daemon=True).start()


class _Link:
    """One client's connection."""

    def __init__(self, wire: Wire, client: socket.socket) -> None:
        self._wire, self._client = wire, client
        self._server = socket.create_connection(wire.behind)
        for end in (client, self._server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small messages wait for each other
        self._last = threading.Event()  # the next answer's end is the link's end

    def run(self) -> None:
        """Pass on what the client says."""
        answers = threading.Thread(target=self._answers, daemon=True)
        with suppress(OSError, EOFError), self._client.makefile("rb") as said:
            self._greet(said)
            answers.start()
            while not self._cut(kind := _exactly(said, 1), body := _body(said)):
                self._server.sendall(kind + body)
        if answers.ident and self._last.is_set():
            answers.join()
        self._close()

    def _greet(self, said: BufferedReader) -> None:
        """The messages before the first statement; encryption is declined."""
        while struct.unpack("!I", (start := _body(said))[4:8])[0] in ENCRYPTION:
            self._client.sendall(b"N")
        self._server.sendall(start)

    def _cut(self, kind: bytes, body: bytes) -> bool:
        """True if the link ends at this message; a statement with a lost answer still arrives."""
        if kind != QUERY:
            return False
        before, after = self._wire.passes(_head(body))
        if after:
            self._last.set()
            self._server.sendall(kind + body)
        return before or after

    def _answers(self) -> None:
        """Pass on what the server says, but for the last answer."""
        with suppress(OSError, EOFError), self._server.makefile("rb") as said:
            while True:
                kind, body = _exactly(said, 1), _body(said)
                if not self._last.is_set():
                    self._client.sendall(kind + body)
                elif kind in ASKING_FOR_MORE:
                    break
        self._close()

    def _close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def _body(said: BufferedReader) -> bytes:
    """A message's length and content."""
    length = _exactly(said, 4)
    return length + _exactly(said, struct.unpack("!I", length)[0] - 4)


def _exactly(said: BufferedReader, size: int) -> bytes:
    data = said.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _head(body: bytes) -> str:
    return " ".join(body[4:100].rstrip(b"\0").decode(errors="replace").split()[:3])


@contextmanager
def between(connection: Mapping[str, str]) -> Iterator[tuple[Wire, dict[str, str]]]:
    """A wire before a server, and the keywords that lead to it, while the block runs."""
    wire = Wire((connection["host"], int(connection["port"])))
    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=wire.serve, args=(listener,))
        thread.start()
        try:
            yield wire, {"host": LOOPBACK, "port": str(listener.getsockname()[1])}
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
