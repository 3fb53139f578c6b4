"""A stand-in for pgbouncer with pool_mode=transaction, as far as it matters: no pgbouncer is on PyPI.

A client talks to a server's connection that is not its own: between two of its transactions the product gets it, and at
last, when the client is gone, the product has it still. The process number that the client is told is the pooler's.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from rehearsal.ports import LOOPBACK

ENCRYPTION = (80877103, 80877104)  # asked for before anything else; a server without it says N
ASKS = (10, 11)  # kinds of authentication request that want an answer
PATIENCE = 10  # seconds for a client that says nothing and does not leave
SETTINGS = ("search_path", "row_security", "lock_timeout", "statement_timeout", "timezone", "bytea_output")
LOOK = "SELECT {}".format(", ".join(f"current_setting('{name}')" for name in SETTINGS))


@dataclass
class Pooler:
    """A pooler with one connection to the server for each client, and what the product found set on it."""

    port: int
    found: list[dict[str, str]] = field(default_factory=list)  # first what it was before the client's first word


@contextmanager
def before(port: int) -> Iterator[Pooler]:
    """A pooler before a server, while the block runs."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        pooler = Pooler(listener.getsockname()[1])

        def serve() -> None:
            with suppress(OSError):  # shut
                while True:
                    client, _ = listener.accept()
                    client.settimeout(PATIENCE)
                    with client, socket.create_connection((LOOPBACK, port)) as server, suppress(ConnectionError):
                        _log_in(client, server)
                        pooler.found.append(_look(server))
                        _pass_on(client, server, pooler)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield pooler
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _log_in(client: socket.socket, server: socket.socket) -> None:
    code = 0
    while not code or code in ENCRYPTION:
        head = _exactly(client, 8)
        size, code = struct.unpack("!ii", head)
        server.sendall(head + _exactly(client, size - 8))
        if code in ENCRYPTION:
            client.sendall(_exactly(server, 1))
    kind = b""
    while kind != b"Z":
        kind, body = _message(server)
        if kind == b"K":
            body = struct.pack("!i", -1752193988) + body[4:]
        client.sendall(_packed(kind, body))
        if kind == b"R" and struct.unpack("!i", body[:4])[0] in ASKS:
            server.sendall(_packed(*_message(client)))


def _pass_on(client: socket.socket, server: socket.socket, pooler: Pooler) -> None:
    """One question and its answer after the other; whenever no transaction is open, the product has its turn."""
    while (asked := _message(client))[0] != b"X":
        server.sendall(_packed(*asked))
        kind, body = b"", b""
        while kind != b"Z":
            kind, body = _message(server)
            client.sendall(_packed(kind, body))
        if body == b"I":
            pooler.found.append(_look(server))


def _look(server: socket.socket) -> dict[str, str]:
    """Return the settings that the product finds on its connection."""
    server.sendall(_packed(b"Q", f"{LOOK}\0".encode()))
    row, kind = b"", b""
    while kind != b"Z":
        kind, body = _message(server)
        row = body[2:] if kind == b"D" else row
    values = []
    while row:
        size = struct.unpack("!i", row[:4])[0]
        values.append(row[4 : 4 + size].decode())
        row = row[4 + size :]
    return dict(zip(SETTINGS, values, strict=True))


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    kind, size = struct.unpack("!ci", _exactly(source, 5))
    return kind, _exactly(source, size - 4)


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!i", len(body) + 4) + body


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise ConnectionError("the other end is gone")
        data += more
    return data
