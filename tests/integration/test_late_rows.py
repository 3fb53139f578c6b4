"""Rows that come after the proof and refer to deleted rows stay live; the run and every later audit report them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from types import SimpleNamespace
from typing import Any, cast

import psycopg2
import pytest

from archiver.catalog.model import Link, TableName
from archiver.checks.audit import Audit, audit
from archiver.delete import strategy
from archiver.postgres import own_schema
from archiver.postgres.schema import read_schema
from archiver.postgres.session import Session, connect
from archiver.postgres.tenants import TenantFilter
from archiver.records import resolve, shard_keys
from archiver.records.markers import Marked
from archiver.records.move_record import Route
from archiver.reshard.merge_split import move_all
from archiver.runs import purge
from archiver.runs.context import ArchiveOutcome
from archiver.runs.each import Outcome
from archiver.runs.purge_candidates import legacy_users
from runbooks.cli.text import archives, shards
from runbooks.users import PurgeWords, ids_of
from tests.months import archive_months, restore_months
from tests.worlds import NIGHT, YEAR, World, drop, raise_failure, sql

SCHOOL, OTHER, SHARD = 13, 5, "shard_3"
HINTS = "shard.hint_views"
MONTHS_DAY, OLD = date(2014, 3, 5), datetime(2012, 1, 1, tzinfo=UTC)
ADD = "INSERT INTO hint_views (attempt_id, created_at) VALUES (%s, now())"
ENROLL = "INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES (%s, now(), now())"


def column(world: World, database: str, query: str) -> list[Any]:
    with sql(world, database) as cursor:
        cursor.execute(query)
        return [row[0] for row in cursor.fetchall()]


def audited(world: World) -> Audit:
    with world.archiver() as archiver:
        return audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter())


After = Callable[..., None]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> After:
    """Let something happen once, just after a COMMIT of which these are words."""
    commit = Session.commit

    def happens(words: str, act: Callable[[], None], where: str = "") -> None:
        acts = [act]

        def committing(session: Session, *, doing: str) -> None:
            commit(session, doing=doing)
            if words in doing and where in session.where and acts:
                acts.pop()()

        monkeypatch.setattr(Session, "commit", committing)

    return happens


@pytest.fixture
def a_late_hint(world: World) -> Callable[[], None]:
    """A product that still knows an attempt which was just deleted: no foreign key forbids its row."""
    before = column(world, SHARD, "SELECT id FROM attempts ORDER BY id")

    def add() -> None:
        gone = sorted({*before} - {*column(world, SHARD, "SELECT id FROM attempts")})
        with sql(world, SHARD) as cursor:
            cursor.execute(ADD, (gone[0],))

    return add


def test_of_one_school_both_report_them(world: World, after: After, a_late_hint: Callable[[], None]) -> None:
    after("deleting in the shard", a_late_hint)

    [outcome] = world.archive(SCHOOL)

    assert outcome.detail
    assert outcome.detail.appeared == {HINTS: 1}
    assert audited(world).left == {SCHOOL: 1}


def test_a_run_that_completes_an_earlier_ones_deletion_reports_them(
    world: World, after: After, a_late_hint: Callable[[], None]
) -> None:
    def cut_off() -> None:
        a_late_hint()
        raise KeyboardInterrupt

    after("deleting in the shard", cut_off)
    with pytest.raises(KeyboardInterrupt):
        world.archive(SCHOOL)

    [outcome] = world.archive(SCHOOL)

    assert outcome.detail
    assert outcome.detail.appeared == {HINTS: 1}


@pytest.mark.parametrize("most", [2.0, 0.0], ids=["deleted", "emptied and reloaded"])
def test_of_many_schools_both_report_them(
    world: World,
    after: After,
    a_late_hint: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
    most: float,
) -> None:
    monkeypatch.setattr(strategy, "MOST", most)
    strategies, outcomes = list[str](), list[ArchiveOutcome]()
    after("in shard_3", a_late_hint)

    world.archive_together(SCHOOL, OTHER, on_strategy=strategies.append, on_result=outcomes.append)

    assert any(("truncated" in line) == (most == 0) for line in strategies if SHARD in line), strategies
    [late] = [one.detail.appeared for one in outcomes if one.item == SCHOOL and one.detail]
    assert late == {HINTS: 1}
    assert audited(world).left == {SCHOOL: 1}


def test_of_a_month_both_report_them_until_it_is_back(
    world: World, after: After, a_late_hint: Callable[[], None]
) -> None:
    after("deleting activity", a_late_hint, SHARD)

    outcomes = archive_months(world, MONTHS_DAY)

    assert sum(outcome.appeared[HINTS] for outcome in outcomes) == 1
    found = audited(world)
    assert list(found.dangling.values()) == [1]
    [what] = found.dangling
    assert what.endswith(f" of {SHARD}")
    assert f"live rows that refer to what was deleted by {what}: 1" in archives.audit_text("school", found)

    restore_months(world, what.split()[0])
    assert audited(world).dangling == {}


def test_rows_that_come_long_after_a_month_are_in_the_audit(world: World, a_late_hint: Callable[[], None]) -> None:
    archive_months(world, MONTHS_DAY)
    assert audited(world).dangling == {}

    a_late_hint()

    assert list(audited(world).dangling.values()) == [1]


@pytest.fixture
def alone(world: World) -> World:
    """The school is the only one of its shard."""
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_4' WHERE shard = %s AND id <> %s", (SHARD, SCHOOL))
    return world


def moved(world: World, verb: str = "merge", source: str = SHARD, target: str = "shard_1") -> Any:
    """Move the shard's one school."""
    with world.archiver() as archiver:
        route = Route(verb=verb, source=source, target=target)
        [outcome] = move_all(archiver, route, YEAR, raise_failure, kept_off=lambda: True)
    return outcome


