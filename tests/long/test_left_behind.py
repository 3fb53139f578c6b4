"""States that another day's code left behind are restored, resumed or settled: archives, interrupted runs, a night.

It is stored in tests/fixtures/left_behind. Where a test fails, the code can't go on with what production may hold.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from pathlib import Path

import pytest

from archiver.catalog.model import Part
from archiver.kinds import registry
from archiver.runs import purge, reverify
from archiver.store.bucket import Bucket, file_digests
from errors import AbortedError, LockedError, RefusedError, UsageError
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from runbooks.activity import span_at
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.model.actions import DetachedJob, ProbeOutput
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import OnLine
from runbooks.night import abandon, files, status
from runbooks.night import run as night_run
from tests import oracle, oracle_moved
from tests.conftest import ROLE
from tests.fakes import FakeJobs, FakeObjectStore, night_plan, rehearsal
from tests.left_behind import (
    DATABASES,
    HOME,
    IDENTITY,
    MONTH,
    MONTHS_DAY,
    PREFIX,
    STATES,
    TOGETHER,
    digests,
    killed_at_step_8,
    load,
    state_of,
    told,
)
from tests.legacy_users import purged
from tests.months import archive_months, restore_months
from tests.operated_night import OperatedNight, operated_night
from tests.oracle import Snapshot
from tests.oracle_months import expected_after_month
from tests.torture import judge
from tests.torture.months import judged
from tests.worlds import NewWorld, World, sql

HALF_MOVED = ("switched", "loading")
MERGED = ("shard_2", "shard_1")
DATE, ARCHIVING = "2014-08-15", "archiving.run"


@dataclass(frozen=True, kw_only=True)
class Left:
    """The loaded states."""

    new_world: NewWorld
    store: Store
    whole: World  # with every row live; only looked at
    before: Snapshot  # its rows

    def open(self, state: str) -> AbstractContextManager[World]:
        """A copy of a state."""
        return state_of(self.new_world, self.store, state)


@pytest.fixture(scope="module")
def left(cluster: Cluster, new_world: NewWorld, store_server: Store) -> Iterator[Left]:
    """Templates of every state's databases, and all objects in the store."""
    load(cluster, ROLE)
    store = replace(store_server, prefix=PREFIX)
    for path in (HOME / "store").rglob("*.*"):
        Bucket(store).put(str(path.relative_to(HOME / "store")), path, file_digests(path))
    with state_of(new_world, store, "whole") as whole:
        yield Left(new_world=new_world, store=store, whole=whole, before=oracle.snapshot(whole.dsns))


@pytest.fixture(scope="module")
def finished(left: Left) -> Iterator[World]:
    """Months, schools and people, all archived as they should be; each test brings back others of them."""
    with left.open("finished") as world:
        yield world


@pytest.fixture
def merged(left: Left) -> Iterator[World]:
    """One shard in the other one; a school and months were archived before."""
    with left.open("merged") as world:
        yield world


@pytest.fixture(scope="module")
def cut_off(left: Left) -> Iterator[World]:
    """Schools that were on their way out, and on their way back; each test ends the way of others."""
    with left.open("cut_off") as world:
        yield world


def test_the_databases_hold_the_rows_of_that_day(cluster: Cluster, left: Left) -> None:
    for state in STATES:
        dsns = {name: cluster.dsn(dbname=f"left_{state}_{name}", user=ROLE) for name in DATABASES}
        assert digests(oracle.snapshot(dsns)) == told()[state], state


# What is archived as it should be.


@pytest.mark.parametrize(
    ("school", "depth"), [(13, "all"), (17, "students"), (41, "all"), (49, "all"), (45, "all")], ids=str
)
def test_an_archive_brings_back_each_deleted_row(left: Left, finished: World, school: int, depth: str) -> None:
    finished.restore(school)

    assert_live(left, finished, school, depth)
    assert judge.books(finished, school).records == []


def test_two_archives_of_a_school_bring_it_back(left: Left, finished: World) -> None:
    for year in (2012, 2013):
        finished.restore(9, year=year)

    assert_live(left, finished, 9, "all")


def test_an_encrypted_archive_comes_back_with_its_identity_only(left: Left, finished: World) -> None:
    with pytest.raises(UsageError, match="is encrypted, and no identity was given"):
        finished.restore(37)

    with_identity(finished).restore(37)

    assert_live(left, finished, 37, "all")


