"""Between the tool and a host's SSH server: passes bytes on, and can be stopped, started again, or fall silent.

What is connected can be frozen, too, while others are let through.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from rehearsal.ports import LOOPBACK

CHUNK = 64 * 1024


class Relay:
    """A port of its own, behind which a host's SSH server seems to be."""

    def __init__(self, port: int) -> None:
        self._behind = (LOOPBACK, port)
        self._ends: set[socket.socket] = set()
        self._frozen: set[socket.socket] = set()
        self._silent = False
        self._listener = socket.create_server((LOOPBACK, 0))
        self.port: int = self._listener.getsockname()[1]
        self._accept()

    def stop(self) -> None:
        """Refuse connections and cut those there are, as a stopped server does."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for end in (self._listener, *self._ends):
            _close(end)
        self._ends.clear()

    def start(self, *, silent: bool = False) -> None:
        """Listen again on the same port; a silent server takes connections and never answers."""
        self.stop()
        self._silent = silent
        self._listener = socket.create_server((LOOPBACK, self.port))
        self._accept()

    def freeze(self) -> None:
        """Keep the connections there are, and pass nothing on any more: the other end hangs, or is long gone."""
        self._frozen |= self._ends

    def _accept(self) -> None:
        threading.Thread(target=self._serve, args=(self._listener,), daemon=True).start()

    def _serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # stopped
            while True:
                client, _ = listener.accept()
                self._ends.add(client)
                if not self._silent:
                    self._join(client)

    def _join(self, client: socket.socket) -> None:
        server = socket.create_connection(self._behind)
        self._ends.add(server)
        for source, sink in ((client, server), (server, client)):
            source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                if source not in self._frozen:
                    sink.sendall(data)
        for end in (source, sink):
            _close(end)


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()


@contextmanager
def before(port: int) -> Iterator[Relay]:
    """A relay before a server, while the block runs."""
    relay = Relay(port)
    try:
        yield relay
    finally:
        relay.stop()
