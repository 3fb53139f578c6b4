"""Truncate tables and reload the rows that stay, in the caller's transaction, as the tables' owner.

The tables stay, and with them grants, views, sequences, defaults, identity, comments, publications and statistics
targets. Foreign keys are dropped and created again: TRUNCATE is refused while one refers to a table, and checking them
row by row is slow. User triggers are disabled meanwhile: they have seen the rows that stay before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from archiver.postgres.account import DeletionAccount
from archiver.postgres.counters import Changes
from archiver.postgres.schema import NAMESPACE, Schema, column_list, identifier
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.postgres.triggers import all_triggers_disabled
from errors import RefusedError

DeleteCondition = Callable[[str, str], Composable]  # of a table and an alias: SQL that is true for a row to delete
# Of a table: an earlier one whose rows decide about its own, and the condition that joins them as `p` and `c`.
DecidingLink = Callable[[str], tuple[str, Composable] | None]


@dataclass(frozen=True)
class _ForeignKey:
    table: str  # with its namespace, quoted
    name: str
    definition: str
    comment: str | None


def truncate_reload(
    account: DeletionAccount,
    schema: Schema,
    tables: Sequence[str],
    condition: DeleteCondition,
    retained_counts: Mapping[str, int] | None = None,
    deciding_link: DecidingLink = lambda table: None,
) -> None:
    """Delete the rows that fulfil the condition, and declare it in the account; the caller holds the tables locked.

    Raises RefusedError if the rows that stay are not as many as `retained_counts` says (if given), or not all come
    back.
    """
    session, set_aside = account.session, dict[str, tuple[Composable, int]]()
    for table in tables:
        set_aside[table] = _set_aside(session, schema, table, condition, deciding_link(table), set_aside)
    for table, (_, rows) in set_aside.items():
        if retained_counts is not None and rows != retained_counts[table]:
            raise RefusedError(
                f"Truncating {table} on {session.where} refused: "
                f"{rows} rows would stay, {retained_counts[table]} expected.",
                hint="Rows of it were deleted since they were archived.",
            )
    with _without_foreign_keys(session, tables), all_triggers_disabled(session, tables):
        account.declare_emptied(tables)
        session.execute(
            SQL("TRUNCATE {}").format(SQL(", ").join(map(identifier, tables))), doing=f"truncating {', '.join(tables)}"
        )
        for table, (relation, rows) in set_aside.items():
            columns = column_list(schema.tables[table])
            query = SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}")
            inserted = session.execute(
                query.format(identifier(table), columns, columns, relation), doing=f"reloading {table}"
            )
            account.declare(table, Changes(inserted=rows))
            if inserted != rows:
                raise RefusedError(f"Reloading {table} on {session.where} refused: {inserted} of {rows} rows inserted.")


def _set_aside(
    session: Session,
    schema: Schema,
    table: str,
    condition: DeleteCondition,
    deciding_link: tuple[str, Composable] | None,
    set_aside: Mapping[str, tuple[Composable, int]],
) -> tuple[Composable, int]:
    """Copy the rows that stay into a temporary table. Return its name and the number of rows."""
    relation, rows = Identifier("pg_temp", f"kept {len(set_aside)}"), _rows(schema, table)
    if deciding_link and deciding_link[0] in set_aside:
        parent, same = deciding_link
        staying = _staying_with(rows, identifier(parent), set_aside[parent][0], same)
    else:
        staying = SQL("{} WHERE NOT {}").format(rows, condition(table, "c"))
    query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS {}").format(relation, staying)
    return relation, session.execute(query, doing=f"copying the rows of {table} that stay")


def _rows(schema: Schema, table: str) -> Composable:
    """SQL: all rows of the table, as `c`."""
    return SQL("SELECT {} FROM {} c").format(column_list(schema.tables[table], "c"), identifier(table))


def _staying_with(rows: Composable, parents: Composable, set_aside: Composable, same: Composable) -> Composable:
    """SQL: the rows whose parent stays, and the rows without a parent.

    Where most rows go, few parents stay: looking those up is cheaper than looking up the deleted ones.
    """
    return SQL(
        "{rows} WHERE EXISTS (SELECT 1 FROM {set_aside} p WHERE {same})"
        " UNION ALL {rows} WHERE NOT EXISTS (SELECT 1 FROM {parents} p WHERE {same})"
    ).format(rows=rows, set_aside=set_aside, parents=parents, same=same)


@contextmanager
def _without_foreign_keys(session: Session, tables: Sequence[str]) -> Iterator[None]:
    """Drop the foreign keys to the tables, and create them again after the block."""
    rows = session.rows(_FOREIGN_KEYS, (NAMESPACE, list(tables)), doing="reading the foreign keys")
    keys = [_ForeignKey(*row) for row in rows]
    for key in keys:
        drop = SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(SQL(key.table), Identifier(key.name))
        session.execute(drop, doing=f"dropping the foreign key {key.name}")
    yield
    for key in keys:
        add = SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
        session.execute(
            add.format(SQL(key.table), Identifier(key.name), SQL(key.definition)),
            doing=f"recreating the foreign key {key.name}",
        )
        if key.comment is not None:
            comment = SQL("COMMENT ON CONSTRAINT {} ON {} IS {}")
            session.execute(comment.format(Identifier(key.name), SQL(key.table), Literal(key.comment)))


_FOREIGN_KEYS = """
SELECT k.conrelid::pg_catalog.regclass::text, k.conname, pg_catalog.pg_get_constraintdef(k.oid),
       pg_catalog.obj_description(k.oid, 'pg_constraint')
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class t ON t.oid = k.confrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
 WHERE k.contype = 'f' AND n.nspname = %s AND t.relname = ANY(%s)
 ORDER BY 1, 2
"""
