"""Starts the SSH server; does not import its library, whose import takes a third of a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal import daemon
from rehearsal.daemon import Daemon

MODULE = "rehearsal.ssh_server"


@dataclass(frozen=True, kw_only=True)
class SshHost:
    """A host that the server simulates."""

    address: str  # on which it listens, at any free port
    home: str  # the HOME of its commands
    env: Mapping[str, str]  # the complete environment of its commands


def start(
    server: Daemon, hosts: Mapping[str, SshHost], *, user: str, secrets: Path, pass_fds: Sequence[int] = ()
) -> Mapping[str, int]:
    """Start the server and return each host's port. It writes `key` and `known_hosts` into the folder `secrets`."""
    config = {"user": user, "secrets": str(secrets), "hosts": {name: asdict(host) for name, host in hosts.items()}}
    return dict(daemon.start(server, config, pass_fds=pass_fds)["ports"])
