"""What still names people of old, or a row that would go with them: asked of the live databases themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.completeness.completeness import Pointer, unexplained
from archiver.completeness.live import LiveCatalogue, LiveForeignKey, read_live
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema, identifier, read_schema
from archiver.postgres.session import SQL, Composable, Composed, Identifier, Literal, Session
from archiver.runs.purge_tables import model_of

Key = tuple[object, ...]


def references_to(databases: Databases, ids: Sequence[int]) -> Mapping[int, list[str]]:
    """By what live rows each of these people, or a row that would go with them, is named.

    It asks what the live catalogue tells of foreign keys, names and types, in master and on the shards: not what the
    catalog of tables speaks of.
    """
    model = model_of(databases.model)
    schema = read_schema(databases.master, [table.table for table in model.tables])
    needed: dict[int, list[str]] = defaultdict(list)
    for name, kind in databases.names_and_kinds() if ids else ():
        session = databases.session(name)
        live = read_live(session, unread={table.table for table in databases.model.of(SHARD)} if kind == SHARD else ())
        for naming in _namings(model, kind, live, schema):
            owners = _owners(databases.master, model, naming, ids)
            for key, rows in _naming_rows(session, naming, owners):
                needed[owners[key]].append(f"{naming} ({rows})")
    return needed


@dataclass(frozen=True, kw_only=True)
class _Naming:
    """Columns somewhere that name a row which would go."""

    table: str
    place: Composable
    columns: tuple[str, ...]
    named: TableName
    named_columns: tuple[str, ...]
    where: tuple[str, str] | None = None  # of a polymorphic pair

    def __str__(self) -> str:
        return f"{self.table}.{', '.join(self.columns)}"


def _namings(model: Model, kind: str, live: LiveCatalogue, schema: Schema) -> Iterator[_Naming]:
    inside = {table.table for table in model.tables} if kind == MASTER else set()
    keyed = {(key.table, *key.columns) for key in live.references}
    for key in live.references if kind == MASTER else ():
        if key.target in inside and key.table not in inside:
            yield _by_key(key, live)
    for pointer in unexplained(model, kind, live):
        key_columns = schema.tables[pointer.points_at.table].primary_key
        if (pointer.table.table, *pointer.columns) not in keyed and len(key_columns) == 1:
            yield _by_pointer(pointer, key_columns)


def _by_key(key: LiveForeignKey, live: LiveCatalogue) -> _Naming:
    near = key.table in live.tables  # else its namespace stands before its name
    return _Naming(
        table=key.table,
        place=identifier(key.table) if near else Composed([Identifier(*key.table.split(".", 1))]),
        columns=key.columns,
        named=TableName(MASTER, key.target),
        named_columns=key.target_columns,
    )


def _by_pointer(pointer: Pointer, key_columns: tuple[str, ...]) -> _Naming:
    [column] = pointer.columns
    return _Naming(
        table=pointer.table.table,
        place=identifier(pointer.table.table),
        columns=(column,) if pointer.value is None else (f"{column.removesuffix('_type')}_id",),
        named=pointer.points_at,
        named_columns=key_columns,
        where=None if pointer.value is None else (column, pointer.value),
    )


def _owners(master: Session, model: Model, naming: _Naming, ids: Sequence[int]) -> dict[Key, int]:
    """The keys by which rows that would go could be named, as text, and whose they are."""
    links = model.found_by(naming.named)
    owner = links[0].columns[0] if links else model.tenant.key
    query = SQL("SELECT {owner}, {keys} FROM {table} WHERE {owner} = ANY({ids})").format(
        owner=Identifier(owner),
        keys=_texts(naming.named_columns),
        table=identifier(naming.named.table),
        ids=Literal(list(ids)),
    )
    rows = master.rows(query, doing=f"reading the keys of {naming.named}")
    return {tuple(row[1:]): row[0] for row in rows}


def _naming_rows(session: Session, naming: _Naming, owners: Mapping[Key, int]) -> Iterator[tuple[Key, int]]:
    """Each key that live rows name, and how many do; compared as text, because names alone say nothing of types."""
    if not owners:
        return
    arrays = (SQL("{}::text[]").format(Literal(list(column))) for column in zip(*owners, strict=True))
    query = SQL(
        "SELECT {texts}, count(*) FROM {place}"
        " WHERE ({texts}) IN (SELECT * FROM unnest({keys})){where} GROUP BY {texts}"
    ).format(
        texts=_texts(naming.columns),
        place=naming.place,
        keys=SQL(", ").join(arrays),
        where=_where(naming),
    )
    for *key, rows in session.rows(query, doing=f"looking for who is named in {naming.table}"):
        yield tuple(key), rows


def _where(naming: _Naming) -> Composable:
    if naming.where is None:
        return SQL("")
    column, value = naming.where
    return SQL(" AND {}::text = {}").format(Identifier(column), Literal(value))


def _texts(columns: Iterable[str]) -> Composable:
    return SQL(", ").join(SQL("{}::text").format(Identifier(column)) for column in columns)
