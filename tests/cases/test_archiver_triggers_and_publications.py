"""Triggers, publications and other things that a database does by itself while a school is deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg2.extensions import parse_dsn

from errors import CutoverError, RefusedError, UsageError
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases.small_product import OF_SCHOOL, Products, carried, carried_or_named, catalog, findings
from tests.worlds import same, sql

KEYLESS = (
    "CREATE TABLE things (school_id integer REFERENCES schools, x integer); INSERT INTO things VALUES (1, 1), (2, 2)"
)
PUBLISHED = "CREATE PUBLICATION everything FOR ALL TABLES"
PUPILS = """
CREATE TABLE pupils (id integer PRIMARY KEY, school_id integer REFERENCES schools); INSERT INTO pupils VALUES (1, 1);
"""
SHY = """
CREATE FUNCTION shy() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER shy BEFORE DELETE ON pupils FOR EACH ROW EXECUTE FUNCTION shy();
ALTER TABLE pupils ENABLE REPLICA TRIGGER shy;
"""
# A trigger that the catalog allows writes to a seat of two schools, and catches what goes wrong.
BUMPED = """
CREATE TABLE seats (id integer PRIMARY KEY, school_id integer, other_id integer, note text);
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools);
INSERT INTO seats VALUES (1, 1, 2, 'old'), (2, 2, 2, 'old'); INSERT INTO things VALUES (1, 1), (2, 2);
CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    BEGIN UPDATE public.seats SET note = 'changed' WHERE id = 1; EXCEPTION WHEN unique_violation THEN NULL; END;
    RETURN NULL;
END $$;
CREATE TRIGGER bump AFTER DELETE ON things FOR EACH ROW EXECUTE FUNCTION bump();
"""
WORDS = "no DDL in working hours"
FORBIDDING = f"""
CREATE FUNCTION no_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{WORDS}'; END $$;
CREATE EVENT TRIGGER no_ddl ON ddl_command_start EXECUTE FUNCTION no_ddl();
"""


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


def test_a_published_table_that_cannot_be_deleted_from_is_carried_or_named(products: Products) -> None:
    with products.product(KEYLESS, setup=PUBLISHED) as world:
        carried_or_named(world, "things")


def test_a_published_table_that_forbids_a_deletion_is_reported_with_what_to_do(products: Products) -> None:
    with products.product(KEYLESS, setup=PUBLISHED) as world:
        try:
            carried(world, "things WHERE school_id = 1")
        except CutoverError as error:
            assert error.hint


def test_a_row_that_stays_is_not_changed_by_a_trigger_in_a_subtransaction(products: Products) -> None:
    shared = "found_by: [school_id = schools.id, other_id = schools.id]"
    tables = catalog(seats=shared, things=OF_SCHOOL + ", triggers: {bump: only counts}")
    with products.product(BUMPED, tables) as world:
        before = oracle.snapshot(world.dsns)
        try:
            world.archive(1)
        except (RefusedError, UsageError) as refusal:
            assert "seats" in str(refusal) or "bump" in str(refusal)
            same(before, oracle.snapshot(world.dsns))
        else:
            with sql(world, "master") as cursor:
                cursor.execute("SELECT note FROM seats WHERE id = 1")
                assert cursor.fetchall() == [("old",)]


def test_a_trigger_that_fires_on_replicas_alone_forbids_nothing(products: Products) -> None:
    with products.product(PUPILS + SHY) as world:
        assert not findings(world).problems
        carried(world, "pupils WHERE school_id = 1")


def test_an_event_trigger_that_forbids_the_archivers_tables_is_reported_with_more_than_a_code(
    products: Products,
) -> None:
    """The report has its message, its name, or what to look at."""
    with products.product(PUPILS) as world:
        products.cluster.sql(FORBIDDING, dbname=parse_dsn(world.dsns["master"])["dbname"])

        with pytest.raises(CutoverError) as caught:
            world.archive(1)

    assert WORDS in str(caught.value) or "no_ddl" in str(caught.value) or caught.value.hint
