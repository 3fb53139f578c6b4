"""The testbed of a subject: a running copy of the year, a store, and the inventory of both."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import servers
from bench.servers import EMPTY, FILLED, ROLE, SCRATCH
from bench.year.size import Size, excluded
from rehearsal import s3_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.s3_server import S3Server

NIGHT = "2014-08-15"  # in the rehearsal's inventory
BUCKET = "apangea-archives"
OVERLAY = "endpoints.yaml"  # in the folder of REHEARSAL_HOME; overrides the rehearsal's inventory
COUNTER = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Testbed:
    """The resources of a subject."""

    cluster: Cluster  # running
    folder: Path  # for the subject's files; empty at the start
    size: Size

    @property
    def env(self) -> dict[str, str]:
        """The environment variables by which the product's processes find these databases."""
        return {
            **os.environ,
            "REHEARSAL_HOME": str(self.folder),
            "CUTOVER_ENV": "rehearsal",
            "TMPDIR": str(self.folder),
        }

    @property
    def libpq(self) -> dict[str, str]:
        """The environment variables by which libpq's programs connect to the server as the product's role."""
        words = self.cluster.connection(user=ROLE)
        named = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "passfile": "PGPASSFILE"}
        return {**os.environ, **{variable: words[word] for word, variable in named.items()}}

    def program(self, name: str) -> Path:
        """Return the path of one of PostgreSQL's programs."""
        return self.cluster.programs.bin / name


@contextmanager
def store(folder: Path) -> Iterator[Mapping[str, str]]:
    """Run an S3 server during the block; yield its entry for the inventory."""
    credentials = folder / "credentials"
    with reserved(s3_server.PORTS_NEEDED) as reservation:
        server = S3Server(folder=folder / "s3", home=folder, ports=reservation.ports)
        s3_server.start(server, access_key="key", secret=servers.PASSWORD, buckets=[BUCKET])
    s3_server.write_credentials(credentials, "key", servers.PASSWORD)
    try:
        yield {"endpoint": server.endpoint, "credentials": str(credentials), "bucket": BUCKET}
    finally:
        s3_server.stop(server)


@contextmanager
def open_testbed(template: Cluster, size: Size, stored: Mapping[str, str], folder: Path) -> Iterator[Testbed]:
    """Yield a copy of the year, warm and flushed to disk, with its own prefix in the store."""
    number = next(COUNTER)
    work = folder / f"work-{number}"
    work.mkdir()
    with servers.copied(template, folder / f"data-{number}") as cluster:
        overlay = _overlay(cluster, size, {**stored, "prefix": f"bench/{number}"}, work)
        (work / OVERLAY).write_text(json.dumps(overlay), encoding="utf-8")
        os.sync()  # otherwise the copy's pages would be written during the measurement
        yield Testbed(cluster=cluster, folder=work, size=size)


def _overlay(cluster: Cluster, size: Size, stored: Mapping[str, str], work: Path) -> dict[str, object]:
    connections = {name: cluster.connection(dbname=name, user=ROLE) for name in (*FILLED, *EMPTY)}
    return {
        "databases": {name: {"connection": connection} for name, connection in connections.items()},
        "scratch": {"connection": cluster.connection(dbname=SCRATCH, user=ROLE)},
        "store": dict(stored),
        "nights": {NIGHT: {"exclude": {"schools": excluded(size)}}},
        "state": str(work / "state"),
    }
