"""Rows that archived ones refer to, and that are neither live nor in the archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import MASTER, Model, TableName
from archiver.catalog.naming import singular
from archiver.completeness.completeness import vocabulary
from archiver.load.row_labels import id_text
from archiver.load.staged import Staged
from archiver.postgres.schema import NAMESPACE, Schema, Table, identifier
from archiver.postgres.session import SQL, Composable, Identifier, Session
from formatting import first_few


@dataclass(frozen=True)
class RowReference:
    """Columns of a table that name a row of another one in the same database."""

    table: TableName
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    enforced: bool  # by a foreign key; else only their name says so

    def __str__(self) -> str:
        return f"{self.table}.{', '.join(self.columns)}"


@dataclass(frozen=True, kw_only=True)
class MissingReference:
    """Rows that archived ones refer to, and that are neither live nor in the archive."""

    reference: RowReference
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reference}: no {self.reference.target} {first_few(self.keys)}"


def missing_references(
    session: Session, staged: Mapping[str, Staged], schema: Schema, model: Model
) -> list[MissingReference]:
    """Every reference of missing rows that leads nowhere, by foreign key or by name, within one database."""
    found = []
    for reference in _references(session, staged, schema, model):
        query = _leading_nowhere(reference, staged)
        rows = session.rows(query, doing=f"following {reference}")
        if rows:
            found.append(MissingReference(reference=reference, keys=tuple(row[0] for row in rows)))
    return found


def _references(session: Session, staged: Mapping[str, Staged], schema: Schema, model: Model) -> Iterator[RowReference]:
    keys = {row[0]: (row[1], row[2]) for row in session.rows(_KEYS, (NAMESPACE,), doing="reading the primary keys")}
    for name, one in staged.items():
        enforced = list(_enforced(one, schema.tables[name]))
        yield from enforced
        said = {column for reference in enforced for column in reference.columns}
        words = _words(one.table, model, keys)
        for column in one.shape.columns:
            target = words.get(column.name, "") if column.name not in said else ""
            if target in keys and _alike(keys[target][1], column.type):
                yield RowReference(one.table, (column.name,), target, (keys[target][0],), enforced=False)


def _enforced(one: Staged, live: Table) -> Iterator[RowReference]:
    for key in live.foreign_keys:
        if one.column_names.issuperset(key.columns):
            yield RowReference(one.table, key.columns, key.target, key.target_columns, enforced=True)


def _words(table: TableName, model: Model, keys: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """What columns are called that name a row of a table in the same database."""
    words = {f"{singular(name)}_id": name for name in keys}
    words |= {word: target.table for word, target in vocabulary(model).items() if target.database == table.database}
    customer = model.tenant.customer
    if customer and table == TableName(MASTER, model.tenant.table):
        words[customer.column] = customer.table
    return words


def _alike(one: str, other: str) -> bool:
    """Whether two columns can name the same thing."""
    whole = ("smallint", "integer", "bigint")
    return one == other or (one in whole and other in whole)


def _leading_nowhere(reference: RowReference, staged: Mapping[str, Staged]) -> Composable:
    one, pairs = staged[reference.table.table], zip(reference.columns, reference.target_columns, strict=True)
    match = SQL(" AND ").join(SQL("t.{} = s.{}").format(Identifier(two), Identifier(first)) for first, two in pairs)
    absent = SQL("NOT EXISTS (SELECT 1 FROM {} t WHERE {})")
    beside = staged.get(reference.target)
    places: list[Composable] = [identifier(reference.target)]
    if beside and beside.column_names.issuperset(reference.target_columns):
        places.append(beside.relation)
    conditions = [
        *(SQL("s.{} IS NOT NULL").format(Identifier(column)) for column in reference.columns),
        *(absent.format(place, match) for place in places),
    ]
    return SQL("SELECT DISTINCT {} FROM ({}) s WHERE {} ORDER BY 1").format(
        id_text(one.shape, reference.columns, "s"), one.missing, SQL(" AND ").join(conditions)
    )


_KEYS = """
SELECT c.relname, min(a.attname), min(pg_catalog.format_type(a.atttypid, a.atttypmod))
  FROM pg_catalog.pg_constraint k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(k.conkey)
 WHERE n.nspname = %s AND k.contype = 'p' AND k.conparentid = 0
 GROUP BY c.relname HAVING count(*) = 1
"""
