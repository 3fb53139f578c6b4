"""A PostgreSQL server on loopback: created, started, stopped, cloned; used by tests as well as by the lab."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from errors import CutoverError
from rehearsal.files import tail, write_secret
from rehearsal.ports import LOOPBACK
from rehearsal.postgres_programs import Programs

ADMIN = "postgres"  # the superuser's role
START_SECONDS = 60

# Small and quick. A crash of the machine may lose data (fsync), a crash of the server may not.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # no path below any home is sure to be short enough for a socket
    "fsync": "off",
    "shared_buffers": "32MB",
    "min_wal_size": "32MB",
    "max_wal_size": "512MB",
    "wal_level": "replica",
    "max_wal_senders": "10",
    "wal_keep_size": "64MB",
    "hot_standby": "on",
}
SETTINGS_SINCE: Mapping[int, Mapping[str, str]] = {18: {"io_method": "sync"}}  # otherwise three workers per server


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A server's folder (`data` and `log` in it), port and name; `passfile` holds the superuser's password."""

    programs: Programs
    name: str
    folder: Path
    port: int
    passfile: Path

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "log"

    @property
    def exists(self) -> bool:
        """True if it has data, running or not."""
        return (self.data / "PG_VERSION").exists()

    @property
    def running(self) -> bool:
        """True if its server is alive."""
        from rehearsal import processes  # not at the top: a command of a host, which starts often, needs it rarely

        return processes.serves(self.data)

    def dsn(self, *, dbname: str = "postgres", user: str = ADMIN, passfile: Path | None = None) -> str:
        """Return a database's connection string for libpq, without a password."""
        words = self.connection(dbname=dbname, user=user, passfile=passfile)
        return " ".join(f"{key}={_quoted(value)}" for key, value in words.items())

    def connection(
        self, *, dbname: str = "postgres", user: str = ADMIN, passfile: Path | None = None
    ) -> dict[str, str]:
        """Return the same as libpq keywords."""
        address = {"host": LOOPBACK, "port": str(self.port), "dbname": dbname, "user": user}
        return {**address, "passfile": str(passfile or self.passfile)}

    def sql(self, script: str, *, dbname: str = "postgres") -> str:
        """Run SQL as the superuser, through stdin so that no password shows; return the rows, unaligned."""
        words = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(dbname=dbname))
        return self.programs.run("psql", *words, text=script).strip()


def write_passfile(path: Path, role: str, password: str, *, owner: int | None = None) -> None:
    """Write a libpq passfile for a role, for every port and database."""
    write_secret(path, f"{LOOPBACK}:*:*:{role}:{password}\n", owner=owner)


def create(
    cluster: Cluster, *, password: str, settings: Mapping[str, str] | None = None, segment_megabytes: int = 4
) -> None:
    """Create a cluster, with an identity of its own and WAL files of that size; only passwords open it."""
    programs = cluster.programs
    programs.make_folder(cluster.folder)
    secret = cluster.folder / "password"
    write_secret(secret, password, owner=programs.owner)
    how = (f"--username={ADMIN}", f"--pwfile={secret}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
    programs.serve("initdb", f"--pgdata={cluster.data}", *how, f"--wal-segsize={segment_megabytes}", "--no-sync")
    secret.unlink()
    configure(cluster, settings)


def configure(cluster: Cluster, settings: Mapping[str, str] | None = None) -> None:
    """Add the settings of a cluster to its file; the last setting there wins."""
    version = cluster.programs.version
    since = {key: value for first, more in SETTINGS_SINCE.items() if version >= first for key, value in more.items()}
    own = {**SETTINGS, **since, "port": str(cluster.port), "cluster_name": cluster.name, **(settings or {})}
    with (cluster.data / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.writelines(f"{key} = '{value}'\n" for key, value in own.items())


def start(cluster: Cluster) -> None:
    """Start the server and wait until it accepts connections; CutoverError if it does not."""
    words = ("start", "--wait", f"--timeout={START_SECONDS}", f"--log={cluster.log}", "--silent")
    try:
        cluster.programs.serve("pg_ctl", f"--pgdata={cluster.data}", *words)
    except CutoverError as error:
        raise CutoverError(f"Starting {cluster.name} failed: {tail(cluster.log)}.", hint=str(error)) from error


def stop(cluster: Cluster, mode: str = "fast") -> None:
    """Stop the server if it is running; `immediate` is quick, and leaves recovery to the next start."""
    if cluster.running:
        cluster.programs.serve("pg_ctl", f"--pgdata={cluster.data}", "stop", "--wait", f"--mode={mode}", "--silent")


def remove(cluster: Cluster) -> None:
    """Stop the server and remove all its files; harmless if there is none."""
    stop(cluster, "immediate")
    shutil.rmtree(cluster.folder, ignore_errors=True)


def base_backup(primary: Cluster, target: Path, *words: str) -> None:
    """Take a base backup of a running server, as the calling user."""
    primary.programs.run("pg_basebackup", *_backup_words(primary, target), *words)


def clone(primary: Cluster, standby: Cluster) -> None:
    """Create a streaming standby of a running server and start it."""
    standby.programs.make_folder(standby.folder)
    primary.programs.serve("pg_basebackup", *_backup_words(primary, standby.data), "--write-recovery-conf")
    configure(standby)
    start(standby)


def _backup_words(primary: Cluster, target: Path) -> tuple[str, ...]:
    return (f"--dbname={primary.dsn()}", f"--pgdata={target}", "--checkpoint=fast", "--no-sync")


def _quoted(value: str) -> str:
    """Return a value quoted for libpq's connection strings."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'" if escaped != value or not value or " " in value else value
