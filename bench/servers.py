"""The PostgreSQL server of a run: made, filled once a scale, copied for whatever changes it, started warm or cold."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from bench.year.size import SHARDS
from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_programs import Programs
from rehearsal.postgres_server import Cluster

ROLE = "apangea"  # owns the databases and is no superuser
PASSWORD = "a password of the bench"
MASTER, SCRATCH = "master", "scratch"
FILLED = (MASTER, *SHARDS)
EMPTY = ("shard_3", "shard_4")  # the rehearsal's inventory names them: there, asked by the product, and empty
# As on a server that somebody's data lie on, but for autovacuum: what it does is chance.
SETTINGS: Mapping[str, str] = {
    "fsync": "on",
    "io_method": "worker",
    "shared_buffers": "512MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "wal_keep_size": "0",
    "max_connections": "100",
    "autovacuum": "off",
}


def new_cluster(folder: Path, programs: Programs) -> Cluster:
    """A cluster to be, in a folder of the bench; its port is chosen when it starts."""
    return Cluster(programs=programs, name="bench", folder=folder, port=0, passfile=folder.parent / "passfile")


def create(cluster: Cluster) -> None:
    """Makes an empty cluster with PostgreSQL's own size of WAL files."""
    postgres_server.write_passfile(cluster.passfile, "*", PASSWORD)
    postgres_server.create(cluster, password=PASSWORD, settings=SETTINGS, segment_megabytes=16)


@contextmanager
def running(cluster: Cluster, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """The cluster started on a free port while the block runs."""
    with reserved(1) as reservation:
        cluster = replace(cluster, port=reservation.ports[0])
        postgres_server.configure(cluster, {**SETTINGS, **(settings or {})})
        postgres_server.start(cluster)
    try:
        yield cluster
    finally:
        postgres_server.stop(cluster)


@contextmanager
def copied(template: Cluster, folder: Path) -> Iterator[Cluster]:
    """A running copy of a stopped cluster; nothing of it stays."""
    copy = replace(template, folder=folder)
    copy.programs.make_folder(folder)
    copy.programs.serve("cp", "--archive", "--reflink=auto", str(template.data), str(copy.data))
    try:
        with running(copy) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder)


def restart_cold(cluster: Cluster) -> None:
    """Starts the server anew with none of its files in memory: neither in its buffers nor in the system's cache."""
    postgres_server.stop(cluster)
    forget(cluster.data)
    postgres_server.start(cluster)


def forget(folder: Path) -> None:
    """Has the system drop the files of a folder from its cache; only these, and without being root."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def wal_position(cluster: Cluster) -> int:
    """How many bytes of WAL the server has ever written."""
    return int(cluster.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def dsn(cluster: Cluster, database: str) -> str:
    """How the product's role reaches a database."""
    return cluster.dsn(dbname=database, user=ROLE)
