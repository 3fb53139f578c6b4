"""Tables below a carried one (foreign tables, tables that inherit) are not read, deleted or emptied unawares."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from archiver.completeness import completeness
from archiver.delete import many
from archiver.delete.empty_feeds import empty_feeds
from archiver.runs import setup
from archiver.vacuum import feeds
from inventory.load import FOLDER, load_catalog
from rehearsal.ports import LOOPBACK
from rehearsal.postgres_server import Cluster
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_world import DATABASES, FEW, HERE, before, classrooms, count, given, quietly, run, together
from tests.conftest import PASSWORD, ROLE
from tests.worlds import NewWorld, World


@dataclass(frozen=True)
class Below:
    """A foreign table below a carried one, with rows of the school that lie on the far side."""

    database: str
    name: str
    columns: str  # on the far side
    made: str  # here, with {rooms} of the school
    change: str  # of a row on the far side


BELOW = {
    "inheriting": Below(
        database=HERE,
        name="hint_views_cold",
        columns="id bigint, attempt_id bigint, hint_id bigint, created_at timestamp",
        made="""
            CREATE FOREIGN TABLE hint_views_cold () INHERITS (hint_views) SERVER far;
            INSERT INTO hint_views_cold (id, attempt_id, created_at) SELECT 1000000000 + id, id, '2014-01-01' FROM (
                SELECT min(a.id) FROM attempts a JOIN lesson_enrollments l ON l.id = lesson_enrollment_id
                JOIN enrollments e ON e.id = enrollment_id WHERE classroom_id IN ({rooms}) GROUP BY l.id LIMIT 4) a (id)
            """,
        change="created_at = '2014-08-15 21:00'",
    ),
    "a partition": Below(  # which no table with a unique key may have
        database="master",
        name="parents_students_cold",
        columns="parent_id integer, student_id integer",
        made="""
            ALTER TABLE parents_students RENAME TO parents_students_warm;
            CREATE TABLE parents_students (LIKE parents_students_warm) PARTITION BY LIST (student_id);
            DO $$
            DECLARE one integer;
            BEGIN
                SELECT min(student_id) INTO one FROM parents_students_warm JOIN classroom_students USING (student_id)
                WHERE classroom_id IN ({rooms});
                EXECUTE format('CREATE FOREIGN TABLE parents_students_cold PARTITION OF parents_students'
                               ' FOR VALUES IN (%s) SERVER far', one);
                INSERT INTO parents_students_cold SELECT * FROM parents_students_warm WHERE student_id = one;
                DELETE FROM parents_students_warm WHERE student_id = one;
            END $$;
            ALTER TABLE parents_students ATTACH PARTITION parents_students_warm DEFAULT
            """,
        change="parent_id = 1",
    ),
}


def lay_below(world: World, cluster: Cluster, far: str, below: Below) -> None:
    """Put a foreign table below a carried one, by the way that leads to an empty database of the same server."""
    here, there = (parse_dsn(dsn)["dbname"] for dsn in (world.dsns[below.database], far))
    cluster.sql(
        "CREATE EXTENSION postgres_fdw; CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw"
        f" OPTIONS (host '{LOOPBACK}', port '{cluster.port}', dbname '{there}');"
        f"GRANT USAGE ON FOREIGN SERVER far TO {ROLE};"
        f"CREATE USER MAPPING FOR {ROLE} SERVER far OPTIONS (user '{ROLE}', password '{PASSWORD}')",
        dbname=here,
    )
    cluster.sql(f"SET ROLE {ROLE}; CREATE TABLE {below.name} ({below.columns})", dbname=there)
    run(world, below.database, below.made.format(rooms=classrooms(world)))
    given(count(world, below.database, below.name), "rows far away")


@pytest.mark.parametrize("kind", BELOW)
def test_rows_of_a_foreign_table_that_changed_since_their_proof_stay(
    new_world: NewWorld, cluster: Cluster, empty: str, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    with new_world(DATABASES) as world:
        below = BELOW[kind]
        lay_below(world, cluster, empty, below)
        far = count(world, below.database, below.name)
        change = f"UPDATE {below.name} SET {below.change}"
        before(monkeypatch, many, "empty_shard", lambda: run(world, below.database, change))

        together(world, *FEW)

        assert count(world, below.database, below.name) == far


@pytest.mark.parametrize("kind", BELOW)
def test_a_foreign_table_below_a_carried_one_is_named(
    new_world: NewWorld, cluster: Cluster, empty: str, kind: str
) -> None:
    with new_world(DATABASES) as world:
        lay_below(world, cluster, empty, BELOW[kind])
        with world.archiver() as archiver:
            found = completeness.compare(archiver.databases).problems
        assert any(BELOW[kind].name.removesuffix("_cold") in problem for problem in found), found


def excluding(world: World, table: str, folder: Path) -> World:
    """The world with one table more that stays live, as the catalog says."""
    written = (FOLDER / "catalog.yaml").read_text()
    catalog = folder / "catalog.yaml"
    catalog.write_text(written.replace("excluded:\n", f"excluded:\n  shard: {{{table}: essays of old}}\n", 1))
    load_catalog(str(catalog))  # it has no mistakes
    return replace(world, environment=replace(world.environment, catalog=str(catalog)))


@pytest.mark.parametrize("sets", [False, True])
def test_rows_of_an_excluded_table_that_inherits_a_carried_one_stay(
    new_world: NewWorld, tmp_path: Path, sets: bool
) -> None:
    with new_world(DATABASES) as world:
        run(
            world,
            HERE,
            "CREATE TABLE attempts_2012 (essay text) INHERITS (attempts);"
            "INSERT INTO attempts_2012 (id, lesson_enrollment_id, created_at, essay)"
            " SELECT 1000000000 + min(l.id), min(l.id), '2013-01-01', 'a long essay' FROM lesson_enrollments l"
            f" JOIN enrollments e ON e.id = enrollment_id WHERE classroom_id IN ({classrooms(world)}) GROUP BY e.id",
        )
        essays = count(world, HERE, "attempts_2012")
        given(essays, "essays of the school")
        stays = excluding(world, "attempts_2012", tmp_path)

        together(stays, *FEW) if sets else quietly(lambda: stays.archive(SCHOOL))

        assert count(world, HERE, "attempts_2012") == essays


def test_a_table_that_inherits_a_feed_is_not_emptied_with_it(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        run(
            world,
            "master",
            "CREATE TABLE feed_items_kept () INHERITS (feed_items);"
            "INSERT INTO feed_items_kept SELECT * FROM ONLY feed_items LIMIT 3",
        )
        kept = count(world, "master", "feed_items_kept")
        given(kept, "items that are kept")
        with setup.databases_of(world.environment, "test") as place:
            quietly(lambda: empty_feeds(place.master, feeds.look(place)))
        assert count(world, "master", "feed_items_kept") == kept
