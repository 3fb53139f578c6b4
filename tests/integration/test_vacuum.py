"""Tables of a real PostgreSQL: bloated ones are rewritten, compact ones are not, and no superuser is needed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg2
import pytest
from psycopg2.extensions import connection as Link  # noqa: N812

from archiver.postgres.session import connect, parse_dsn
from archiver.runs import upkeep as runs
from archiver.runs.upkeep import VacuumOutcome
from archiver.vacuum import cancellable, rewrite
from archiver.vacuum.measure import SAMPLED, disk_size, measure, tables
from archiver.vacuum.rewrite import Fate, Rewrite, Upkeep
from errors import ExitCode
from inventory.load import ROOT
from inventory.model import Environment
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from runbooks.cli import call
from tests.conftest import ROLE
from tests.fakes import rehearsal
from tests.inside import Said, inv_inside

ROWS = 20_000
BLOAT = "DELETE FROM {} WHERE id % 20 <> 0"
COMPACT, BLOATED, TOASTED = "public.compact", "public.bloated", "public.toasted"
FILL = "SELECT i, 'student ' || i, CASE WHEN i % 3 = 0 THEN now() END FROM generate_series(1, {}) i"
SHAPE = "(id bigint PRIMARY KEY, name text, seen timestamptz)"


@pytest.fixture
def colleague(empty: str) -> Iterator[Link]:
    """Yield a session at psql, in a database with a table of each kind."""
    with closing(psycopg2.connect(empty)) as link:
        link.autocommit = True
        with link.cursor() as cursor:
            for name in (COMPACT, BLOATED):
                cursor.execute(f"CREATE TABLE {name} {SHAPE}; CREATE INDEX ON {name} (name)")
                cursor.execute(f"INSERT INTO {name} {FILL.format(ROWS)}")
            cursor.execute(BLOAT.format(BLOATED))
        yield link


def run(colleague: Link, statement: str) -> list[tuple[object, ...]]:
    with colleague.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def files(colleague: Link) -> dict[str, object]:
    """The file of each table, which a rewrite changes."""
    names = run(colleague, "SELECT schemaname || '.' || relname, relid FROM pg_stat_user_tables")
    return {str(name): run(colleague, f"SELECT pg_relation_filenode({oid})")[0][0] for name, oid in names}


def changed(colleague: Link, before: dict[str, object]) -> set[str]:
    """The tables that were rewritten since."""
    return {name for name, file in files(colleague).items() if before[name] != file}


@contextmanager
def upkeep(dsn: str, *, free: int | None = None, every: bool = False) -> Iterator[Upkeep]:
    with closing(connect(parse_dsn(dsn), name="test")) as session, closing(connect(parse_dsn(dsn), name="test")) as two:
        yield Upkeep(session=session, watcher=two, free=lambda: free, every=every)


def vacuum(dsn: str, *, free: int | None = None, every: bool = False) -> dict[str, VacuumOutcome]:
    """Vacuum a database as `inv databases.vacuum` does: what became of each table."""
    with upkeep(dsn, free=free, every=every) as work:
        outcomes = runs.vacuum(work, rewrite.look(work), lambda line: None, lambda outcome: None)
    return {str(outcome.item.measured.table): outcome for outcome in outcomes}


def fates(outcomes: Mapping[str, VacuumOutcome]) -> dict[str, Fate | None]:
    """The fate of each table; None for a failure."""
    return {name: outcome.detail.fate if outcome.detail else None for name, outcome in outcomes.items()}


def analyzed(colleague: Link) -> set[str]:
    """The tables that were ever analyzed."""
    query = "SELECT schemaname || '.' || relname FROM pg_stat_user_tables WHERE last_analyze IS NOT NULL"
    return {str(name) for (name,) in run(colleague, query)}


def test_the_bloated_table_is_rewritten_and_the_compact_one_is_not(empty: str, colleague: Link) -> None:
    before, rows = files(colleague), run(colleague, f"SELECT * FROM {BLOATED} ORDER BY id")

    outcomes = vacuum(empty)

    assert fates(outcomes) == {BLOATED: Fate.REWRITTEN, COMPACT: Fate.KEPT}
    assert changed(colleague, before) == {BLOATED}
    size = run(colleague, f"SELECT pg_total_relation_size('{BLOATED}')")[0][0]
    assert outcomes[BLOATED].result().after == size
    assert isinstance(size, int)
    assert size < outcomes[BLOATED].item.measured.bytes / 10
    assert size == pytest.approx(outcomes[BLOATED].item.measured.live, rel=0.2)
    assert run(colleague, f"SELECT * FROM {BLOATED} ORDER BY id") == rows
    assert analyzed(colleague) == {BLOATED, COMPACT}


def test_nothing_is_analyzed_before_its_turn_because_that_is_the_proof(empty: str, colleague: Link) -> None:
    with upkeep(empty) as work:
        found = rewrite.look(work)

        assert analyzed(colleague) == set()
        runs.vacuum(work, found[:1], lambda line: None, lambda outcome: None)
        assert analyzed(colleague) == {str(found[0].measured.table)}


def test_a_table_emptied_and_filled_again_is_compact_and_a_second_run_rewrites_nothing(
    empty: str, colleague: Link
) -> None:
    run(colleague, f"TRUNCATE {BLOATED}; INSERT INTO {BLOATED} {FILL.format(1000)}")
    before = files(colleague)
    assert {*fates(vacuum(empty)).values()} == {Fate.KEPT}

    run(colleague, BLOAT.format(COMPACT))
    assert vacuum(empty)[COMPACT].result().fate is Fate.REWRITTEN
    assert {*fates(vacuum(empty)).values()} == {Fate.KEPT}
    assert changed(colleague, before) == {COMPACT}


def test_all_tables_are_rewritten_on_request(empty: str, colleague: Link) -> None:
    before = files(colleague)
    assert {*fates(vacuum(empty, every=True)).values()} == {Fate.REWRITTEN}
    assert changed(colleague, before) == {COMPACT, BLOATED}


def test_a_table_without_room_is_skipped_and_not_reported_as_analyzed(empty: str, colleague: Link) -> None:
    run(colleague, f"CREATE TABLE smaller {SHAPE}; INSERT INTO smaller {FILL.format(ROWS // 10)}")
    run(colleague, BLOAT.format("smaller"))
    before = files(colleague)
    with upkeep(empty) as work:
        needs = {str(one.measured.table): one.measured.need for one in rewrite.look(work)}

    outcomes = vacuum(empty, free=needs[BLOATED] - 1)

    assert outcomes["public.smaller"].result().fate is Fate.REWRITTEN
    assert outcomes[BLOATED].result() == Rewrite(fate=Fate.NO_ROOM, free=needs[BLOATED] - 1)
    assert changed(colleague, before) == {"public.smaller"}
    assert analyzed(colleague) == {"public.smaller", COMPACT}
    assert vacuum(empty, free=needs[BLOATED])[BLOATED].result().fate is Fate.REWRITTEN


@pytest.mark.parametrize("mode", ["ACCESS SHARE", "ACCESS EXCLUSIVE"])
def test_the_holder_of_a_lock_is_named_and_the_other_tables_continue(
    empty: str, colleague: Link, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(rewrite, "PATIENCE", "200ms")
    run(colleague, f"CREATE TABLE later {SHAPE}; INSERT INTO later {FILL.format(ROWS)}; {BLOAT.format('later')}")
    run(colleague, f"SET application_name = 'psql of ann'; BEGIN; LOCK {BLOATED} IN {mode} MODE")

    outcomes = vacuum(empty)

    pid = colleague.info.backend_pid
    assert str(outcomes[BLOATED].error) == f"pid {pid} of {ROLE} (psql of ann) held a lock on it for 200ms."
    assert fates(outcomes) == {BLOATED: None, "public.later": Fate.REWRITTEN, COMPACT: Fate.KEPT}


def test_every_kind_of_table_is_known_and_a_partitioned_one_waits_for_its_partitions(
    empty: str, colleague: Link, cluster: Cluster
) -> None:
    run(colleague, "CREATE SCHEMA other; CREATE TABLE other.whole (id int, t text) PARTITION BY LIST (id)")
    run(colleague, 'CREATE TABLE other."Part 1" PARTITION OF other.whole FOR VALUES IN (0)')
    run(colleague, "INSERT INTO other.whole SELECT 0, 'x' FROM generate_series(1, 20000); DELETE FROM other.whole")
    run(colleague, "CREATE MATERIALIZED VIEW seen AS SELECT 1 AS id")
    run(colleague, "CREATE MATERIALIZED VIEW unseen AS SELECT 1 AS id WITH NO DATA")
    run(colleague, "CREATE TABLE hidden AS SELECT 1 AS id; ALTER TABLE hidden FORCE ROW LEVEL SECURITY")
    run(colleague, "ALTER TABLE hidden ENABLE ROW LEVEL SECURITY")
    dbname = parse_dsn(empty)["dbname"]
    cluster.sql(f"CREATE TABLE somebodys AS SELECT 1 AS id; ALTER DATABASE {dbname} OWNER TO postgres", dbname=dbname)

    outcomes = vacuum(empty, free=64_000)
    assert fates(outcomes) == {
        COMPACT: Fate.KEPT,
        BLOATED: Fate.NO_ROOM,
        "public.somebodys": Fate.FOREIGN,
        "public.hidden": Fate.KEPT,
        "public.seen": Fate.KEPT,
        "public.unseen": Fate.KEPT,
        "other.Part 1": Fate.REWRITTEN,
        "other.whole": Fate.WAITING,
    }
    assert outcomes["public.somebodys"].item.measured.table.owner == "postgres"
    every = vacuum(empty, every=True)
    assert (fates(every)["other.whole"], fates(every)["public.hidden"]) == (Fate.KEPT, Fate.REWRITTEN)
    assert analyzed(colleague) == set(outcomes) - {"public.somebodys"}


# Rows of every width: what fits many times into a page, a few times, and what is kept apart.
SHAPES = {
    "short": "SELECT i AS id, i::bigint AS a, i AS b, i::bigint AS c FROM generate_series(1, 30000) i",
    "with nulls": "SELECT i AS id, nullif(i % 2, 0) AS a, NULL::int AS b FROM generate_series(1, 30000) i",
    "kilobytes": "SELECT i AS id, repeat(md5(i::text), i % 50) AS a FROM generate_series(1, 3000) i",
    "half a page": "SELECT i AS id, string_agg(md5(i::text || j), '') AS a"
    " FROM generate_series(1, 2000) i, generate_series(1, 60) j GROUP BY i",
    "kept apart": "SELECT i AS id, string_agg(md5(i::text || j), '') AS a, 'x' AS b"
    " FROM generate_series(1, 500) i, generate_series(1, 300) j GROUP BY i",
    "some kept apart": "SELECT i AS id, string_agg(md5(i::text || j), '') AS a"
    " FROM generate_series(1, 5000) i, generate_series(1, CASE WHEN i % 20 = 0 THEN 300 ELSE 3 END) j GROUP BY i",
    "compressed": "SELECT i AS id, repeat('all the same ' || i, 800) AS a FROM generate_series(1, 5000) i",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_the_space_that_a_table_needs_is_known_before_it_is_rewritten(empty: str, shape: str) -> None:
    with closing(psycopg2.connect(empty)) as link, upkeep(empty) as work:
        link.autocommit = True
        run(link, f"CREATE TABLE one AS {SHAPES[shape]}")
        run(link, "ALTER TABLE one ADD PRIMARY KEY (id)")
        (table,) = tables(work.session)
        assert measure(work.session, table).share < 0.05

        run(link, "DELETE FROM one WHERE id % 3 <> 0")
        found = measure(work.session, table)
        assert found.bloated
        run(link, "VACUUM FULL one")
        assert found.live == pytest.approx(disk_size(work.session, table).all, rel=0.1)


def test_a_large_table_is_measured_by_a_sample(empty: str) -> None:
    with closing(psycopg2.connect(empty)) as link, upkeep(empty) as work:
        link.autocommit = True
        run(link, "CREATE TABLE one AS SELECT i AS id, repeat('x', 400) AS a FROM generate_series(1, 100000) i")
        (table,) = tables(work.session)
        assert disk_size(work.session, table).main > 2 * SAMPLED * 8192
        assert measure(work.session, table).share < 0.08

        run(link, "DELETE FROM one WHERE id % 10 < 3")
        assert measure(work.session, table).share == pytest.approx(0.3, abs=0.06)


def test_an_index_alone_can_be_bloated(empty: str) -> None:
    with closing(psycopg2.connect(empty)) as link, upkeep(empty) as work:
        link.autocommit = True
        run(link, "CREATE TABLE one AS SELECT generate_series(1, 20000) AS id")
        run(link, "CREATE INDEX ON one (id)")
        run(link, "CREATE INDEX ON one (id DESC)")
        run(link, BLOAT.format("one"))
        run(link, "VACUUM one")
        run(link, "INSERT INTO one SELECT generate_series(20001, 39000)")
        (table,) = tables(work.session)
        found = measure(work.session, table)
        assert found.bloated
        run(link, "VACUUM FULL one")
        assert found.live == pytest.approx(disk_size(work.session, table).all, rel=0.1)
        assert not measure(work.session, table).bloated


def test_the_progress_of_a_rewrite_can_be_followed(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cancellable, "NEWS_EVERY", 0.002)
    told: list[str] = []
    with closing(psycopg2.connect(empty)) as link, upkeep(empty, every=True) as work:
        link.autocommit = True
        run(link, f"CREATE TABLE one {SHAPE}; CREATE INDEX ON one (name); INSERT INTO one {FILL.format(5 * ROWS)}")
        (outcome,) = runs.vacuum(work, rewrite.look(work), told.append, lambda outcome: None)

    assert outcome.result().fate is Fate.REWRITTEN
    assert [line for line in told if line.startswith("public.one: seq scanning heap")]
    assert [line for line in told if line.startswith("public.one: rebuilding index")]


# `inv databases.vacuum` on one database, as a process that can be interrupted.
PROGRAM = """
import sys
from invoke.program import Program
import tasks
from runbooks.cli import call
from tests.integration.test_vacuum import only

