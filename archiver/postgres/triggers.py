"""User triggers disabled while rows are deleted or loaded, in the caller's transaction. Needs the tables' owner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from archiver.catalog.model import Model
from archiver.postgres.pins import SETTINGS
from archiver.postgres.schema import NAMESPACE, identifier
from archiver.postgres.session import SQL, Identifier, Literal, Session
from errors import RefusedError

# By pg_trigger.tgenabled.
_ENABLE = {"O": "ENABLE TRIGGER", "R": "ENABLE REPLICA TRIGGER", "A": "ENABLE ALWAYS TRIGGER"}


def refuse_replica(session: Session) -> None:
    """Raise RefusedError if the server would check no foreign key in this session: it replays another server's rows."""
    role, hint = session.row(_ROLE, doing="asking which triggers fire")
    if role != "origin":
        raise RefusedError(
            f"Opening {session.where} refused: session_replication_role is {role!r} there, so foreign keys and "
            "triggers may be skipped.",
            hint=hint,
        )


@contextmanager
def product_names(session: Session) -> Iterator[None]:
    """Let the product's triggers find tables by name alone, as in its own sessions, for the block of a transaction.

    The search path is the role's own one. Temporary tables come last: a trigger never means those.
    """
    session.rows(_ROLES_PATH, doing="setting the search path for triggers")
    yield
    pinned = SQL("SET LOCAL search_path TO {}").format(Literal(SETTINGS["search_path"]))
    session.execute(pinned, doing="pinning the search path")


@contextmanager
def triggers_disabled(session: Session, model: Model, database: str) -> Iterator[None]:
    """Disable the triggers that the catalog lists, for the block; then set each as it was before.

    Other sessions cannot write to their tables meanwhile: PostgreSQL locks a table when a trigger is disabled.
    """
    listed = [(table.table, name) for table in model.of(database) for name in model.triggers_to_disable(table)]
    tables, names = [table for table, _ in listed], [name for _, name in listed]
    triggers = session.rows(_NAMED, (NAMESPACE, tables, names), doing="reading the triggers") if listed else []
    with _disabled(session, triggers):
        yield


@contextmanager
def all_triggers_disabled(session: Session, tables: Sequence[str]) -> Iterator[None]:
    """Disable all user triggers of these tables, for the block; then set each as it was before."""
    with _disabled(session, session.rows(_OF_TABLES, (NAMESPACE, list(tables)), doing="reading the triggers")):
        yield


@contextmanager
def _disabled(session: Session, triggers: Sequence[tuple[str, str, str]]) -> Iterator[None]:
    for table, name, _ in triggers:
        query = SQL("ALTER TABLE {} DISABLE TRIGGER {}").format(identifier(table), Identifier(name))
        session.execute(query, doing=f"disabling the trigger {name}")
    yield
    for table, name, enabled in triggers:
        query = SQL("ALTER TABLE {} {} {}").format(identifier(table), SQL(_ENABLE[enabled]), Identifier(name))
        session.execute(query, doing=f"enabling the trigger {name}")


_ROLES_PATH = """
SELECT set_config('search_path', concat_ws(', ', nullif(reset_val, ''), 'pg_temp'), true)
  FROM pg_settings WHERE name = 'search_path'
"""
_ROLE = """
SELECT setting,
       CASE source
       WHEN 'user' THEN format('ALTER ROLE %I RESET session_replication_role;', current_user)
       WHEN 'database' THEN format('ALTER DATABASE %I RESET session_replication_role;', current_database())
       WHEN 'database user' THEN format('ALTER ROLE %I IN DATABASE %I RESET session_replication_role;',
            current_user, current_database())
       ELSE 'It is set by: ' || source
       END
  FROM pg_settings WHERE name = 'session_replication_role'
"""
_TRIGGERS = """
SELECT c.relname, t.tgname, t.tgenabled::text
  FROM pg_catalog.pg_trigger t
  JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND n.nspname = %s AND
"""
_OF_TABLES = f"{_TRIGGERS} c.relname = ANY(%s) ORDER BY 1, 2"
_NAMED = f"{_TRIGGERS} (c.relname, t.tgname) IN (SELECT * FROM unnest(%s::text[], %s::text[])) ORDER BY 1, 2"  # noqa: S608 - this file's own words
