"""A migration after the check of the schema: no row outside every archive is deleted or changed along with others.

The migrations are a colleague's at psql, each just before the deletion; the archiver is the real one.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from archiver.delete import many
from archiver.postgres.tenants import TenantFilter
from archiver.records import resolve
from archiver.records.archive_request import ArchiveRequest
from archiver.reshard import merge_split as carrying
from archiver.runs import purge
from archiver.runs.archive import archive
from archiver.runs.context import ArchiveOutcome
from inventory.catalog import DEFAULT_DEPTH
from inventory.model import Fence
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_world import DATABASES, FEW, HERE, before, count, given, quietly, rows, run, together
from tests.legacy_users import purged
from tests.months import Meanwhile, archive_months
from tests.worlds import YEAR, NewWorld, World, raise_failure

# The tables that migrations make, a row for each of a carried table, which then goes or changes with it.
CASCADE = """
CREATE TABLE added (id bigserial PRIMARY KEY, {key} bigint REFERENCES {table} ON DELETE CASCADE, body text);
INSERT INTO added ({key}, body) SELECT id, 'a teacher wrote this' FROM {table}
"""
SET_NULL = CASCADE.replace("CASCADE", "SET NULL")
SET_DEFAULT = CASCADE.replace("CASCADE", "SET DEFAULT")
ELSEWHERE = "CREATE SCHEMA crm; SET LOCAL search_path = crm, public;" + CASCADE
TRIGGER = """
CREATE TABLE added (id bigserial PRIMARY KEY, {key} bigint, body text);
INSERT INTO added ({key}, body) SELECT id, 'a teacher wrote this' FROM {table};
CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN DELETE FROM public.added WHERE {key} = OLD.id; RETURN OLD; END $$;
CREATE TRIGGER tidy AFTER DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION tidy()
"""
RULE = """
CREATE TABLE added (id bigserial PRIMARY KEY, {key} bigint, body text);
INSERT INTO added ({key}, body) SELECT id, 'a teacher wrote this' FROM {table};
CREATE RULE tidy AS ON DELETE TO {table} DO ALSO DELETE FROM added WHERE {key} = OLD.id
"""
KINDS = {
    "CASCADE": CASCADE,
    "SET NULL": SET_NULL,
    "SET DEFAULT": SET_DEFAULT,
    "another schema": ELSEWHERE,
    "a trigger": TRIGGER,
    "a rule": RULE,
}
OF = {"master": {"table": "students", "key": "student_id"}, HERE: {"table": "attempts", "key": "attempt_id"}}


class Migration:
    """A migration of one database, and the rows that it made."""

    def __init__(self, world: World, database: str, kind: str = "CASCADE") -> None:
        self._world, self._database = world, database
        self._statements = KINDS[kind].format(**OF[HERE if database != "master" else database])
        self._made: list[tuple[object, ...]] = []

    def __call__(self) -> None:
        run(self._world, self._database, self._statements)
        self._made = self._rows()
        given(self._made, "rows in the new table")

    def assert_untouched(self) -> None:
        """No archive holds them: each is as it was."""
        given(self._made, "a migration")
        now = self._rows()
        assert len(now) == len(self._made), f"{len(self._made) - len(now)} rows that are in no archive are gone"
        assert now == self._made, "rows that are in no archive were changed"

    def _rows(self) -> list[tuple[object, ...]]:
        [[table]] = rows(self._world, self._database, "SELECT coalesce(to_regclass('crm.added'), to_regclass('added'))")
        return rows(self._world, self._database, f"SELECT * FROM {table} ORDER BY id")


@pytest.mark.parametrize(
    ("database", "kind"), [(HERE, kind) for kind in KINDS] + [("master", kind) for kind in ("CASCADE", "SET NULL")]
)
def test_rows_that_a_migration_adds_between_two_schools_are_unchanged(
    new_world: NewWorld, database: str, kind: str
) -> None:
    with new_world(DATABASES) as world:
        migration = Migration(world, database, kind)
        told: list[ArchiveOutcome] = []

        def on_result(outcome: ArchiveOutcome) -> None:
            raise_failure(outcome) if not told else None
            told.append(outcome)
            migration() if len(told) == 1 else None

        with world.archiver() as archiver, archiver.databases.exclusive_lock():
            all_schools = resolve.all_to_archive(archiver.databases, YEAR, TenantFilter())
            wanted = [one for one in all_schools if one.id in FEW]
            quietly(lambda: archive(archiver, wanted, ArchiveRequest(year=YEAR, depth=DEFAULT_DEPTH), on_result))
        migration.assert_untouched()


@pytest.mark.parametrize(("moment", "database"), [("empty_shard", HERE), ("empty_master", "master")])
@pytest.mark.parametrize("kind", ["CASCADE", "SET NULL"])
def test_rows_that_a_migration_adds_while_a_run_over_many_prepares_are_unchanged(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, moment: str, database: str, kind: str
) -> None:
    with new_world(DATABASES) as world:
        migration = Migration(world, database, kind)
        before(monkeypatch, many, moment, migration)
        together(world, *FEW)
        migration.assert_untouched()


@pytest.mark.parametrize("kind", ["CASCADE", "SET NULL", "a trigger", "a rule"])
def test_rows_that_a_deployment_adds_while_past_months_are_deleted_are_unchanged(
    new_world: NewWorld, kind: str
) -> None:
    with new_world(DATABASES) as world:
        migration = Migration(world, HERE, kind)
        quietly(lambda: archive_months(world, date(2014, 3, 5), throttle=Meanwhile(act=migration)))
        migration.assert_untouched()


@pytest.mark.parametrize("kind", ["CASCADE", "SET NULL"])
def test_rows_that_a_migration_adds_while_shards_are_merged_are_unchanged(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    with new_world((*DATABASES, "shard_1")) as world:
        run(world, "master", f"UPDATE schools SET shard = 'shard_1' WHERE id <> {SCHOOL}")
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm -f {tmp_path}/{{id}}")
        migration = Migration(world, HERE, kind)
        before(monkeypatch, carrying, "move", migration)
        fenced = replace(world, environment=replace(world.environment, fence=fence))
        quietly(lambda: fenced.move_all("merge", HERE, "shard_1"))
        migration.assert_untouched()


def test_rows_that_a_trigger_would_take_when_legacy_users_are_purged_are_unchanged(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    def migrate() -> None:
        run(
            world,
            "master",
            "CREATE FUNCTION tidy() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM public.customer_settings; RETURN OLD; END $$;"
            "CREATE TRIGGER tidy AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION tidy()",
        )

    with new_world(DATABASES) as world:
        settings = count(world, "master", "customer_settings")
        given(settings, "settings of customers")
        before(monkeypatch, purge, "purge", migrate)
        with world.archiver() as archiver:
            quietly(lambda: purged(archiver))
        assert count(world, "master", "customer_settings") == settings
