"""Free ports on loopback, reserved until their server has started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from errors import CutoverError

if TYPE_CHECKING:
    import socket

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class Reservation:
    """Sockets that reserve ports: a server that sets SO_REUSEADDR, as ours do, can listen there; no other can."""

    sockets: tuple[socket.socket, ...]

    @property
    def ports(self) -> tuple[int, ...]:
        """The reserved ports, in a fixed order."""
        return tuple(bound.getsockname()[1] for bound in self.sockets)


@contextmanager
def reserved(count: int) -> Iterator[Reservation]:
    """Reserve that many free ports while the block runs.

    They are below the ephemeral range: no outgoing connection takes one while its server is stopped.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        for port in _candidates():
            if len(sockets) == count:
                break
            if (bound := _bound(port)) is not None:
                sockets.append(stack.enter_context(bound))
        if len(sockets) < count:
            raise CutoverError(f"Reserving {count} free ports on {LOOPBACK} failed: only {len(sockets)} are free.")
        yield Reservation(tuple(sockets))


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports that are free now; if they must stay free, use `reserved`."""
    with reserved(count) as reservation:
        return reservation.ports


def _candidates() -> list[int]:
    """Return every port that may be used, shuffled, so that two labs rarely try the same ones."""
    import random  # not at the top: a command of a host, which starts often, needs it rarely

    ports = list(range(LOWEST, _first_ephemeral()))
    random.shuffle(ports)
    return ports


def _first_ephemeral() -> int:
    try:
        first = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768
    return first if first > LOWEST + 1_000 else 65_536


def _bound(port: int) -> socket.socket | None:
    import socket  # as above

    bound = socket.socket()
    try:
        bound.bind((LOOPBACK, port))
    except OSError:
        bound.close()
        return None
    # Set after the bind: ours must fail if another lab has the port, the server's must not.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return bound