def test_a_months_rows_come_back_to_a_school_that_stayed_live(left: Left, finished: World) -> None:
    whole = oracle_moved.rows_of(left.whole, left.before, "shard_1", 5)
    assert oracle_moved.rows_of(finished, oracle.snapshot(finished.dsns), "shard_1", 5) != whole

    restore_months(finished, MONTH, 5)

    assert oracle_moved.rows_of(finished, oracle.snapshot(finished.dsns), "shard_1", 5) == whole


def test_everything_archived_is_reverified_and_restored_and_each_row_is_as_it_was(left: Left) -> None:
    with left.open("finished") as world, with_identity(world).by_one_worker() as busy:
        with busy.archiver() as archiver:
            proved = reverify.reverify(archiver, registry.openable(archiver.databases.master, None), lambda one: None)
            assert [one.error for one in proved] == [None] * 11  # eight of schools, two of months, a purge
            assert purge.restore(archiver, 1)["master.users"].inserted == 3
        busy.restore(13, 17, 37, 41, 45, 49)
        busy.restore(9, year=2013)
        busy.restore(9, year=2012)
        restore_months(busy, MONTH)

        assert_whole(left, world)


# A shard that was merged into another one.


def test_schools_of_a_merged_shard_are_archived_restored_and_split_off_again(left: Left, merged: World) -> None:
    with merged.by_one_worker() as busy:
        busy.archive(9)
        busy.restore(9, 41)
        restore_months(busy, MONTH)
        same_rows(oracle_moved.after_merging(merged, left.before, *MERGED), oracle.snapshot(merged.dsns))
        assert all(oracle_moved.moved(merged, *MERGED).values())

        busy.move_all("split", *reversed(MERGED))

    assert_whole(left, merged)


def test_a_school_archived_before_a_merge_comes_back_after_the_split(left: Left, merged: World) -> None:
    with merged.by_one_worker() as busy:
        busy.move_all("split", *reversed(MERGED))
        busy.restore(41)
        restore_months(busy, MONTH)

    assert_whole(left, merged)


# Runs over schools that were cut off: the same command again.


@pytest.mark.parametrize("school", [5, 33, 49, 9])
def test_an_interrupted_archive_of_a_school_is_finished(left: Left, cut_off: World, school: int) -> None:
    cut_off.archive(school)

    assert states(cut_off)[school] == "archived"
    assert_none_lost(left, cut_off)
    cut_off.restore(school)
    assert_live(left, cut_off, school, "all")


def test_a_run_over_many_interrupted_when_one_shard_was_emptied_is_finished(left: Left, cut_off: World) -> None:
    with cut_off.by_one_worker() as busy:
        busy.archive_together(*TOGETHER)

        assert {states(cut_off)[school] for school in TOGETHER} == {"archived"}
        assert_none_lost(left, cut_off)
        busy.restore(*TOGETHER)
    for school in TOGETHER:
        assert_live(left, cut_off, school, "all")


@pytest.mark.parametrize("only", [None, Part("classroom", 13)], ids=str)
def test_an_interrupted_restore_of_a_school_is_finished(left: Left, cut_off: World, only: Part | None) -> None:
    school = 45 if only else 13
    if only:
        cut_off.restore(school, only=only)
        assert states(cut_off)[school] == "archived"
        assert_none_lost(left, cut_off)

    cut_off.restore(school)

    assert school not in states(cut_off)
    assert_live(left, cut_off, school, "all")
    assert_none_lost(left, cut_off)


def test_a_purge_interrupted_before_any_user_was_deleted_is_done_again(left: Left, cut_off: World) -> None:
    with cut_off.archiver() as archiver:
        done = purged(archiver)
        assert (done.purge.id, len(done.purge.ids)) == (2, 3)
        assert_none_lost(left, cut_off)
        purge.restore(archiver, done.purge.id)

    assert_none_lost(left, cut_off)


def test_every_interrupted_run_is_finished_and_restored_and_each_row_is_as_it_was(left: Left) -> None:
    with left.open("cut_off") as world, world.by_one_worker() as busy:
        assert states(world) == {
            5: "deleting",
            13: "restoring",
            45: "restoring",
            33: "extracting",
            49: "stored",
            9: "verified",
            **dict.fromkeys(TOGETHER, "deleting"),
        }
        assert_none_lost(left, world)
        busy.archive_together(*TOGETHER)
        busy.archive(5, 33, 49, 9)
        assert_none_lost(left, world)
        busy.restore(13, 45, *TOGETHER, 5, 33, 49, 9)

        assert states(world) == {}
        assert_whole(left, world)


