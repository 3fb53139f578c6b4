"""References from live rows to legacy users, or to rows deleted with them, found in the live databases."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.catalog.naming import id_column
from archiver.completeness.live import LiveCatalogue, LiveForeignKey, read_live
from archiver.completeness.pointers import Pointer, unexplained
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema, identifier, read_schema
from archiver.postgres.session import SQL, Composable, Composed, Identifier, Literal, Session
from archiver.runs.purge_tables import model_of

Key = tuple[object, ...]


def references_to(databases: Databases, ids: Sequence[int]) -> Mapping[int, list[str]]:
    """Return the references from live rows to each of these users, or to rows deleted with them, by user id.

    They are derived from foreign keys, column names and types in the live system catalogs of master and shards, not
    from the catalog of tables.
    """
    model = model_of(databases.model)
    schema = read_schema(databases.master, [table.table for table in model.tables])
    references: dict[int, list[str]] = defaultdict(list)
    for name, kind in databases.names_and_kinds() if ids else ():
        session = databases.session(name)
        live = read_live(session, unread={table.table for table in databases.model.of(SHARD)} if kind == SHARD else ())
        for reference in _references(model, kind, live, schema):
            owners = _owners(databases.master, model, reference, ids)
            for key, rows in _referencing_rows(session, reference, owners):
                references[owners[key]].append(f"{reference} ({rows})")
    return references


@dataclass(frozen=True, kw_only=True)
class _Reference:
    """Columns of a table that reference a row to delete."""

    table: str
    relation: Composable
    columns: tuple[str, ...]
    named: TableName
    named_columns: tuple[str, ...]
    where: tuple[str, str] | None = None  # type column and value of a polymorphic pair

    def __str__(self) -> str:
        return f"{self.table}.{', '.join(self.columns)}"


def _references(model: Model, kind: str, live: LiveCatalogue, schema: Schema) -> Iterator[_Reference]:
    inside = {table.table for table in model.tables} if kind == MASTER else set()
    keyed = {(key.table, *key.columns) for key in live.references}
    for key in live.references if kind == MASTER else ():
        if key.target in inside and key.table not in inside:
            yield _by_key(key, live)
    for pointer in unexplained(model, kind, live):
        if not pointer.columns:
            continue  # a materialized view needs no row: it holds copies
        key_columns = schema.tables[pointer.points_at.table].primary_key
        if (pointer.table.table, *pointer.columns) not in keyed and len(key_columns) == 1:
            yield _by_pointer(pointer, live, key_columns)


def _by_key(key: LiveForeignKey, live: LiveCatalogue) -> _Reference:
    visible = key.table in live.tables  # else its name has its schema
    return _Reference(
        table=key.table,
        relation=identifier(key.table) if visible else Composed([Identifier(*key.table.split(".", 1))]),
        columns=key.columns,
        named=TableName(MASTER, key.target),
        named_columns=key.target_columns,
    )


def _by_pointer(pointer: Pointer, live: LiveCatalogue, key_columns: tuple[str, ...]) -> _Reference:
    [column] = pointer.columns
    return _Reference(
        table=pointer.table.table,
        relation=_relation(pointer.table.table, column, live),
        columns=(column,) if pointer.value is None else (str(id_column(column)),),
        named=pointer.points_at,
        named_columns=key_columns,
        where=None if pointer.value is None else (column, pointer.value),
    )


def _relation(table: str, column: str, live: LiveCatalogue) -> Composable:
    """SQL: a relation, with one row for each element of the column if that is an array."""
    visible = table in live.tables
    type_ = live.tables[table].type_of(column) if visible else live.elsewhere.columns[table][column]
    schema, dot, name = table.partition(".")
    relation = Composed([Identifier(schema, name)]) if dot and not visible else identifier(table)
    if not type_.endswith("[]"):
        return relation
    return SQL("(SELECT unnest({0}) AS {0} FROM {1}) AS elements").format(Identifier(column), relation)


def _owners(master: Session, model: Model, reference: _Reference, ids: Sequence[int]) -> dict[Key, int]:
    """Return the keys of rows to delete, as text, with the user id of each."""
    links = model.found_by(reference.named)
    owner = links[0].columns[0] if links else model.tenant.key
    query = SQL("SELECT {owner}, {keys} FROM {table} WHERE {owner} = ANY({ids})").format(
        owner=Identifier(owner),
        keys=_texts(reference.named_columns),
        table=identifier(reference.named.table),
        ids=Literal(list(ids)),
    )
    rows = master.rows(query, doing=f"reading the keys of {reference.named}")
    return {tuple(row[1:]): row[0] for row in rows}


def _referencing_rows(session: Session, reference: _Reference, owners: Mapping[Key, int]) -> Iterator[tuple[Key, int]]:
    """Yield each key that live rows reference, with their number; compared as text, as the types may differ."""
    if not owners:
        return
    arrays = (SQL("{}::text[]").format(Literal(list(column))) for column in zip(*owners, strict=True))
    query = SQL(
        "SELECT {texts}, count(*) FROM {relation}"
        " WHERE ({texts}) IN (SELECT * FROM unnest({keys})){where} GROUP BY {texts}"
    ).format(
        texts=_texts(reference.columns),
        relation=reference.relation,
        keys=SQL(", ").join(arrays),
        where=_where(reference),
    )
    for *key, rows in session.rows(query, doing=f"looking for references in {reference.table}"):
        yield tuple(key), rows


def _where(reference: _Reference) -> Composable:
    if reference.where is None:
        return SQL("")
    column, value = reference.where
    return SQL(" AND {}::text = {}").format(Identifier(column), Literal(value))


def _texts(columns: Iterable[str]) -> Composable:
    return SQL(", ").join(SQL("{}::text").format(Identifier(column)) for column in columns)
