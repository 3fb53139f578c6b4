"""The PostgreSQL servers of a run: created, filled once per scale, copied, started warm or cold."""

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
EMPTY = ("shard_3", "shard_4")  # in the rehearsal's inventory: they exist, are queried by the product, and are empty
# As on a production server, except for autovacuum, which would make figures random.
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
    """Return a cluster that does not exist yet, in a folder of the bench; its port is chosen when it starts."""
    return Cluster(programs=programs, name="bench", folder=folder, port=0, passfile=folder.parent / "passfile")


def create(cluster: Cluster) -> None:
    """Create an empty cluster with PostgreSQL's default size of WAL files."""
    postgres_server.write_passfile(cluster.passfile, "*", PASSWORD)
    postgres_server.create(cluster, password=PASSWORD, settings=SETTINGS, segment_megabytes=16)


@contextmanager
def running(cluster: Cluster, settings: Mapping[str, str] | None = None) -> Iterator[Cluster]:
    """Run the cluster on a free port during the block."""
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
    """Run a copy of a stopped cluster during the block, then remove it."""
    copy = replace(template, folder=folder)
    copy.programs.make_folder(folder)
    copy.programs.serve("cp", "--archive", "--reflink=auto", str(template.data), str(copy.data))
    try:
        with running(copy) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder)


def restart_cold(cluster: Cluster) -> None:
    """Restart the server with none of its files in memory: neither in its buffers nor in the system's cache."""
    postgres_server.stop(cluster)
    forget(cluster.data)
    postgres_server.start(cluster)


def forget(folder: Path) -> None:
    """Drop a folder's files from the system's cache; other files stay, and no root is needed."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def wal_position(cluster: Cluster) -> int:
    """Return the total bytes of WAL that the server has written."""
    return int(cluster.sql("SELECT pg_current_wal_insert_lsn() - '0/0'"))


def dsn(cluster: Cluster, database: str) -> str:
    """Return the connection string of a database for the product's role."""
    return cluster.dsn(dbname=database, user=ROLE)
