"""States that one day's code left behind, as tests/fixtures/make_left_behind.py stored them, loaded on real servers."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

from inventory.model import Fence, Store
from rehearsal.postgres_server import Cluster
from runbooks.engine.model.actions import DetachedJob, ProbeOutput
from runbooks.engine.model.ports import OnLine
from tests.fakes import FakeJobs, FakeNight, Killed
from tests.oracle import Snapshot
from tests.torture import judge
from tests.worlds import NewWorld, World

HOME = Path(__file__).parent / "fixtures/left_behind"
DUMPS = HOME / "databases.tar.xz"
DATABASES = ("master", "shard_1", "shard_2")
PREFIX = "left_behind"  # in the store: the records name it
IDENTITY = HOME / "identity"  # opens the archive that is encrypted; a key of the tests
MONTHS_DAY, MONTH = date(2013, 12, 5), "2013-10"
TOGETHER = (17, 37, 41, 53)  # of both shards, in one run
STATES = ("whole", "finished", "merged", "cut_off", "month_out", "month_back", "switched", "loading")


def load(cluster: Cluster, role: str) -> None:
    """Make a template of each state's databases."""
    with tarfile.open(DUMPS) as tar:
        scripts = {entry.name: judge.content(tar, entry).decode() for entry in tar}
    # As `new_world` makes them up of a template's name.
    names = {script: f"left_{script.removesuffix('.sql').replace('/', '_')}" for script in scripts}
    cluster.sql("".join(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {role};\n" for name in names.values()))
    for script, name in names.items():
        words = ("-X", "-q", "-o", "/dev/null", "-v", "ON_ERROR_STOP=1", "-d", cluster.dsn(dbname=name, user=role))
        cluster.programs.run("psql", *words, text=scripts[script])


@contextmanager
def state_of(new_world: NewWorld, store: Store, state: str) -> Iterator[World]:
    """A copy of a state, beside the objects that its records name."""
    with new_world(DATABASES, template=f"left_{state}") as world:
        yield in_their_store(world, store)


def in_their_store(world: World, store: Store) -> World:
    """A world with that store, whose schools a fence can close."""
    fence = Fence(close="true {id}", open="true {id}")
    return replace(world, environment=replace(world.environment, store=store, fence=fence))


def digests(snapshot: Snapshot) -> Mapping[str, Mapping[str, str]]:
    """The SHA-256, shortened, of each table's rows, sorted, as COPY text; by database."""
    return {
        database: {table: hashlib.sha256(b"".join(lines)).hexdigest()[:16] for table, lines in sorted(tables.items())}
        for database, tables in snapshot.tables.items()
    }


def told() -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """The digests of that day, by state."""
    loaded: Mapping[str, Mapping[str, Mapping[str, str]]] = json.loads((HOME / "digests.json").read_text())
    return loaded


class DyingAtStep8(FakeJobs):
    """Jobs on a machine that dies once the archiving has begun at its host."""

    def run(self, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        """Run every other job."""
        if "archive.all" in job.command:
            self.at_work.add(job.host)
            raise Killed
        return super().run(job, name, on_line)


def killed_at_step_8(fake_night: FakeNight) -> FakeNight:
    """Return a night in memory whose conductor died at step 8; the job goes on."""
    fake_night.jobs = DyingAtStep8(fake_night.production)
    try:
        fake_night.run()
    except Killed:
        return fake_night
    raise AssertionError("the night went past step 8")
