"""Find references of archived rows to rows that are neither live nor in the archive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import MASTER, Model, TableName
from archiver.catalog.naming import singular
from archiver.completeness.pointers import vocabulary
from archiver.load.row_labels import id_text
from archiver.load.staged import Staged
from archiver.postgres.schema import NAMESPACE, Schema, Table, identifier
from archiver.postgres.session import SQL, Composable, Identifier, Session
from formatting import first_few


@dataclass(frozen=True)
class RowReference:
    """Columns of a table that refer to a row of another one in the same database."""

    table: TableName
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    enforced: bool  # by a foreign key; else implied by the column's name

    def __str__(self) -> str:
        return f"{self.table}.{', '.join(self.columns)}"


@dataclass(frozen=True, kw_only=True)
class MissingReference:
    """Keys that archived rows refer to, of rows that are neither live nor in the archive."""

    reference: RowReference
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.reference}: no {self.reference.target} {first_few(self.keys)}"


def missing_references(
    session: Session,
    staged: Mapping[str, Staged],
    schema: Schema,
    model: Model,
    others: Sequence[Mapping[str, Staged]] = (),
) -> list[MissingReference]:
    """Return every reference of missing rows that leads nowhere, by foreign key or name, within one database.

    `others` are staged tables of other archives that are loaded with these.
    """
    missing = []
    for reference in _references(session, staged, schema, model):
        query = _without_target(reference, staged, others)
        rows = session.rows(query, doing=f"following {reference}")
        if rows:
            missing.append(MissingReference(reference=reference, keys=tuple(row[0] for row in rows)))
    return missing


def _references(session: Session, staged: Mapping[str, Staged], schema: Schema, model: Model) -> Iterator[RowReference]:
    """Yield the references of staged tables: by foreign keys, then by the names of other columns."""
    keys = {row[0]: (row[1], row[2]) for row in session.rows(_KEYS, (NAMESPACE,), doing="reading the primary keys")}
    for name, staged_table in staged.items():
        enforced = list(_enforced(staged_table, schema.tables[name]))
        yield from enforced
        enforced_columns = {column for reference in enforced for column in reference.columns}
        targets = _targets_by_name(staged_table.table, model, keys)
        for column in staged_table.shape.columns:
            target = targets.get(column.name, "") if column.name not in enforced_columns else ""
            if target in keys and _alike(keys[target][1], column.type):
                yield RowReference(staged_table.table, (column.name,), target, (keys[target][0],), enforced=False)


def _enforced(staged_table: Staged, live: Table) -> Iterator[RowReference]:
    """Yield the references by foreign keys."""
    for key in live.foreign_keys:
        if staged_table.column_names.issuperset(key.columns):
            yield RowReference(staged_table.table, key.columns, key.target, key.target_columns, enforced=True)


def _targets_by_name(table: TableName, model: Model, keys: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return, by column name, the table of the same database that such a column refers to."""
    targets = {f"{singular(name)}_id": name for name in keys}
    targets |= {word: target.table for word, target in vocabulary(model).items() if target.database == table.database}
    customer = model.tenant.customer
    if customer and table == TableName(MASTER, model.tenant.table):
        targets[customer.column] = customer.table
    return targets


def _alike(first: str, second: str) -> bool:
    """True if two columns of these types can hold the same key."""
    integers = ("smallint", "integer", "bigint")
    return first == second or (first in integers and second in integers)


def _without_target(
    reference: RowReference, staged: Mapping[str, Staged], others: Sequence[Mapping[str, Staged]]
) -> Composable:
    """SQL: the keys of missing rows for which there is neither a live nor a staged row."""
    staged_table, pairs = staged[reference.table.table], zip(reference.columns, reference.target_columns, strict=True)
    match = SQL(" AND ").join(
        SQL("t.{} = s.{}").format(Identifier(target_column), Identifier(column)) for column, target_column in pairs
    )
    absent = SQL("NOT EXISTS (SELECT 1 FROM {} t WHERE {})")
    targets = [tables[reference.target] for tables in (staged, *others) if reference.target in tables]
    relations: list[Composable] = [identifier(reference.target)]
    relations += [each.relation for each in targets if each.column_names.issuperset(reference.target_columns)]
    conditions = [
        *(SQL("s.{} IS NOT NULL").format(Identifier(column)) for column in reference.columns),
        *(absent.format(relation, match) for relation in relations),
    ]
    return SQL("SELECT DISTINCT {} FROM ({}) s WHERE {} ORDER BY 1").format(
        id_text(staged_table.shape, reference.columns, "s"), staged_table.missing, SQL(" AND ").join(conditions)
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
