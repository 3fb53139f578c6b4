"""The columns of a shard that hold ids of its own tables: by keys, links, foreign keys, names, polymorphic pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import SHARD, Link, Model
from archiver.catalog.naming import singular
from archiver.postgres.schema import WHOLE_NUMBERS, Schema, Table
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from archiver.records.id_offsets import Offsets, translated

_TableColumn = tuple[str, str]  # a table and one of its columns


@dataclass(frozen=True, kw_only=True)
class IdColumn:
    """A column that holds ids of the shard's tables."""

    name: str
    type: str
    holds: Composable | None  # SQL: the rows in which it does; None: all rows

    def translated(self, value: Composable, relocations: Sequence[Offsets]) -> Composable:
        """SQL: a value of the column after these relocations, in their order."""
        for offsets in relocations:
            value = translated(value, offsets, self.holds)
        return SQL("({})::{}").format(value, SQL(self.type))


def id_columns(model: Model, schema: Schema) -> Mapping[str, tuple[IdColumn, ...]]:
    """Return all such columns by table.

    A column counts by its name even if the catalog does not follow it: its number means a row of this shard, whether or
    not that row decides which tenant owns it.
    """
    always, sometimes = _always(model, schema), _sometimes(model, schema)
    return {
        name: tuple(
            IdColumn(name=column.name, type=column.type, holds=None if pair in always else _any(sometimes[pair]))
            for column in shape.copied
            if (pair := (name, column.name)) in always or sometimes.get(pair)
        )
        for name, shape in schema.tables.items()
    }


def key_of(shape: Table) -> str | None:
    """Return the column of a table's ids; None if its key is not a single whole number."""
    [*key] = shape.primary_key
    return key[0] if len(key) == 1 and shape.type_of(key[0]) in WHOLE_NUMBERS else None


def _always(model: Model, schema: Schema) -> set[_TableColumn]:
    """Return the columns that hold ids in every row: keys, columns named after them, and columns equal to either."""
    keys = {name: key for name, shape in schema.tables.items() if (key := key_of(shape))}
    id_names, across = {f"{singular(name)}_id" for name in keys}, _across(model)
    columns = set(keys.items())
    for name, shape in schema.tables.items():
        columns |= {
            (name, column) for column in _integers(shape) if column in id_names and (name, column) not in across
        }
    equal = [*_linked(model), *_foreign(schema)]
    while more := {column for pair in equal if columns & {*pair} for column in pair} - columns:
        columns |= more
    return columns


def _sometimes(model: Model, schema: Schema) -> Mapping[_TableColumn, list[Composable]]:
    """Return the columns that hold ids under a condition: a link's, or the class in the type column beside them."""
    conditions: dict[_TableColumn, list[Composable]] = defaultdict(list)
    for link in model.links:
        if link.where and _inside(link):
            column, value = link.where
            holds = SQL("{}::text = {}").format(Identifier(column), Literal(value))
            for name in link.columns:
                conditions[link.child.table, name].append(holds)
    classes = Literal([singular(name) for name, shape in schema.tables.items() if key_of(shape)])
    for name, shape in schema.tables.items():
        for id_column in _integers(shape):
            kind = f"{id_column.removesuffix('_id')}_type"
            if id_column.endswith("_id") and any(column.name == kind for column in shape.columns):
                conditions[name, id_column].append(_IS_OF.format(Identifier(kind), classes))
    return conditions


# The same conversion as catalog.naming.table_of_class: ClassRoom, class_room.
_IS_OF = SQL("lower(regexp_replace({}::text, '([a-z0-9])([A-Z])', '\\1_\\2', 'g')) = ANY({})")


def _any(conditions: Sequence[Composable]) -> Composable:
    return SQL("({})").format(SQL(" OR ").join(conditions))


def _integers(shape: Table) -> Iterator[str]:
    return (column.name for column in shape.copied if column.type in WHOLE_NUMBERS)


def _inside(link: Link) -> bool:
    return link.child.database == link.parent.database == SHARD


def _linked(model: Model) -> Iterator[tuple[_TableColumn, _TableColumn]]:
    """Yield pairs of columns that a link within the shard makes equal."""
    for link in model.links:
        if link.where is None and _inside(link):
            for column, parent in zip(link.columns, link.parent_columns, strict=True):
                yield (link.child.table, column), (link.parent.table, parent)


def _foreign(schema: Schema) -> Iterator[tuple[_TableColumn, _TableColumn]]:
    for name, shape in schema.tables.items():
        for key in shape.foreign_keys:
            for column, target in zip(key.columns, key.target_columns, strict=True):
                yield (name, column), (key.target, target)


def _across(model: Model) -> set[_TableColumn]:
    """Return the shard's columns that name rows of master, or that rows of master name."""
    links = [link for link in model.links if link.child.database != link.parent.database]
    child = {(link.child.table, name) for link in links if link.child.database == SHARD for name in link.columns}
    parent = {
        (link.parent.table, name) for link in links if link.parent.database == SHARD for name in link.parent_columns
    }
    return child | parent
