"""The parts of a lab: hosts, databases, ports; decided before anything starts, and read by the host commands."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from errors import CutoverError
from rehearsal.daemon import Daemon
from rehearsal.files import write_json
from rehearsal.layout import MARK, Layout
from rehearsal.postgres_programs import Programs
from rehearsal.postgres_server import Cluster
from rehearsal.s3_server import S3Server

PRODUCT, ROLE = "apangea", "apangea"  # the product's database and its owner
SCRATCH = "scratch"  # its database, and its server
BACKUPS = "backups"  # the bucket of the database servers' backups


@dataclass(frozen=True, kw_only=True)
class LabHost:
    """A host that the SSH server simulates."""

    name: str
    address: str
    user: str
    roles: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class LabDatabase:
    """A database of the product, with its server and the server's standby."""

    name: str  # master, or a shard's
    host: str
    port: int
    standby_port: int


@dataclass(frozen=True, kw_only=True)
class Farms:
    """The two warehouses and the names around them."""

    old: str  # host
    new: str  # host
    name: str  # the name that moves
    targets: Mapping[str, str]  # host: the farm's own name


@dataclass(frozen=True, kw_only=True)
class Blueprint:
    """The plan of a lab: its hosts, databases, folders and ports."""

    home: str
    root: str  # the project's folder
    python: str
    postgres: str  # folder of PostgreSQL's files
    postgres_bin: str
    postgres_user: str | None
    hosts: tuple[LabHost, ...]
    databases: tuple[LabDatabase, ...]
    scratch_port: int
    farms: Farms
    watcher: str  # the host of System Watcher
    store_ports: tuple[int, ...]
    bucket: str
    region: str

    @property
    def layout(self) -> Layout:
        """The lab's paths."""
        return Layout(Path(self.home))

    @property
    def mark(self) -> dict[str, str]:
        """The environment variable that every process of the lab carries."""
        return {MARK: self.home}

    @cached_property
    def programs(self) -> Programs:
        """PostgreSQL's programs."""
        return Programs(bin=Path(self.postgres_bin), user=self.postgres_user, env=self.mark)

    @property
    def store(self) -> S3Server:
        """The S3 server."""
        return S3Server(folder=self.layout.servers / "store", home=Path(self.home), ports=self.store_ports)

    def daemon(self, name: str) -> Daemon:
        """Return one of our own servers: ssh, dns or app."""
        return Daemon(module=f"rehearsal.{name}_server", folder=self.layout.servers / name, home=Path(self.home))

    @property
    def admin_passfile(self) -> Path:
        """The superuser's password; it is stored with the servers, whose user needs it for standbys."""
        return Path(self.postgres) / "passfile"

    def host(self, name: str) -> LabHost:
        """Return the host of that name; CutoverError if there is none."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise CutoverError(f"No host {name!r} in the lab: it has {', '.join(host.name for host in self.hosts)}.")

    def database_on(self, host: str) -> LabDatabase:
        """Return the database of a database server."""
        for database in self.databases:
            if database.host == host:
                return database
        raise CutoverError(f"No database on {host}.")

    def primary(self, database: LabDatabase) -> Cluster:
        """Return the server of a database."""
        return self._cluster(database.host, database.port)

    def standby(self, database: LabDatabase) -> Cluster:
        """Return a database's standby, whether it exists now or not."""
        return self._cluster(f"{database.host}-standby", database.standby_port)

    @property
    def scratch(self) -> Cluster:
        """The small server on the debug host."""
        return self._cluster(SCRATCH, self.scratch_port)

    @property
    def servers(self) -> tuple[Cluster, ...]:
        """Every server except the standbys."""
        return (*map(self.primary, self.databases), self.scratch)

    def _cluster(self, name: str, port: int) -> Cluster:
        folder = Path(self.postgres) / name
        return Cluster(programs=self.programs, name=name, folder=folder, port=port, passfile=self.admin_passfile)


def save(blueprint: Blueprint) -> None:
    """Write the blueprint into the lab's home."""
    write_json(blueprint.layout.blueprint, asdict(blueprint))


def load(home: Path) -> Blueprint:
    """Return the blueprint of a lab; CutoverError if there is none."""
    path = Layout(home).blueprint
    try:
        return _parsed(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise CutoverError(f"There is no rehearsal in {home}.", hint="inv rehearsal.up") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "inv rehearsal.down, then inv rehearsal.up"
        raise CutoverError(f"Reading {path} failed: {type(error).__name__}.", hint=hint) from error


def _parsed(data: dict[str, Any]) -> Blueprint:
    hosts = tuple(LabHost(**{**host, "roles": tuple(host["roles"])}) for host in data["hosts"])
    databases = tuple(LabDatabase(**database) for database in data["databases"])
    parts = {"hosts": hosts, "databases": databases, "farms": Farms(**data["farms"])}
    return Blueprint(**{**data, **parts, "store_ports": tuple(data["store_ports"])})
