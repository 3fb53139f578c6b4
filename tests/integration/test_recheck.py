"""The catalogue is judged again in a transaction that deletes, and only where it has changed."""

from __future__ import annotations

from collections.abc import Callable

import psycopg2
import pytest

from archiver.catalog.model import MASTER, SHARD
from archiver.completeness import completeness, problems, recheck
from errors import Problems
from tests.worlds import World, sql

SHARD_3 = "shard_3"
# Each in another session while this one holds its locks: PostgreSQL makes the migration wait.
KEPT_OUT = {
    "a foreign key": "CREATE TABLE notes (attempt_id bigint REFERENCES attempts ON DELETE CASCADE)",
    "a trigger": "CREATE TRIGGER late AFTER DELETE ON attempts FOR EACH ROW"
    " EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "a rule": "CREATE RULE late AS ON DELETE TO attempts DO ALSO NOTHING",
    "a column": "ALTER TABLE attempts ADD COLUMN late text",
}
SEEN = {
    "a child table": "CREATE TABLE cold () INHERITS (attempts)",
    "a foreign key of another schema": "CREATE SCHEMA crm;"
    "CREATE TABLE crm.notes (attempt_id bigint REFERENCES attempts ON DELETE SET NULL)",
    "a column that names students": "CREATE TABLE badges (); ALTER TABLE badges ADD student_id bigint",
}


def judgments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list to which each full look adds the database's kind."""
    looks, original = list[str](), problems.problems_of

    def counted(model: object, kind: str, live: object) -> object:
        looks.append(kind)
        return original(model, kind, live)  # type: ignore[arg-type]

    monkeypatch.setattr(recheck, "problems_of", counted)
    return looks


def looked_at(world: World, change: Callable[[], None]) -> None:
    """Prove completeness, make a change, and look again in a transaction of the shard."""
    with world.archiver() as archiver:
        completeness.prove_complete(archiver.databases)
        change()
        placement = archiver.databases.placement(SHARD_3)
        with placement.sessions[SHARD].rolled_back():
            recheck.recheck(placement, archiver.model, [SHARD])


@pytest.mark.parametrize("migration", SEEN.values(), ids=SEEN)
def test_a_migration_since_the_first_look_is_refused(world: World, migration: str) -> None:
    def migrate() -> None:
        with sql(world, SHARD_3) as cursor:
            cursor.execute(migration)

    with pytest.raises(Problems):
        looked_at(world, migrate)


@pytest.mark.parametrize("migration", KEPT_OUT.values(), ids=KEPT_OUT)
def test_a_migration_waits_for_the_transaction_that_looked(world: World, migration: str) -> None:
    with world.archiver() as archiver:
        placement = archiver.databases.placement(SHARD_3)
        with placement.sessions[SHARD].rolled_back():
            recheck.recheck(placement, archiver.model, [SHARD])
            with sql(world, SHARD_3) as cursor, pytest.raises(psycopg2.errors.LockNotAvailable):
                cursor.execute(f"SET lock_timeout = '50ms'; {migration}")


def test_a_catalogue_that_has_not_changed_is_not_judged_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = judgments(monkeypatch)
    looked_at(world, lambda: None)
    assert looks == []


def test_a_harmless_change_is_judged_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = judgments(monkeypatch)
    with world.archiver() as archiver:
        completeness.prove_complete(archiver.databases)
        with sql(world, SHARD_3) as cursor:
            cursor.execute("CREATE TABLE weather (id serial PRIMARY KEY, rain integer)")
        placement = archiver.databases.placement(SHARD_3)
        for _ in range(2):
            with placement.sessions[SHARD].rolled_back(), placement.master.rolled_back():
                recheck.recheck(placement, archiver.model, placement.sessions)
    assert looks == [SHARD]


def test_an_archive_in_a_set_leaves_the_catalogue_as_it_was_judged(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Foreign keys that were dropped and created again, and triggers disabled meanwhile, are no change."""
    with world.archiver() as archiver:
        before = {name: recheck.digest(archiver.databases.session(name)) for name in (MASTER, SHARD_3)}
    looks = judgments(monkeypatch)
    world.archive_together(5, 13)
    with world.archiver() as archiver:
        assert {name: recheck.digest(archiver.databases.session(name)) for name in (MASTER, SHARD_3)} == before
    assert looks == []
