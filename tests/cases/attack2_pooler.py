"""A pooler in transaction mode before PostgreSQL: between two transactions a client has no server of its own.

pgbouncer has no package of Python's; this does what it does with `pool_mode = transaction`, which is all that matters
here: a session of a client is none of the server's. Each client brings a server along, and the last that was given
back is lent first, so clients that take turns share one.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from io import BufferedReader

from rehearsal.ports import LOOPBACK
from tests.worlds import World

ENCRYPTION = (80877103, 80877104)  # SSLRequest, GSSENCRequest: declined here
QUERY, TERMINATE, READY, COPY_IN, IDLE = b"Q", b"X", b"Z", b"G", b"I"
COPY_ENDS = (b"c", b"f")  # CopyDone, CopyFail


class Link:
    """One end of a connection, message by message."""

    def __init__(self, end: socket.socket) -> None:
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # or small messages wait for each other
        self.end = end
        self.said: BufferedReader = end.makefile("rb")

    def message(self, kind_size: int = 1) -> tuple[bytes, bytes]:
        """Its kind and its body, with the length before it; the first message has no kind. EOFError at the end."""
        head = self.said.read(kind_size + 4)
        if len(head) < kind_size + 4:
            raise EOFError
        return head[:kind_size], head[kind_size:] + self.said.read(struct.unpack("!I", head[kind_size:])[0] - 4)

    def close(self) -> None:
        """End it, also for a thread that is reading it."""
        with suppress(OSError):
            self.end.shutdown(socket.SHUT_RDWR)
        self.said.close()
        self.end.close()


@dataclass
class Pooler:
    """Its clients, and the servers that none of them has just now, by database."""

    behind: tuple[str, int]
    _idle: dict[bytes, list[Link]] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)
    _all: list[Link] = field(default_factory=list)

    def serve(self, listener: socket.socket) -> None:
        """Take in clients until the listener is closed."""
        with suppress(OSError):
            while True:
                client = Link(listener.accept()[0])
                self._all.append(client)
                threading.Thread(target=self._run, args=(client,), daemon=True).start()

    def close(self) -> None:
        """End every connection."""
        for link in self._all:
            link.close()

    def _run(self, client: Link) -> None:
        with suppress(OSError, EOFError, ValueError):  # a reader that was closed is a ValueError
            database = self._greet(client)
            while (said := client.message())[0] != TERMINATE:
                server = self._lend(database)
                while (ready := self._answer(client, server, said))[1][4:] != IDLE:
                    client.end.sendall(b"".join(ready))
                    said = client.message()
                self._give_back(database, server)  # before its client hears of it: whoever comes next finds it
                client.end.sendall(b"".join(ready))

    def _greet(self, client: Link) -> bytes:
        """Let a server ask for the password, and put it into the pool; return the database, as the client called it."""
        while struct.unpack("!I", (start := client.message(0)[1])[4:8])[0] in ENCRYPTION:
            client.end.sendall(b"N")
        server = Link(socket.create_connection(self.behind))
        self._all.append(server)
        server.end.sendall(start)
        while (said := server.message())[0] != READY:
            client.end.sendall(b"".join(said))
            if said[0] == b"R" and struct.unpack("!I", said[1][4:8])[0] in (10, 11):  # SASL waits for an answer
                server.end.sendall(b"".join(client.message()))
        words = start[8:].split(b"\0")
        database = words[words.index(b"database") + 1]
        self._give_back(database, server)
        client.end.sendall(b"".join(said))
        return database

    def _answer(self, client: Link, server: Link, said: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """Pass a statement on, and what the server says to it but for the last: whether a transaction is open now."""
        server.end.sendall(b"".join(said))
        while (answer := server.message())[0] != READY:
            client.end.sendall(b"".join(answer))
            while answer[0] == COPY_IN:
                said = client.message()
                server.end.sendall(b"".join(said))
                if said[0] in COPY_ENDS:
                    break
        return answer

    def _lend(self, database: bytes) -> Link:
        with self._guard:
            return self._idle[database].pop()

    def _give_back(self, database: bytes, server: Link) -> None:
        with self._guard:
            self._idle.setdefault(database, []).append(server)


@contextmanager
def pooled(world: World) -> Iterator[World]:
    """The same world, reached through a pooler while the block runs."""
    databases = world.environment.databases
    [port] = {int(each.connection["port"]) for each in databases.values()}
    pooler = Pooler((LOOPBACK, port))
    with socket.create_server((LOOPBACK, 0)) as listener:
        thread = threading.Thread(target=pooler.serve, args=(listener,))
        thread.start()
        here = str(listener.getsockname()[1])
        through = {
            name: replace(each, connection={**each.connection, "port": here}) for name, each in databases.items()
        }
        try:
            yield replace(world, environment=replace(world.environment, databases=through))
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            pooler.close()
