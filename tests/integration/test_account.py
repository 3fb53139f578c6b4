"""The account of a transaction: whatever changes a row that was not declared refuses it, whoever did it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest

from archiver.postgres.account import Account, accounted, deletion_accounted
from archiver.postgres.counters import Changes
from archiver.postgres.session import Session, connect, parse_dsn
from errors import RefusedError
from rehearsal.postgres_server import Cluster

TABLES = """
CREATE TABLE things (id integer PRIMARY KEY, note text);
CREATE TABLE notes (id integer PRIMARY KEY, thing_id integer DEFAULT 2, body text);
INSERT INTO things SELECT n FROM generate_series(1, 5) n;
INSERT INTO notes SELECT n, n, 'a' FROM generate_series(1, 5) n;
"""
FUNCTION = "CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$;"
TRIGGER = FUNCTION + "CREATE TRIGGER act AFTER DELETE ON things FOR EACH ROW EXECUTE FUNCTION act()"
DEFERRED = FUNCTION + (
    "CREATE CONSTRAINT TRIGGER act AFTER DELETE ON things DEFERRABLE INITIALLY DEFERRED"
    " FOR EACH ROW EXECUTE FUNCTION act()"
)
KEY = "ALTER TABLE notes ADD CONSTRAINT leads FOREIGN KEY (thing_id) REFERENCES things ON DELETE {}"
# What a database does by itself when the thing 1 is deleted, and what is told of it.
KINDS = {
    "a cascade": (KEY.format("CASCADE"), "notes (1 deleted; expected: none)", "the foreign key leads of public.notes"),
    "SET NULL": (KEY.format("SET NULL"), "notes (1 updated; expected: none)", "the foreign key leads of public.notes"),
    "SET DEFAULT": (KEY.format("SET DEFAULT"), "notes (1 updated; expected: none)", "the foreign key leads"),
    "a cascade into another schema": (
        "CREATE SCHEMA crm; ALTER TABLE notes SET SCHEMA crm;"
        "ALTER TABLE crm.notes ADD CONSTRAINT leads FOREIGN KEY (thing_id) REFERENCES things ON DELETE CASCADE",
        "crm.notes (1 deleted; expected: none)",
        "the foreign key leads of crm.notes",
    ),
    "a rule": (
        "CREATE RULE tidy AS ON DELETE TO things DO ALSO UPDATE notes SET body = 'gone'",
        "notes (5 updated; expected: none)",
        "the rule tidy of public.things",
    ),
    "a trigger": (
        TRIGGER.format("DELETE FROM public.notes WHERE id = 2;"),
        "notes (1 deleted; expected: none)",
        "the trigger act of public.things",
    ),
    "a trigger in a subtransaction": (
        TRIGGER.format(
            "BEGIN UPDATE public.things SET note = 'b' WHERE id = 2; EXCEPTION WHEN unique_violation THEN NULL; END;"
        ),
        "things (1 updated, 1 deleted; expected: 1 deleted)",
        "the trigger act",
    ),
    "a deferred trigger": (
        DEFERRED.format("INSERT INTO public.notes VALUES (9, 9, 'b');"),
        "notes (1 inserted; expected: none)",
        "the trigger act",
    ),
    "a trigger that truncates": (
        TRIGGER.format("TRUNCATE public.notes;"),
        "notes (truncated, rewritten or dropped; expected: neither)",
        "the trigger act",
    ),
    "a trigger that drops": (
        TRIGGER.format("DROP TABLE public.notes;"),
        "notes (truncated, rewritten",
        "the trigger act",
    ),
    "a trigger that empties large objects": (
        "SELECT lo_from_bytea(4711, 'abc');" + TRIGGER.format("PERFORM lo_unlink(4711);"),
        "pg_catalog.pg_largeobject (1 deleted; expected: none)",
        "the trigger act",
    ),
    "a child table": (
        "CREATE TABLE essays (essay text) INHERITS (things); INSERT INTO essays VALUES (1, 'n', 'e')",
        "essays (1 deleted; expected: none)",
        "public.essays inherits from public.things",
    ),
    "a trigger that writes the archiver's tables": (
        "CREATE SCHEMA archiver; CREATE TABLE archiver.records (id integer);"
        + TRIGGER.format("INSERT INTO archiver.records VALUES (1);"),
        "archiver.records (1 inserted; expected: none)",
        "the trigger act",
    ),
}


@pytest.fixture
def session(empty: str) -> Iterator[Session]:
    made(empty, TABLES)
    session = connect(parse_dsn(empty), name="test")
    yield session
    session.close()


def made(dsn: str, statements: str) -> None:
    """Run statements in a session of another one."""
    with psycopg2.connect(dsn) as link, link.cursor() as cursor:
        cursor.execute(statements)
    link.close()


def delete_first(account: Account) -> None:
    account.session.execute("DELETE FROM public.things WHERE id = 1")
    account.declare("things", Changes(deleted=1))


def contents(session: Session) -> list[tuple[object, ...]]:
    return session.rows("SELECT * FROM public.things ORDER BY id")  # type: ignore[no-any-return]


def test_what_was_declared_is_accepted(session: Session) -> None:
    with session.transaction(), accounted(session, "Deleting") as account:
        delete_first(account)
    assert len(contents(session)) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_declared_is_refused_with_its_table_and_cause(session: Session, empty: str, kind: str) -> None:
    setup, told, cause = KINDS[kind]
    made(empty, setup)
    before = contents(session)

    with pytest.raises(RefusedError) as caught, session.transaction(), accounted(session, "Deleting") as account:
        delete_first(account)

    assert told in str(caught.value)
    assert cause in caught.value.hint
    assert contents(session) == before


def test_an_event_trigger_that_writes_is_named(session: Session, empty: str, cluster: Cluster) -> None:
    """It fires for the temporary tables of this tool, too."""
    cluster.sql(
        "CREATE TABLE ddl_log (tag text);"
        "CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN"
        " INSERT INTO public.ddl_log VALUES (tg_tag); END $$;"
        "CREATE EVENT TRIGGER noted ON ddl_command_end EXECUTE FUNCTION note()",
        dbname=parse_dsn(empty)["dbname"],
    )
    refused = pytest.raises(RefusedError, match=r"ddl_log \(1 inserted; expected: none\)")
    with refused as caught, session.transaction(), accounted(session, "Restoring"):
        session.execute("CREATE TEMP TABLE aside (id integer)")
    assert "the event trigger noted" in caught.value.hint


def test_fewer_changes_than_declared_are_refused(session: Session) -> None:
    refused = pytest.raises(RefusedError, match=r"things \(1 deleted; expected: 2 deleted\)")
    with refused, session.transaction(), accounted(session, "Deleting") as account:
        delete_first(account)
        account.declare("things", Changes(deleted=1))


def test_what_a_session_did_before_does_not_count(session: Session) -> None:
    for number in (5, 4):
        session.execute(f"DELETE FROM public.things WHERE id = {number}")
        with session.transaction():
            session.execute("UPDATE public.notes SET body = 'c'")
    with session.transaction(), accounted(session, "Deleting") as account:
        delete_first(account)
    assert len(contents(session)) == 2


def test_what_others_do_meanwhile_does_not_count(session: Session, empty: str) -> None:
    with session.transaction(), accounted(session, "Deleting") as account:
        delete_first(account)
        made(empty, "UPDATE notes SET body = 'b'; TRUNCATE notes; INSERT INTO notes VALUES (7)")
        made(empty, "CREATE TABLE later (id integer); DROP TABLE notes")
    assert len(contents(session)) == 4


def test_partitions_count_as_their_table(session: Session, empty: str) -> None:
    made(
        empty,
        "CREATE TABLE visits (id integer) PARTITION BY LIST (id);"
        "CREATE SCHEMA parts; CREATE TABLE parts.visits_1 PARTITION OF visits FOR VALUES IN (1) PARTITION BY LIST (id);"
        "CREATE TABLE parts.visits_1_1 PARTITION OF parts.visits_1 DEFAULT;"
        "CREATE TABLE visits_2 PARTITION OF visits DEFAULT; INSERT INTO visits VALUES (1), (2), (3)",
    )
    with session.transaction(), accounted(session, "Deleting") as account:
        session.execute("DELETE FROM public.visits")
        account.declare("visits", Changes(deleted=3))


def test_temporary_tables_do_not_count(session: Session) -> None:
    with session.transaction(), accounted(session, "Deleting") as account:
        session.execute("CREATE TEMP TABLE aside ON COMMIT DROP AS SELECT * FROM public.things; TRUNCATE pg_temp.aside")
        delete_first(account)


def test_a_declared_truncation_and_its_reload_are_accepted(session: Session) -> None:
    with session.transaction(), deletion_accounted(session, "Deleting", {}) as account:
        account.declare_emptied(["notes"])
        session.execute(
            "DELETE FROM public.notes WHERE id < 3; TRUNCATE public.notes; INSERT INTO public.notes VALUES (7)"
        )
        account.declare("notes", Changes(inserted=1))


def test_a_truncation_takes_no_other_table_along(session: Session, empty: str) -> None:
    made(empty, "CREATE TABLE essays (essay text) INHERITS (notes); INSERT INTO essays VALUES (1, 1, 'n', 'e')")
    refused = pytest.raises(RefusedError, match=r"essays \(truncated, rewritten or dropped")
    with refused, session.transaction(), deletion_accounted(session, "Emptying the feeds", {}) as account:
        account.declare_emptied(["notes"])
        session.execute("TRUNCATE public.notes")


def test_own_bookkeeping_is_accepted_only_in_its_block(session: Session, empty: str) -> None:
    made(empty, "CREATE SCHEMA archiver; CREATE TABLE archiver.records (id integer)")
    with session.transaction(), accounted(session, "Deleting") as account:
        with account.bookkeeping():
            session.execute("INSERT INTO archiver.records VALUES (1)")
        delete_first(account)
        with account.bookkeeping():
            session.execute("UPDATE archiver.records SET id = 2")

    refused = pytest.raises(RefusedError, match=r"archiver.records \(1 deleted; expected: none\)")
    with refused, session.transaction(), accounted(session, "Deleting") as account:
        session.execute("DELETE FROM archiver.records")


def test_nothing_begins_where_the_server_does_not_count(session: Session, empty: str, cluster: Cluster) -> None:
    cluster.sql(f"ALTER DATABASE {parse_dsn(empty)['dbname']} SET track_counts TO off")
    blind = connect(parse_dsn(empty), name="test")
    refused = pytest.raises(RefusedError, match="could not be counted: track_counts is off")
    with refused, blind.transaction(), accounted(blind, "Deleting"):
        pytest.fail("it began")
    blind.close()


def test_nothing_begins_where_the_counters_may_not_be_read(session: Session, empty: str, cluster: Cluster) -> None:
    revoke = "REVOKE EXECUTE ON FUNCTION pg_catalog.pg_stat_get_xact_tuples_deleted(oid) FROM PUBLIC"
    cluster.sql(revoke, dbname=parse_dsn(empty)["dbname"])
    refused = pytest.raises(RefusedError, match="may not read the server's counters")
    with refused, session.transaction(), accounted(session, "Deleting"):
        pytest.fail("it began")


def test_a_trigger_may_write_where_the_catalog_says_so(session: Session, empty: str) -> None:
    made(empty, TRIGGER.format("UPDATE public.notes SET body = 'b'; INSERT INTO public.notes VALUES (9);"))
    with session.transaction(), accounted(session, "Deleting", {"things": ["notes"]}) as account:
        delete_first(account)
    assert session.row("SELECT count(*) FROM public.notes WHERE body = 'b'")[0] == 5


def test_a_trigger_of_another_table_may_not(session: Session, empty: str) -> None:
    made(empty, TRIGGER.format("UPDATE public.notes SET body = 'b';"))
    refused = pytest.raises(RefusedError, match=r"notes \(5 updated; expected: none\)")
    with refused, session.transaction(), accounted(session, "Deleting", {"others": ["notes"]}) as account:
        delete_first(account)


def test_no_trigger_may_delete(session: Session, empty: str) -> None:
    made(empty, TRIGGER.format("DELETE FROM public.notes WHERE id = 3;"))
    refused = pytest.raises(RefusedError, match=r"notes \(1 deleted; expected: none\)")
    with refused, session.transaction(), accounted(session, "Deleting", {"things": ["notes"]}) as account:
        delete_first(account)
