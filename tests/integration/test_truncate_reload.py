"""Tables emptied and filled with what stays: only the rows are others afterwards; what can't be emptied says why."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg2
import pytest

from archiver.delete.delete_set import delete_set
from archiver.delete.strategy import groups
from archiver.delete.truncate_reload import truncate_reload
from archiver.postgres.account import deletion_accounted
from archiver.postgres.schema import read_schema
from archiver.postgres.session import SQL, Composable, Identifier, Session, connect, parse_dsn
from errors import CutoverError
from rehearsal.postgres_server import Cluster

SCHEMA = """
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE TABLE places (id serial PRIMARY KEY, name text NOT NULL UNIQUE, mood mood DEFAULT 'good');
CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place_id integer NOT NULL CONSTRAINT lives REFERENCES places ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    boss_id bigint CONSTRAINT boss REFERENCES people,
    name text, shout text GENERATED ALWAYS AS (upper(name)) STORED
);
CREATE TABLE visits (person_id bigint, place_id integer, at timestamptz DEFAULT now());
ALTER TABLE visits ADD CONSTRAINT visitor FOREIGN KEY (person_id) REFERENCES people NOT VALID;
CREATE TABLE letters (id serial PRIMARY KEY, person_id bigint CONSTRAINT addressee REFERENCES people);
COMMENT ON CONSTRAINT lives ON people IS 'where they live; it''s known';
COMMENT ON CONSTRAINT addressee ON letters IS 'to whom';
COMMENT ON TABLE people IS 'who';
ALTER TABLE people ALTER name SET STATISTICS 500;
CREATE VIEW crowded AS SELECT place_id, count(*) FROM people GROUP BY 1;
GRANT SELECT ON people TO PUBLIC;
GRANT SELECT (name) ON places TO PUBLIC;
CREATE INDEX by_shout ON people (shout) WHERE shout <> '';
CLUSTER people USING people_pkey;
CREATE STATISTICS together ON name, place_id FROM people;
CREATE PUBLICATION everything FOR TABLE people, places;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'fired'; END $$;
CREATE TRIGGER plain BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER emptied BEFORE TRUNCATE ON people FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE TRIGGER always AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER replica AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER off AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION refuse();
ALTER TABLE people DISABLE TRIGGER USER;
INSERT INTO places (name) SELECT 'place ' || n FROM generate_series(1, 10) n;
INSERT INTO people (place_id, boss_id, name) SELECT 1 + n % 10, NULL, 'person ' || n FROM generate_series(1, 200) n;
UPDATE people SET boss_id = id - id % 10 + 10 WHERE id < 190;
INSERT INTO visits SELECT NULL, n FROM generate_series(1, 5) n;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE people ENABLE TRIGGER plain, ENABLE TRIGGER emptied, ENABLE ALWAYS TRIGGER always,
    ENABLE REPLICA TRIGGER replica;