# Months and moves that were cut off.


def test_a_month_interrupted_within_a_school_continues(left: Left) -> None:
    with left.open("month_out") as world:
        migrated(world)
        judged(world, left.before, oracle.snapshot(world.dsns))
        archive_months(world, MONTHS_DAY)

        live, until = oracle.snapshot(world.dsns), span_at(world.environment, MONTHS_DAY).before
        goal = expected_after_month(left.whole.dsns, until.astimezone(UTC).replace(tzinfo=None), left.before)
        same_rows(goal, live)
        judged(world, left.before, live)
        restore_months(world, MONTH)
        assert_whole(left, world)


def test_an_interrupted_restore_of_a_month_is_finished(left: Left) -> None:
    with left.open("month_back") as world:
        migrated(world)
        judged(world, left.before, oracle.snapshot(world.dsns))
        restore_months(world, MONTH)
        assert_whole(left, world)


@pytest.mark.parametrize("state", HALF_MOVED)
def test_a_half_moved_school_is_where_master_says_and_its_merge_is_finished(left: Left, state: str) -> None:
    with left.open(state) as world:
        migrated(world)
        assert_lies_whole(left, world, 9)
        with pytest.raises(RefusedError, match="School 9 is half moved from shard_2 to shard_1"):
            world.archive(9)
        world.move_all("merge", *MERGED)
        same_rows(oracle_moved.after_merging(world, left.before, *MERGED), oracle.snapshot(world.dsns))


# A night killed in step 8.


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperatedNight:
    """The machine of that night with its journal, and the production as the first seven steps leave it."""
    operated, object_store = operated_night(monkeypatch, tmp_path), FakeObjectStore()
    object_store.texts.update(store_of_that_night())
    monkeypatch.setattr(files, "object_store_of", lambda environment: object_store)
    journal = files.Files(operated.environment, DATE).journal
    journal.parent.mkdir(parents=True)
    shutil.copy(HOME / "night/journal.jsonl", journal)
    killed_at_step_8(operated.fake_night)
    operated.fake_night.clock.wait(timedelta(minutes=5))
    return operated


