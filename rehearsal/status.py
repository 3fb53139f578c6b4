"""The state of a lab's parts: pure data, from pid files and processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from errors import CutoverError
from rehearsal import blueprint
from rehearsal.blueprint import Blueprint
from rehearsal.hosts import watcher
from rehearsal.layout import Layout
from rehearsal.ports import LOOPBACK
from rehearsal.postgres_server import Cluster


@dataclass(frozen=True, kw_only=True)
class Part:
    """A server, a host or a process of the lab."""

    name: str
    address: str
    running: bool
    off: bool = False  # switched off by a host command: that is the lab's state, not its failure

    @property
    def word(self) -> str:
        """The state as a word: `running`, `switched off` or `down`."""
        return "running" if self.running else "switched off" if self.off else "down"


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of the whole lab."""

    home: str
    complete: bool  # it was once started to the end
    parts: tuple[Part, ...]

    @property
    def healthy(self) -> bool:
        """True if everything runs that should."""
        return self.complete and all(part.running or part.off for part in self.parts)

    @property
    def down(self) -> tuple[str, ...]:
        """The names of parts that should run and do not."""
        return tuple(part.name for part in self.parts if not (part.running or part.off))


def of(home: Path) -> Status:
    """Return the state of a home's lab, whether there is one or not."""
    try:
        parts = tuple(_parts(blueprint.load(home)))
    except CutoverError:
        parts = ()
    return Status(home=str(home), complete=bool(parts) and Layout(home).endpoints.exists(), parts=parts)


def _parts(lab: Blueprint) -> Iterator[Part]:
    for database in lab.databases:
        yield _server(lab.primary(database))
        standby = lab.standby(database)
        yield _server(standby, off=not standby.folder.exists())
    yield _server(lab.scratch)
    yield Part(name="store", address=lab.store.endpoint, running=lab.store.running)
    yield _daemon(lab, "dns")
    yield _daemon(lab, "app")
    yield Part(
        name="system-watcher",
        address=lab.watcher,
        running=watcher.running(lab),
        off=not lab.layout.watcher_pid.exists(),
    )
    yield from _hosts(lab)


def _server(cluster: Cluster, *, off: bool = False) -> Part:
    return Part(name=cluster.name, address=f"{LOOPBACK}:{cluster.port}", running=cluster.running, off=off)


def _daemon(lab: Blueprint, name: str) -> Part:
    server = lab.daemon(name)
    return Part(name=name, address=f"{LOOPBACK}:{server.said().get('port', '?')}", running=server.running)


def _hosts(lab: Blueprint) -> Iterator[Part]:
    server = lab.daemon("ssh")
    ports, running = server.said().get("ports", {}), server.running
    for host in lab.hosts:
        yield Part(name=f"ssh {host.name}", address=f"{host.address}:{ports.get(host.name, '?')}", running=running)
