"""pgbouncer before a PostgreSQL server, while a test runs; Debian has it, PyPI does not."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.model import Database, Pooler
from rehearsal.ports import LOOPBACK, free_ports
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from tests.conftest import PASSWORD, ROLE
from tests.worlds import World

PROGRAM = shutil.which("pgbouncer") or "/usr/sbin/pgbouncer"
NOBODY = "nobody"  # pgbouncer does not run as root
CONFIGURATION = """
[databases]
* = host={host} port={server} user={role} password='{password}'
[pgbouncer]
listen_addr = {host}
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = 60
{rest}
"""


@contextmanager
def running(cluster: Cluster, folder: Path, mode: str, rest: str = "") -> Iterator[int]:
    """Run pgbouncer in this mode before a server; yield its port."""
    if not Path(PROGRAM).exists():
        pytest.fail("There is no pgbouncer: apt-get install pgbouncer.")
    [port] = free_ports(1)
    words = {"host": LOOPBACK, "server": cluster.port, "role": ROLE, "password": PASSWORD, "port": port}
    folder.mkdir(mode=0o755, exist_ok=True)
    configuration = folder / f"{mode}-{port}.ini"
    configuration.write_text(CONFIGURATION.format(**words, mode=mode, rest=rest))
    with (folder / f"{mode}-{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, "-q", configuration], stdout=log, stderr=log, user=NOBODY if os.getuid() == 0 else None
        )
        try:
            await_condition(lambda: answers(port), doing="Starting pgbouncer", seconds=20)
            yield port
        finally:
            process.terminate()
            process.wait()


def answers(port: int) -> bool:
    """True if something listens there."""
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


def through(world: World, port: int, pooler: Pooler | None) -> World:
    """Return the same world, its databases reached through that port; psql and the oracle go to the server."""
    environment = world.environment
    databases: Mapping[str, Database] = {
        name: replace(database, connection={**database.connection, "port": str(port)}, pooler=pooler)
        for name, database in environment.databases.items()
    }
    scratch = replace(
        environment.scratch, connection={**environment.scratch.connection, "port": str(port)}, pooler=pooler
    )
    return replace(world, environment=replace(environment, databases=databases, scratch=scratch))
