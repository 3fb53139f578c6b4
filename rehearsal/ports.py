"""Free ports on loopback, held until their server has started."""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from errors import CutoverError

LOOPBACK = "127.0.0.1"
LOWEST = 15_000
EPHEMERAL = Path("/proc/sys/net/ipv4/ip_local_port_range")


@dataclass(frozen=True)
class Reservation:
    """Sockets that hold ports: a server that sets SO_REUSEADDR, as they all do, can listen there; nobody else can."""

    sockets: tuple[socket.socket, ...]

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports held, in a fixed order."""
        return tuple(held.getsockname()[1] for held in self.sockets)


@contextmanager
def reserved(count: int) -> Iterator[Reservation]:
    """Holds that many free ports while the block runs.

    They lie below the ephemeral range: an outgoing connection never takes one while its server is stopped.
    """
    with ExitStack() as stack:
        sockets: list[socket.socket] = []
        for port in _candidates():
            if len(sockets) == count:
                break
            if (held := _held(port)) is not None:
                sockets.append(stack.enter_context(held))
        if len(sockets) < count:
            raise CutoverError(f"Reserving {count} free ports on {LOOPBACK} failed: only {len(sockets)} are free.")
        yield Reservation(tuple(sockets))


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that are free now; where it matters that they stay free, use `reserved`."""
    with reserved(count) as reservation:
        return reservation.ports


def _candidates() -> list[int]:
    """Every port that may be taken, shuffled, so that two labs hardly try the same ones."""
    ports = list(range(LOWEST, _first_ephemeral()))
    random.shuffle(ports)
    return ports


def _first_ephemeral() -> int:
    try:
        first = int(EPHEMERAL.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768
    return first if first > LOWEST + 1_000 else 65_536


def _held(port: int) -> socket.socket | None:
    held = socket.socket()
    try:
        held.bind((LOOPBACK, port))
    except OSError:
        held.close()
        return None
    # Set after the bind: the bind must fail where another lab holds the port, the server's must not.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return held