ANALYZE;
"""
TABLES = {"people": 180, "places": 9}


@pytest.fixture
def session(empty: str) -> Iterator[Session]:
    with psycopg2.connect(empty) as link, link.cursor() as cursor:
        cursor.execute(SCHEMA)
    link.close()
    session = connect(parse_dsn(empty), name="test")
    yield session
    session.close()


def goes(table: str, alias: str) -> Composable:
    """All but the place 5 and who lives there."""
    column = {"people": "place_id", "places": "id"}[table]  # visits are not selected: they go with people
    return SQL("{} <> 5").format(Identifier(alias, column))


def declared(cluster: Cluster, dsn: str) -> str:
    """Return pg_dump's output for a database without its rows."""
    words = [str(cluster.programs.bin / "pg_dump"), "-s", "--restrict-key=same", "-d", dsn]
    return str(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def test_only_the_rows_differ(session: Session, empty: str, cluster: Cluster) -> None:
    before, schema = declared(cluster, empty), read_schema(session, ["people", "places", "visits"])
    session.execute("UPDATE public.people SET boss_id = NULL WHERE place_id = 5")
    with session.transaction(), deletion_accounted(session, "Deleting", {}) as account:
        truncate_reload(account, schema, ["people", "places"], goes)

    assert declared(cluster, empty) == before
    assert "ALWAYS TRIGGER always" in before
    assert session.rows("SELECT count(*), min(place_id), max(shout) FROM public.people") == [(20, 5, "PERSON 94")]
    assert session.rows("SELECT id, name FROM public.places") == [(5, "place 5")]
    [[boss]] = session.rows("SELECT nextval('public.people_id_seq')")
    assert boss == 201


def test_rows_of_a_retained_row_stay_with_it_and_so_do_orphan_rows(session: Session) -> None:
    session.execute("UPDATE public.people SET boss_id = NULL; ALTER TABLE public.visits DROP CONSTRAINT visitor")
    session.execute(
        "INSERT INTO public.visits SELECT id, place_id FROM public.people; DELETE FROM public.people WHERE id = 3"
    )
    schema = read_schema(session, ["people", "places", "visits"])

    with session.transaction(), deletion_accounted(session, "Deleting", {}) as account:
        truncate_reload(
            account,
            schema,
            ["people", "visits", "places"],
            goes,
            deciding_link={"visits": ("people", SQL("c.person_id = p.id"))}.get,
        )

    of_3, of_place_5 = "count(*) FILTER (WHERE person_id = 3)", "count(*) FILTER (WHERE place_id = 5)"
    nobodys, of_the_dead, stayed = 5, 1, session.row(f"SELECT count(*), {of_3}, {of_place_5} FROM public.visits")
    assert stayed == (20 + nobodys + of_the_dead, 1, 21)


def test_a_retained_row_that_references_a_deleted_one_stops_it(session: Session) -> None:
    schema = read_schema(session, ["people", "places"])
    with (
        pytest.raises(CutoverError, match="Recreating the foreign key boss"),
        session.transaction(),
        deletion_accounted(session, "Deleting", {}) as account,
    ):
        truncate_reload(account, schema, ["people", "places"], goes)
    assert session.row("SELECT count(*) FROM public.people")[0] == 200


def test_deleting_leaves_the_same_rows(session: Session) -> None:
    session.execute("UPDATE public.people SET boss_id = NULL")
    with session.transaction(), deletion_accounted(session, "Deleting", {}) as account:
        delete_set(account, read_schema(session, ["people", "places"]), TABLES, goes)
    assert session.row("SELECT count(*) FROM public.people")[0] == 20


def test_more_rows_than_were_verified_are_not_deleted(session: Session) -> None:
    session.execute("UPDATE public.people SET boss_id = NULL")
    with (
        pytest.raises(CutoverError, match="180 rows would be deleted, 179 were verified"),
        session.transaction(),
        deletion_accounted(session, "Deleting", {}) as account,
    ):
        delete_set(account, read_schema(session, ["people", "places"]), {"people": 179, "places": 9}, goes)
    assert session.row("SELECT count(*) FROM public.people")[0] == 200


OBSTACLES = {
    "ALTER TABLE letters OWNER TO stranger": "the foreign key addressee of letters is owned by another role",
    "ALTER TABLE people ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY": "row security is forced on people",
    "CREATE RULE nothing AS ON INSERT TO people DO ALSO NOTHING": "people has rules",
    "ALTER TABLE people DISABLE TRIGGER ALL": "foreign keys of people are disabled",
    "CREATE TABLE more () INHERITS (people)": "people has tables that inherit from it, or inherits itself",
    "ALTER PUBLICATION everything SET (publish = 'insert')": (
        "publication everything does not publish all that happens to people"
    ),
    "ALTER TABLE places OWNER TO stranger": "places is owned by another role",
}


@pytest.mark.parametrize("obstacle", OBSTACLES)
def test_a_table_that_cannot_be_truncated_is_deleted_from_with_a_reason(
    session: Session, cluster: Cluster, empty: str, obstacle: str
) -> None:
    cluster.sql("DO $$ BEGIN CREATE ROLE stranger; EXCEPTION WHEN duplicate_object THEN END $$")
    cluster.sql(obstacle, dbname=parse_dsn(empty)["dbname"])

    [group] = groups(session, read_schema(session, ["people", "places"]), TABLES, truncate_published=True)

    assert not group.emptied
    assert OBSTACLES[obstacle] in group.obstacles
    assert OBSTACLES[obstacle] in group.reason or len(group.obstacles) > 1


def test_a_table_that_loses_few_rows_is_deleted_from(session: Session) -> None:
    schema = read_schema(session, ["people", "places"])
    [much] = groups(session, schema, TABLES, truncate_published=True)
    [little] = groups(session, schema, {"people": 50, "places": 1}, truncate_published=True)

    assert much.emptied
    assert much.reason == "189 of about 210 rows to delete: truncated, and reloaded with the rows that stay"
    assert not little.emptied
    assert little.reason == "51 of about 210 rows to delete: deleted row by row"


def test_a_table_is_deleted_from_if_truncate_is_published_unless_the_inventory_allows_it(
    session: Session,
) -> None:
    schema = read_schema(session, ["people", "places"])

    [group] = groups(session, schema, TABLES)

    assert not group.emptied
    assert group.reason == (
        "189 of about 210 rows to delete: deleted row by row "
        "(publication everything would also truncate people in its subscribers)"
    )
    session.execute("ALTER PUBLICATION everything SET (publish = 'insert, update, delete')")
    [group] = groups(session, schema, TABLES)
    assert group.obstacles == tuple(
        f"publication everything does not publish all that happens to {table}" for table in TABLES
    )
