"""References from live rows to legacy users, or to rows deleted with them, found in the live databases."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.catalog.naming import id_column
from archiver.checks.purge_tables import model_of
from archiver.completeness.live import LiveCatalogue, LiveForeignKey, read_live
from archiver.completeness.pointers import Pointer, unexplained
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema, identifier, read_schema
from archiver.postgres.session import SQL, Composable, Composed, Identifier, Literal, Session
from archiver.records import shard_keys
from archiver.records.purge_record import Purge

Key = tuple[object, ...]


def references_to(databases: Databases, ids: Sequence[int]) -> Mapping[int, list[str]]:
    """Return the references from live rows to each of these users, or to rows deleted with them, by user id.

    They are derived from foreign keys, column names and types in the live system catalogs of master and shards, not
    from the catalog of tables.
    """
    return watch_of(databases, ids).references()


@dataclass(frozen=True)
class Watch:
    """The columns in which live rows can name certain users, or rows that go with them."""

    _columns: Sequence[tuple[Session, Reference, Mapping[Key, int]]]  # with the keys, and the user id of each

    def references(self) -> Mapping[int, list[str]]:
        """Return the references of now, by user id; also after these users were deleted."""
        references: dict[int, list[str]] = defaultdict(list)
        for session, reference, owners in self._columns:
            for key, rows in referencing_rows(session, reference, owners):
                references[owners[key]].append(f"{reference} ({rows})")
        return references

    def counts(self) -> Mapping[int, int]:
        """Return the number of referring rows of now, by the same."""
        counts: Counter[int] = Counter()
        for session, reference, owners in self._columns:
            for key, rows in referencing_rows(session, reference, owners):
                counts[owners[key]] += rows
        return counts


def watch_of(databases: Databases, ids: Sequence[int]) -> Watch:
    """Return the watch on live users."""
    model = model_of(databases.model)
    return Watch(
        [
            (session, reference, _owners(databases.master, model, reference, ids))
            for session, reference in _all_references(databases, model, ids)
        ]
    )


def watch_of_purged(databases: Databases, purges: Sequence[Purge]) -> Watch:
    """Return the watch on users of these purges, with the purge's number in place of the user's."""
    model, purge_of = model_of(databases.model), {user_id: purge.id for purge in purges for user_id in purge.ids}
    users: dict[Key, int] = {(str(user_id),): number for user_id, number in purge_of.items()}
    columns: list[tuple[Session, Reference, Mapping[Key, int]]] = []
    for session, reference in _all_references(databases, model, [*purge_of]):
        if (reference.named, reference.named_columns) == (model.root, model.tenant.key_columns):
            columns.append((session, reference, users))
        else:
            keys = shard_keys.remembered(databases.master, purges, reference.named.table, reference.named_columns)
            columns.append((session, reference, keys))
    return Watch(columns)


def _all_references(databases: Databases, model: Model, ids: Sequence[int]) -> Iterator[tuple[Session, Reference]]:
    """Yield the references in every database, each with its session; none if there are no users."""
    schema = read_schema(databases.master, [table.table for table in model.tables])
    for name, kind in databases.names_and_kinds() if ids else ():
        session = databases.session(name)
        live = read_live(session, unread={table.table for table in databases.model.of(SHARD)} if kind == SHARD else ())
        for reference in _references(model, kind, live, schema):
            yield session, reference


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Columns of a table that reference a row to delete."""

    table: str
    relation: Composable
    columns: tuple[str, ...]
    named: TableName
    named_columns: tuple[str, ...]
    where: tuple[str, str] | None = None  # type column and value of a polymorphic pair

    def __str__(self) -> str:
        return f"{self.table}.{', '.join(self.columns)}"


def _references(model: Model, kind: str, live: LiveCatalogue, schema: Schema) -> Iterator[Reference]:
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
            yield by_pointer(pointer, live, key_columns)


def _by_key(key: LiveForeignKey, live: LiveCatalogue) -> Reference:
    visible = key.table in live.tables  # else its name has its schema
    return Reference(
        table=key.table,
        relation=identifier(key.table) if visible else Composed([Identifier(*key.table.split(".", 1))]),
        columns=key.columns,
        named=TableName(MASTER, key.target),
        named_columns=key.target_columns,
    )


def by_pointer(pointer: Pointer, live: LiveCatalogue, key_columns: tuple[str, ...]) -> Reference:
    """Return the reference of columns that can point at a row with that key."""
    [column] = pointer.columns
    return Reference(
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


def _owners(master: Session, model: Model, reference: Reference, ids: Sequence[int]) -> dict[Key, int]:
    """Return the keys of rows to delete, as text, with the user id of each."""
    links = model.found_by(reference.named)
    [owner, *_] = links[0].columns if links else model.tenant.key_columns
    query = SQL("SELECT {owner}, {keys} FROM {table} WHERE {owner} = ANY({ids})").format(
        owner=Identifier(owner),
        keys=_texts(reference.named_columns),
        table=identifier(reference.named.table),
        ids=Literal(list(ids)),
    )
    rows = master.rows(query, doing=f"reading the keys of {reference.named}")
    return {tuple(row[1:]): row[0] for row in rows}


def referencing_rows(session: Session, reference: Reference, referred: Collection[Key]) -> Iterator[tuple[Key, int]]:
    """Yield each key that live rows reference, with their number; compared as text, as the types may differ."""
    if not referred:
        return
    arrays = (SQL("{}::text[]").format(Literal(list(column))) for column in zip(*referred, strict=True))
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


def _where(reference: Reference) -> Composable:
    if reference.where is None:
        return SQL("")
    column, value = reference.where
    return SQL(" AND {}::text = {}").format(Identifier(column), Literal(value))


def _texts(columns: Iterable[str]) -> Composable:
    return SQL(", ").join(SQL("{}::text").format(Identifier(column)) for column in columns)
