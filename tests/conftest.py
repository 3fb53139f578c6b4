"""Real servers for the tests, started once a worker; one template of five databases, copied per test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from archiver.store.bucket import Bucket
from inventory.model import Store
from rehearsal import postgres_programs, postgres_server, processes, s3_server, seed_world
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.s3_server import S3Server
from rehearsal.seed import seed
from tests import memory
from tests.worlds import DATABASES, SHARDS, NewWorld, World, environment

ROLE = "apangea"  # owns the databases and is no superuser
PASSWORD = "a password of the tests"
BUCKET = "archives"
# No test kills this server, and what autovacuum does is chance.
SETTINGS = {"max_connections": "200", "fsync": "off", "autovacuum": "off"}
# Servers since version 16 may hash a password once and not 4096 times, which every connection would do again.
FEW_ROUNDS = "SELECT set_config(name, '1', false) FROM pg_settings WHERE name = 'scram_iterations'"
COUNTER = itertools.count(1)


def pytest_configure() -> None:
    """Put temporary folders into memory, unless TMPDIR says where they shall be."""
    if "TMPDIR" not in os.environ and (folder := memory.roomy_folder()):
        os.environ["TMPDIR"] = tempfile.tempdir = str(folder)


# Each has a lab of its own, or hundreds of nights or archives. They come first: the worker that gets one of them last
# is still at work when the other has nothing left to do.
LONGEST = (
    "tests/long/test_night.py",
    "tests/long/test_products.py",
    "tests/long/test_round_trip.py",
    "tests/long/test_rehearsal_hosts.py",
    "tests/integration/test_rehearsal.py",
    "tests/long/test_night_2013.py",
    "tests/acceptance/test_archiver.py",
    "tests/cases/test_runbook_hosts_gone.py",
    "tests/unit/test_runner.py",
    "tests/integration/test_adversity_on_a_way.py",
    "tests/integration/test_way_back.py",
    "tests/integration/test_drift.py",
    "tests/integration/test_account_paths.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the others keep their order."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.nodeid.partition("::")[0], len(LONGEST)))


Counted = Callable[[str, int], None]  # tells how often something was tried, for the end of the run


@pytest.fixture
def counted(record_property: Callable[[str, object], None]) -> Counted:
    """Return a function that counts tries; their sum is printed below the run's last lines."""
    return record_property


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what was counted."""
    totals: Counter[str] = Counter()
    for report in terminalreporter.getreports("passed"):
        totals.update(dict(report.user_properties))
    for what, count in totals.items():
        terminalreporter.write_line(f"{count:>6} {what}, all well")


@pytest.fixture(scope="session")
def servers_home() -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach, also where root runs the tests."""
    home = postgres_programs.other_place()
    home.mkdir(mode=postgres_programs.OPEN_FOLDER)
    yield home
    processes.stop_all(home, home)
    shutil.rmtree(home)


@pytest.fixture(scope="session")
def cluster(servers_home: Path) -> Cluster:
    """A PostgreSQL server with the seeded template databases."""
    with reserved(1) as reservation:
        cluster = Cluster(
            programs=postgres_programs.find(servers_home, {}),
            name="tests",
            folder=servers_home / "postgres",
            port=reservation.ports[0],
            passfile=servers_home / "passfile",
        )
        postgres_server.write_passfile(cluster.passfile, "*", PASSWORD)
        postgres_server.create(cluster, password=PASSWORD, settings=SETTINGS)
        postgres_server.start(cluster)
    cluster.sql(f"{FEW_ROUNDS}; CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    _seed(cluster, "template")
    return cluster


@pytest.fixture(scope="session")
def alike(cluster: Cluster) -> str:
    """A template of fewer schools in which every shard numbers from 1: what new_world takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seed_world, "SHARD_IDS", 0)
        _seed(cluster, "alike", schools=16)
    return "alike"


def _seed(cluster: Cluster, template: str, *, schools: int = 36) -> None:
    """Make the databases of a template, and fill them."""
    for name in DATABASES:
        cluster.sql(f"CREATE DATABASE {template}_{name} OWNER {ROLE}")
    dsns = {name: cluster.dsn(dbname=f"{template}_{name}", user=ROLE) for name in DATABASES}
    seed(dsns["master"], {name: dsns[name] for name in SHARDS}, schools=schools)


@pytest.fixture(scope="session")
def store_server(servers_home: Path) -> Iterator[Store]:
    """An S3 server with an empty bucket."""
    with reserved(s3_server.PORTS_NEEDED) as reservation:
        server = S3Server(folder=servers_home / "s3", home=servers_home, ports=reservation.ports)
        s3_server.start(server, access_key="key", secret="a secret of the tests", buckets=[BUCKET])
    credentials = servers_home / "credentials"
    s3_server.write_credentials(credentials, "key", "a secret of the tests")
    store = Store(bucket=BUCKET, prefix="tests", endpoint=server.endpoint, credentials=str(credentials))
    Bucket(store).prove_conditional()
    yield store
    s3_server.stop(server)


@pytest.fixture
def psql(cluster: Cluster) -> Path:
    """The program psql."""
    return cluster.programs.bin / "psql"


@pytest.fixture
def empty(cluster: Cluster) -> Iterator[str]:
    """The DSN of an empty database."""
    yield from _database(cluster, f"empty_{next(COUNTER)}", "template1")


@pytest.fixture(scope="session")
def new_world(cluster: Cluster, store_server: Store) -> NewWorld:
    """Make copies of seeded databases, each set with its own prefix; all share one scratch database: nothing stays."""
    cluster.sql(_create("worlds_scratch", "template0"))
    scratch = cluster.connection(dbname="worlds_scratch", user=ROLE)

    @contextmanager
    def make(databases: Sequence[str] = DATABASES, *, template: str = "template") -> Iterator[World]:
        number = next(COUNTER)
        names = {name: f"w{number}_{name}" for name in databases}
        cluster.sql("".join(_create(names[name], f"{template}_{name}") for name in names))
        connections = {name: cluster.connection(dbname=names[name], user=ROLE) for name in names}
        store = Store(**{**vars(store_server), "prefix": f"tests/{number}"})
        yield World(
            environment=environment(connections, scratch, store),
            dsns={name: cluster.dsn(dbname=names[name], user=ROLE) for name in databases},
            tried=store_server.endpoint,
        )
        cluster.sql("".join(f"DROP DATABASE {name} WITH (FORCE);\n" for name in names.values()))

    return make


@pytest.fixture
def scratch(cluster: Cluster) -> Iterator[str]:
    """The DSN of one more, in which archives are proved."""
    yield from _database(cluster, f"scratch_{next(COUNTER)}", "template0")


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    """A copy of all the seeded databases."""
    with new_world() as world:
        yield world


def _database(cluster: Cluster, name: str, template: str) -> Iterator[str]:
    cluster.sql(_create(name, template))
    yield cluster.dsn(dbname=name, user=ROLE)
    cluster.sql(f"DROP DATABASE {name} WITH (FORCE)")


def _create(name: str, template: str) -> str:
    return f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY OWNER {ROLE};\n"