MOVE = f"the move of school {SCHOOL} from {SHARD} to shard_1"


def test_of_a_move_both_report_rows_that_name_moved_ones(
    alone: World, after: After, a_late_hint: Callable[[], None]
) -> None:
    after(f"out of {SHARD}", a_late_hint)

    outcome = moved(alone)

    assert outcome.result().late == {HINTS: 1}
    assert f"still live on {SHARD}): hint_views 1" in shards.move_words("school", outcome.result().move.route).line(
        outcome
    )
    assert audited(alone).dangling == {MOVE: 1}


def test_the_audit_reports_rows_that_came_to_the_shard_that_a_school_left(alone: World) -> None:
    assert not moved(alone).result().late
    [room, *_] = column(alone, "master", f"SELECT id FROM classrooms WHERE school_id = {SCHOOL}")
    assert audited(alone).dangling == {}

    with sql(alone, SHARD) as cursor:
        cursor.execute(ENROLL, (room,))

    assert audited(alone).dangling == {MOVE: 1}


def test_a_school_that_is_back_on_its_shard_is_not_reported(alone: World) -> None:
    moved(alone)
    moved(alone, "split", "shard_1", SHARD)

    dangling = audited(alone).dangling

    assert MOVE not in dangling


@pytest.fixture
def purged(world: World, after: After) -> Iterator[Any]:
    """Purge the legacy users while a product writes rows that name one of them, and one of their preferences."""
    with sql(world, "master") as cursor:
        cursor.execute("CREATE TABLE themes (preference_id bigint)")
        cursor.execute(
            "INSERT INTO preferences (user_id, name, value, created_at, updated_at)"
            " SELECT id, 'theme', '\"dark\"', now(), now() FROM users WHERE last_sign_in_at < '2012-01-01'"
            " AND role IN ('super user', 'legacy admin')"
        )
    with world.archiver() as archiver:
        ids = ids_of(legacy_users(archiver.databases, OLD))
        theirs = column(world, "master", f"SELECT id FROM preferences WHERE user_id = {ids[0]} ORDER BY id")

        def add() -> None:
            with sql(world, "master") as cursor:
                cursor.execute("INSERT INTO feed_item_interactions (feed_item_id, user_id) VALUES (1, %s)", (ids[0],))
                cursor.execute("INSERT INTO themes VALUES (%s)", (theirs[0],))

        after("deleting the users of purge", add)
        done = purge.purge(archiver, purge.group_of(archiver.databases, ids), OLD, YEAR)
        yield SimpleNamespace(world=world, done=done, user=ids[0])


