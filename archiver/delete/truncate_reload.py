"""Tables emptied, and filled again with the rows that stay, in the caller's transaction; by their owner.

Grants, views, sequences, defaults, identity, comments, publications and statistics targets are the table's own, and the
table stays. Foreign keys are dropped and made anew: TRUNCATE is refused while one refers to a table, and row by
row they are slow. User triggers are switched off meanwhile: the rows that stay were inserted long ago.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from archiver.postgres.schema import NAMESPACE, Schema, column_list, identifier
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.postgres.triggers import all_triggers_disabled
from errors import RefusedError

Goes = Callable[[str, str], Composable]  # a table and an alias: whether the row goes
# A table: one before it with whose rows its own stay, and the condition, of `c` and `p`, by which they find each other.
DecidingLink = Callable[[str], tuple[str, Composable] | None]


@dataclass(frozen=True)
class _ForeignKey:
    table: str  # with its namespace, quoted
    name: str
    definition: str
    comment: str | None


def truncate_reload(
    session: Session,
    schema: Schema,
    tables: Sequence[str],
    goes: Goes,
    stay: Mapping[str, int] | None = None,
    leader: DecidingLink = lambda table: None,
) -> None:
    """Leaves in the tables just the rows that do not go; the caller holds them locked.

    `stay` says how many these must be, where that is known; RefusedError where they are others.
    """
    kept: dict[str, tuple[Composable, int]] = {}
    for table in tables:
        kept[table] = _keep(session, schema, table, goes, leader(table), kept)
    for table, (_, rows) in kept.items():
        if stay is not None and rows != stay[table]:
            raise RefusedError(
                f"Emptying {table} on {session.where} refused: {rows} rows would stay, {stay[table]} should.",
                hint="Somebody deleted rows there since they were archived.",
            )
    with _without_foreign_keys(session, tables), all_triggers_disabled(session, tables):
        session.execute(
            SQL("TRUNCATE {}").format(SQL(", ").join(map(identifier, tables))), doing=f"emptying {', '.join(tables)}"
        )
        for table, (place, rows) in kept.items():
            columns = column_list(schema.tables[table])
            query = SQL("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}")
            came = session.execute(
                query.format(identifier(table), columns, columns, place), doing=f"filling {table} again"
            )
            if came != rows:
                raise RefusedError(f"Filling {table} again on {session.where} refused: {came} of {rows} rows came.")


def _keep(
    session: Session,
    schema: Schema,
    table: str,
    goes: Goes,
    leader: tuple[str, Composable] | None,
    kept: Mapping[str, tuple[Composable, int]],
) -> tuple[Composable, int]:
    """Puts the rows that stay aside; where, and how many they are."""
    place, rows = Identifier("pg_temp", f"kept {len(kept)}"), _rows(schema, table)
    if leader and leader[0] in kept:
        parent, same = leader
        staying = _staying_with(rows, identifier(parent), kept[parent][0], same)
    else:
        staying = SQL("{} WHERE NOT {}").format(rows, goes(table, "c"))
    query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS {}").format(place, staying)
    return place, session.execute(query, doing=f"putting aside what stays of {table}")


def _rows(schema: Schema, table: str) -> Composable:
    return SQL("SELECT {} FROM {} c").format(column_list(schema.tables[table], "c"), identifier(table))


def _staying_with(rows: Composable, parents: Composable, kept: Composable, same: Composable) -> Composable:
    """What belongs to a row that stays, and what belongs to none at all: few keys to look among, where most goes."""
    return SQL(
        "{rows} WHERE EXISTS (SELECT 1 FROM {kept} p WHERE {same})"
        " UNION ALL {rows} WHERE NOT EXISTS (SELECT 1 FROM {parents} p WHERE {same})"
    ).format(rows=rows, kept=kept, parents=parents, same=same)


@contextmanager
def _without_foreign_keys(session: Session, tables: Sequence[str]) -> Iterator[None]:
    rows = session.rows(_FOREIGN_KEYS, (NAMESPACE, list(tables)), doing="reading the foreign keys")
    keys = [_ForeignKey(*row) for row in rows]
    for key in keys:
        drop = SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(SQL(key.table), Identifier(key.name))
        session.execute(drop, doing=f"taking the foreign key {key.name} off")
    yield
    for key in keys:
        add = SQL("ALTER TABLE {} ADD CONSTRAINT {} {}")
        session.execute(
            add.format(SQL(key.table), Identifier(key.name), SQL(key.definition)),
            doing=f"putting the foreign key {key.name} back",
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