def test_any_machine_reads_from_the_store_where_the_night_stands(
    left: Left, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in store_of_that_night().items():
        assert EnvironmentStore(left.store).put_new(name, text)
    environment = replace(rehearsal(), state=str(tmp_path), overlay=None, store=left.store)

    status.show_status(environment, night_plan(environment))

    said = capsys.readouterr().out
    assert "Cutover of 2014-08-15 in rehearsal: 7 of 17 steps" in said
    assert "active run: ann on laptop, running Cutover of 2014-08-15" in said
    assert re.search(r"^ *8 .* running *$", said, re.MULTILINE)
    assert "maintenance mode: the app" in said
    assert "standby: db-master, db-shard-1" in said


def test_that_nights_open_job_is_named_with_its_host(operated: OperatedNight) -> None:
    with pytest.raises(AbortedError, match="still running or unreachable: debug"):
        abandon.abort(operated.environment, operated.fake_night.plan, operated.terminal, take_over=True)

    assert "still running on debug: inv archive.all" in operated.out.getvalue()
    assert "since 2014-08-15 21:00:33 UTC" in operated.out.getvalue()


def test_a_job_of_that_night_that_still_runs_is_followed_to_its_end(operated: OperatedNight) -> None:
    operated.fake_night.jobs = jobs = StillRunning(operated.fake_night.production)

    assert_ends(operated)

    assert jobs.followed == [f"{run_of_that_night()}.{ARCHIVING}.debug.1"]


def test_the_date_of_that_night_is_asked_for_again_as_its_journal_has_no_scope(operated: OperatedNight) -> None:
    operated.fake_night.jobs = StillRunning(operated.fake_night.production)
    operated.fake_night.person.asked.clear()

    assert_ends(operated)

    asked = [question for question in operated.fake_night.person.asked if question.startswith("confirm")]
    assert asked == [f"confirm {ARCHIVING} {DATE}"]


def test_a_job_of_that_night_that_ended_meanwhile_is_known_by_its_proof(operated: OperatedNight) -> None:
    operated.fake_night.jobs = FakeJobs(operated.fake_night.production)
    operated.fake_night.production.archived = True

    assert_ends(operated)


@dataclass
class StillRunning(FakeJobs):
    """The archiving, which comes to its end once it is followed by the name under which it was begun."""

    followed: list[str] = field(default_factory=list)

    def run(self, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        """Follow it, and run every other job."""
        if "archive.all" not in job.command:
            return super().run(job, name, on_line)
        self.followed.append(name)
        self.production.archived = True
        return ProbeOutput()


def assert_ends(operated: OperatedNight) -> None:
    """Assert that another machine resumes the night to its end: nothing is done twice, no job is started again."""
    production = operated.fake_night.production
    done = list(production.acts)
    with pytest.raises(LockedError, match="ann on laptop"):
        operated.resume()

    night_run.resume(operated.environment, operated.fake_night.plan, operated.terminal, take_over=True)

    assert operated.outcome(ARCHIVING, "debug") is Outcome.DONE
    assert (operated.events[-1].kind, operated.debts) == (Kind.ENDED, [])
    assert production.acts[: len(done)] == done
    assert not set(done) & set(production.acts[len(done) :])
    assert not [act for act in production.acts if "archive.all" in act]


def store_of_that_night() -> Mapping[str, str]:
    """Return the night's objects in the store."""
    texts: Mapping[str, str] = json.loads((HOME / "night/shelf.json").read_text())
    return texts


def run_of_that_night() -> str:
    """The run that its jobs are named after."""
    first = (HOME / "night/journal.jsonl").read_text().splitlines()[0]
    return str(json.loads(first)["data"]["run"])


# What must be.


def migrated(world: World) -> None:
    """Bring the archiver's own tables up to date, as a task does first: the judges read today's."""
    with world.archiver():
        pass


def with_identity(world: World) -> World:
    """The world with the identity at hand."""
    return replace(world, identity=str(IDENTITY))


def states(world: World) -> dict[int, str]:
    """The state of each school's record."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT key::bigint, state FROM archiver.archives WHERE kind = 'tenant'")
        return dict(cursor.fetchall())


def assert_live(left: Left, world: World, school: int, depth: str) -> None:
    """Each row that goes with the school is live as it was."""
    without = oracle.expected_after_archive(left.whole.dsns, school, depth, left.before)
    leaving, live = judge.gone(left.before, without), oracle.snapshot(world.dsns)
    assert leaving
    for (database, table), lines in leaving.items():
        assert not lines - Counter(live.tables[database][table]), f"{database}.{table}"


def assert_whole(left: Left, world: World) -> None:
    """Every row is live, as it was and where it was."""
    same_rows(left.before, oracle.snapshot(world.dsns))


def assert_none_lost(left: Left, world: World) -> None:
    """Each row is live or in an archive that a record names, and no row is live twice."""
    live = oracle.snapshot(world.dsns)
    assert not judge.gone(live, left.before), oracle.difference(left.before, live)
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT location FROM archiver.archives WHERE kind = 'tenant' AND size IS NOT NULL"
            " UNION ALL SELECT location FROM archiver.archives WHERE kind = 'purge' AND state = 'archived'"
        )
        archives = [judge.stored(world.environment.store, location) for [location] in cursor.fetchall()]
    for table, lines in judge.gone(left.before, live).items():
        holding = [archive for archive in archives if table in archive.carried]
        missing = sum((archive.rows[table] for archive in holding), Counter[bytes]())
        assert holding and not holding[0].shown(table, lines) - missing, table


def assert_lies_whole(left: Left, world: World, school: int) -> None:
    """Assert that all of the school lies where master says."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT shard FROM schools WHERE id = %s", (school,))
        [[shard]] = cursor.fetchall()
        cursor.execute(
            "SELECT (offsets -> 0 ->> 2)::bigint FROM archiver.archives WHERE kind = 'move' AND key = %s::text",
            (school,),
        )
        [[plus]] = cursor.fetchall()
    found = oracle_moved.rows_of(world, oracle.snapshot(world.dsns), shard, school)
    for table, lines in oracle_moved.rows_of(left.whole, left.before, MERGED[0], school).items():
        there = [oracle_moved.added(table, line, plus if shard == MERGED[1] else 0) for line in lines]
        assert found[table] == sorted(there), table


def same_rows(expected: Snapshot, found: Snapshot) -> None:
    """Rows only: sequences go on."""
    assert found.tables == expected.tables, oracle.difference(expected, replace(found, sequences=expected.sequences))