def test_of_a_purge_both_report_them_until_it_is_back(purged: Any) -> None:
    by = sorted(purged.done.late[purged.user])
    assert by == ["feed_item_interactions.user_id (1)", "themes.preference_id (1)"]
    told = PurgeWords().line(Outcome(item=cast(Any, None), seconds=0.5, detail=purged.done))
    assert "\nADDED MEANWHILE" in told
    assert audited(purged.world).dangling == {f"purge {purged.done.purge.id}": 2}

    with purged.world.archiver() as archiver:
        purge.restore(archiver, purged.done.purge.id)
    assert audited(purged.world).dangling == {}


def kept(world: World) -> int:
    return sum(column(world, SHARD, "SELECT count(*) FROM archiver.shard_gone"))


def test_keys_of_deleted_rows_go_with_the_record(world: World) -> None:
    world.archive(SCHOOL)
    assert kept(world) > 0
    world.restore(SCHOOL)
    assert kept(world) == 0

    world.archive(SCHOOL)
    with world.archiver() as archiver:
        drop(archiver, resolve.one_to_drop(archiver.databases, SCHOOL, YEAR))
    assert kept(world) == 0


KEYS = {
    "text": ["it's", "a\\b", "tab\there", "{}", "NULL", ""],
    "character(3)": ["a", "ab ", "abc"],
    "uuid": ["00000000-0000-0000-0000-000000000001"],
    "numeric(9,2)": ["1.50", "2"],
    "boolean": ["true"],
    "date": ["2014-08-15"],
    "bigint": ["9007199254740993"],
}


@pytest.mark.parametrize("type_", KEYS)
def test_keys_of_any_type_are_found_again(empty: str, type_: str) -> None:
    link = Link(TableName("shard", "notes"), ("paper",), TableName("shard", "papers"), ("code",))
    record = cast("Marked", SimpleNamespace(id=7, started_at=datetime(2014, 8, 15, tzinfo=UTC)))
    with closing(connect(psycopg2.extensions.parse_dsn(empty), name="test")) as session:
        own_schema.prepare(session)
        session.execute(f"CREATE TABLE public.papers (code {type_} PRIMARY KEY)")
        session.execute(f"CREATE TABLE public.notes (id serial PRIMARY KEY, paper {type_})")
        session.execute(f"INSERT INTO public.papers SELECT unnest(%s::text[])::{type_}", (KEYS[type_],))
        schema = read_schema(session, ["papers", "notes"])
        with session.rolled_back():
            keys = [row[0] for row in session.keys(cast("Any", "SELECT code FROM public.papers"), doing="reading")]
        shard_keys.remember(session, schema, record, {link: keys})
        shard_keys.remember(session, schema, record, {link: keys[:1]})  # of a second attempt

        session.execute("INSERT INTO public.notes (paper) SELECT code FROM public.papers")
        assert shard_keys.late_rows(session, schema, [record], link) == {}
        session.execute("DELETE FROM public.papers")
        late = shard_keys.late_rows(session, schema, [record], link)
        shard_keys.forget(session, record)
        forgotten = shard_keys.late_rows(session, schema, [record], link)

    assert late == {(7, record.started_at): len(KEYS[type_])}
    assert forgotten == {}


BADGE = "INSERT INTO {} VALUES (%s)"
LATER = {  # tables that no catalog knows, made after the deletion
    "master: crm.notes.student_id": ("master", "CREATE SCHEMA crm; CREATE TABLE crm.notes (student_id bigint)"),
    "shard_1: badges.studentId": ("shard_1", 'CREATE TABLE badges ("studentId" bigint)'),
}


@pytest.mark.parametrize("where", LATER)
def test_the_audit_names_rows_in_tables_that_no_catalog_knows(world: World, where: str) -> None:
    world.archive(SCHOOL)
    [gone, *_] = column(world, "master", "SELECT ids[1] FROM archiver.gone WHERE table_name = 'students'")
    assert audited(world).elsewhere == {}

    database, made = LATER[where]
    with sql(world, database) as cursor:
        cursor.execute(made)
        cursor.execute(BADGE.format(where.split(": ")[1].rpartition(".")[0]), (gone,))
    found = audited(world)

    assert found.elsewhere == {where: 1}
    assert f"{where} (1)" in archives.audit_text("school", found)
