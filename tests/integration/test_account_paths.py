"""Every path that changes rows of the product has an account: a trigger that writes elsewhere stops each of them.

The catalog lists the trigger as one that does no harm, so no look at the catalogue finds it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from archiver.delete.drop_strays import drop
from archiver.delete.empty_feeds import empty_feeds
from archiver.postgres.session import Session, parse_dsn
from archiver.reshard import move
from archiver.runs import purge, setup
from archiver.vacuum import feeds, strays
from errors import CutoverError, RefusedError
from inventory.load import FOLDER
from inventory.model import Fence
from rehearsal.postgres_server import Cluster
from rehearsal.seed_plan import SCHOOL
from tests import oracle
from tests.cases.attack_world import DATABASES, FEW, HERE, rows, run, together
from tests.integration.test_adversities import cut_off
from tests.integration.test_purge import records
from tests.legacy_users import purged
from tests.months import archive_months, restore_months
from tests.worlds import NewWorld, World, same

LISTED, WRITES = "triggers: {surprise: only looks}", "writes: {surprise: [witness]}"
WITNESS = "CREATE TABLE witness (id integer, note text); INSERT INTO witness SELECT n FROM generate_series(1, 3) n"
ACTS = {
    "deletes": "DELETE FROM public.witness WHERE id = 1;",
    "updates": "BEGIN UPDATE public.witness SET note = 'b' WHERE id = 1; EXCEPTION WHEN data_exception THEN NULL; END;",
    "inserts": "INSERT INTO public.witness VALUES (4);",
    "truncates": "TRUNCATE public.witness;",
}
TRIGGER = """
CREATE FUNCTION surprise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {act} RETURN NULL; END $$;
CREATE TRIGGER surprise AFTER {event} ON {table} FOR EACH {each} EXECUTE FUNCTION surprise()
"""


@dataclass(frozen=True)
class Way:
    """A path on which rows go, or come back."""

    act: Callable[[World], object]
    database: str
    table: str  # with the trigger
    event: str = "DELETE"
    each: str = "ROW"
    before: Callable[[World], object] = lambda world: None  # before the trigger is there


def purge_users(world: World) -> None:
    with world.archiver() as archiver:
        purged(archiver)


def restore_users(world: World) -> None:
    [record] = records(world)
    with world.archiver() as archiver, archiver.databases.exclusive_lock():
        purge.restore(archiver, record.id)


def truncate_feeds(world: World) -> None:
    with setup.databases_of(world.environment, "test") as databases:
        empty_feeds(databases.master, feeds.look(databases))


def archive_set(world: World) -> None:
    failures = together(world, *FEW)
    if failures:
        raise RefusedError("; ".join(failures.values()))


def archive_one(world: World) -> object:
    return world.archive(SCHOOL)


def archive_past(world: World) -> object:
    return archive_months(world, date(2014, 3, 5))


WAYS = {
    "one school, in master": Way(archive_one, "master", "students"),
    "one school, in its shard": Way(archive_one, HERE, "enrollments"),
    "many schools, in master": Way(archive_set, "master", "students"),
    "many schools, in their shard": Way(archive_set, HERE, "enrollments"),
    "past months": Way(archive_past, HERE, "attempts"),
    "a purge": Way(purge_users, "master", "users"),
    "feeds": Way(truncate_feeds, "master", "feed_items", event="TRUNCATE", each="STATEMENT"),
    "back: one school, in master": Way(
        lambda world: world.restore(SCHOOL), "master", "students", event="INSERT", before=archive_one
    ),
    "back: one school, in its shard": Way(
        lambda world: world.restore(SCHOOL), HERE, "enrollments", event="INSERT", before=archive_one
    ),
    "back: past months": Way(
        lambda world: restore_months(world, "2014-01", SCHOOL), HERE, "attempts", event="INSERT", before=archive_past
    ),
    "back: a purge": Way(restore_users, "master", "users", event="INSERT", before=purge_users),
}


def listing(world: World, folder: Path, tables: tuple[str, ...], entries: str = LISTED) -> World:
    """Return the world with a catalog that lists the trigger of these tables."""
    lines = (FOLDER / "catalog.yaml").read_text().splitlines(keepends=True)
    for number, line in enumerate(lines):
        name, colon, _ = line.strip().partition(": {group: ")
        if colon and name in tables:
            lines[number] = line.replace("{group: ", f"{{{entries}, group: ", 1)
        elif line.rstrip() in {f"    {table}:" for table in tables}:
            lines[number] = f"{line}      {entries}\n"
    (folder / "catalog.yaml").write_text("".join(lines))
    return replace(world, environment=replace(world.environment, catalog=str(folder / "catalog.yaml")))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["deletes", "updates"])
def test_a_trigger_that_writes_elsewhere_stops_it(new_world: NewWorld, tmp_path: Path, way: str, kind: str) -> None:
    path = WAYS[way]
    with new_world(DATABASES) as bare:
        run(bare, path.database, WITNESS)
        path.before(bare)
        listed = () if path.table == "feed_items" else (path.table,)
        world = listing(bare, tmp_path, listed)
        run(world, path.database, TRIGGER.format(act=ACTS[kind], event=path.event, table=path.table, each=path.each))
        before = oracle.snapshot(world.dsns)

        with pytest.raises(RefusedError, match="witness"):
            path.act(world)

        same(before, oracle.snapshot(world.dsns))


def merging(world: World, folder: Path) -> World:
    """Return the world with a fence, and with the school on a shard of its own."""
    run(world, "master", f"UPDATE schools SET shard = 'shard_1' WHERE id <> {SCHOOL}")
    fence = Fence(close=f"touch {folder}/{{id}}", open=f"rm -f {folder}/{{id}}")
    return replace(world, environment=replace(world.environment, fence=fence))


MOVES = {
    "out of the source": Way(archive_one, HERE, "enrollments"),
    "into the target": Way(archive_one, "shard_1", "enrollments", event="INSERT"),
    "in master": Way(archive_one, "master", "schools", event="UPDATE"),
}


@pytest.mark.parametrize("way", MOVES)
def test_a_trigger_that_writes_elsewhere_stops_a_move(new_world: NewWorld, tmp_path: Path, way: str) -> None:
    path = MOVES[way]
    with new_world((*DATABASES, "shard_1")) as bare:
        run(bare, path.database, WITNESS)
        fenced = merging(listing(bare, tmp_path, (path.table,)), tmp_path)
        run(fenced, path.database, TRIGGER.format(act=ACTS["deletes"], event=path.event, table=path.table, each="ROW"))
        before = oracle.snapshot(fenced.dsns)

        with pytest.raises(RefusedError, match="witness"):
            fenced.move_all("merge", HERE, "shard_1")

        found = oracle.snapshot(fenced.dsns)
        same(before, replace(found, sequences=before.sequences))  # ids are reserved before anything moves


@pytest.mark.parametrize(
    ("lost", "database"), [("in master", "shard_1"), (f"out of {HERE}", HERE)], ids=["withdrawn", "ended"]
)
def test_a_trigger_that_writes_elsewhere_stops_the_rest_of_an_interrupted_move(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lost: str, database: str
) -> None:
    commit = Session.commit

    def failing(session: Session, *, doing: str) -> None:
        if doing.startswith("moving") and doing.endswith(lost):
            raise CutoverError("killed")
        commit(session, doing=doing)

    with new_world((*DATABASES, "shard_1")) as bare:
        fenced = merging(bare, tmp_path)
        with monkeypatch.context() as patched:
            patched.setattr(Session, "commit", failing)
            patched.setattr(move, "settle_move", lambda *words: None)  # its process is gone
            with pytest.raises(CutoverError, match="killed"):
                fenced.move_all("merge", HERE, "shard_1")
        run(fenced, database, WITNESS)
        trigger = TRIGGER.format(act=ACTS["deletes"], event="DELETE", table="enrollments", each="ROW")
        run(fenced, database, trigger)
        world, before = listing(fenced, tmp_path, ("enrollments",)), oracle.snapshot(fenced.dsns)
        assert before.count(database, "enrollments")

        with pytest.raises(RefusedError, match="witness"):
            world.move_all("merge", HERE, "shard_1")

        same(before, oracle.snapshot(fenced.dsns))


@pytest.mark.parametrize(
    ("database", "table", "event"),
    [("master", "students", "DELETE"), (HERE, "enrollments", "INSERT")],
    ids=["finished", "put back"],
)
def test_a_trigger_that_writes_elsewhere_stops_the_rest_of_an_interrupted_deletion(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, database: str, table: str, event: str
) -> None:
    with new_world(DATABASES) as bare:
        run(bare, database, WITNESS)
        whole = oracle.snapshot(bare.dsns)
        cut_off(bare, monkeypatch, SCHOOL)
        if event == "INSERT":  # the school changed meanwhile
            run(bare, "master", f"UPDATE classrooms SET notes = 'changed' WHERE school_id = {SCHOOL}")
        world = listing(bare, tmp_path, (table,))
        run(world, database, TRIGGER.format(act=ACTS["deletes"], event=event, table=table, each="ROW"))
        # What master refuses is put back; where that is refused too, all stays as it was.
        expected = whole if event == "DELETE" else oracle.snapshot(world.dsns)

        with pytest.raises(RefusedError, match="witness"):
            world.archive(SCHOOL)

        same(expected, oracle.snapshot(world.dsns))


def test_a_trigger_that_writes_elsewhere_stops_a_strays_drop(new_world: NewWorld, cluster: Cluster) -> None:
    with new_world(("master", "shard_1")) as world:
        run(world, "shard_1", WITNESS)
        cluster.sql(
            "CREATE FUNCTION surprise() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS"
            f" $$ BEGIN {ACTS['updates']} END $$;"
            "CREATE EVENT TRIGGER surprise ON sql_drop EXECUTE FUNCTION surprise()",
            dbname=parse_dsn(world.dsns["shard_1"])["dbname"],
        )
        before = oracle.snapshot(world.dsns)
        with setup.databases_of(world.environment, "test") as databases:
            session = databases.session("shard_1")
            [stray] = [
                each for each in strays.look(session, databases.model.catalog, "shard") if each.table == "images_tmp"
            ]
            with pytest.raises(RefusedError, match=r"Dropping images_tmp .*witness"):
                drop(session, stray, timedelta(0))
        same(before, oracle.snapshot(world.dsns))


def test_nothing_is_opened_where_the_server_does_not_count(new_world: NewWorld, cluster: Cluster) -> None:
    with new_world(DATABASES) as world:
        cluster.sql(f"ALTER DATABASE {parse_dsn(world.dsns[HERE])['dbname']} SET track_counts TO off")
        with pytest.raises(RefusedError, match=r"Opening .* refused: .* track_counts is off"):
            world.archive(SCHOOL)


def test_a_trigger_writes_where_the_catalog_says_so(new_world: NewWorld, tmp_path: Path) -> None:
    with new_world(DATABASES) as bare:
        run(bare, "master", WITNESS)
        world = listing(bare, tmp_path, ("students",), LISTED + f"\n      {WRITES}")
        run(world, "master", TRIGGER.format(act=ACTS["inserts"], event="DELETE", table="students", each="ROW"))
        students = rows(world, "master", "SELECT count(*) FROM students")[0][0]

        world.archive(SCHOOL)

        deleted = students - rows(world, "master", "SELECT count(*) FROM students")[0][0]
        assert deleted
        assert rows(world, "master", "SELECT count(*) FROM witness WHERE id = 4") == [(deleted,)]
