"""Starting the SSH server, described without its library, whose import takes a third of a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rehearsal import daemon
from rehearsal.daemon import Daemon

MODULE = "rehearsal.ssh_server"


@dataclass(frozen=True, kw_only=True)
class SshHost:
    """A host that the server plays."""

    address: str  # on which it listens; the port is chosen free
    home: str  # its HOME
    env: Mapping[str, str]  # everything its commands get


def start(
    server: Daemon, hosts: Mapping[str, SshHost], *, user: str, secrets: Path, pass_fds: Sequence[int] = ()
) -> Mapping[str, int]:
    """Starts the server; the port of each host. `key` and `known_hosts` are then in the folder `secrets`."""
    config = {"user": user, "secrets": str(secrets), "hosts": {name: asdict(host) for name, host in hosts.items()}}
    return dict(daemon.start(server, config, pass_fds=pass_fds)["ports"])