call.load_environment = lambda *args, **kwargs: only(sys.argv[1])
Program(namespace=tasks.namespace).run(["inv", "databases.vacuum"])
"""


def only(dsn: str) -> Environment:
    """Return the rehearsal with one database, on a host that cannot be reached."""
    given = rehearsal()
    master = replace(given.master, connection=parse_dsn(dsn))
    return replace(given, databases={"master": master}, overlay=None)


def deaf() -> None:
    """Ignore Ctrl-C as in a detached job, which must listen by itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def test_ctrl_c_leaves_nothing_running_in_the_server(empty: str, colleague: Link) -> None:
    run(colleague, f"BEGIN; LOCK {BLOATED} IN ACCESS SHARE MODE")  # the rewrite waits for it
    at_work = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'VACUUM (FULL%' AND state = 'active'"
    program = [sys.executable, "-c", PROGRAM, empty]
    pipe = subprocess.PIPE
    process = subprocess.Popen(program, cwd=ROOT, stdout=pipe, stderr=pipe, text=True, preexec_fn=deaf)
    with upkeep(empty) as other:
        try:
            await_condition(lambda: other.session.row(at_work) == (1,), doing="Waiting for the rewrite", seconds=30)
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=8)  # sooner than it gives up waiting for the lock
        finally:
            process.kill()
            process.communicate()

        assert (process.returncode, err) == (ExitCode.INTERRUPTED, "Interrupted.\n")
        assert other.session.row(at_work) == (0,)


@pytest.fixture
def inv(empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`inv` where that is the only database."""
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: only(empty))
    return lambda *words: inv_inside(capsys, *words)


def test_a_dry_run_shows_what_would_be_done_and_does_nothing(colleague: Link, inv: Callable[..., Said]) -> None:
    before = files(colleague)

    said = inv("databases.vacuum", "--dry-run")

    assert (said.code, said.err) == (0, "")
    first, second, big, small = said.out.splitlines()
    assert first == "master: the inventory has no data_directory for it, so its free disk is not checked"
    assert re.fullmatch(r"master: 2 tables, \d\.\d MB; 1 to rewrite, \d\.\d MB of them waste", second)
    assert re.fullmatch(r"master public\.bloated: would be rewritten, 9\d% of .* is waste; needs .* of free disk", big)
    assert re.fullmatch(r"master public\.compact: would be skipped, \d% of .* MB is waste", small)
    assert (changed(colleague, before), analyzed(colleague)) == (set(), set())


def test_the_task_reports_each_table_and_fails_where_one_was_not_done(
    colleague: Link, inv: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rewrite, "PATIENCE", "100ms")
    run(colleague, f"BEGIN; LOCK {BLOATED} IN ACCESS SHARE MODE")
    said = inv("databases.vacuum")
    assert said.code == ExitCode.FAILED
    assert "master public.bloated: FAILED. pid " in said.out
    assert said.out.splitlines()[-1].endswith("; 0 of 2 tables rewritten, 1 skipped, 1 FAILED")

    run(colleague, "COMMIT")
    said = inv("databases.vacuum", "--database=master")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"^\[\d/2\] master public\.bloated: \d\.\d MB → \d+ kB, \d\.\d s$", said.out, re.MULTILINE)
    assert re.search(r"^master: \d.\d MB → \d.\d MB; 1 of 2 tables rewritten, 1 skipped$", said.out, re.MULTILINE)
    assert "2 to rewrite" in inv("databases.vacuum", "--all").out

    run(
        colleague,
        "SET application_name = 'archive.all by ann'; SELECT pg_advisory_lock(hashtextextended('cutover', 0))",
    )
    locked = inv("databases.vacuum")
    assert (locked.code, "archive.all by ann is at work there" in locked.err) == (ExitCode.LOCKED, True)

    refused = inv("databases.vacuum", "--database=moon")
    assert (refused.code, refused.err) == (2, "--database: expected one of master, got 'moon'.\n")
