"""Which columns of a shard hold ids of its own tables: by keys, links, foreign keys, names and polymorphic pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import SHARD, Link, Model
from archiver.catalog.naming import singular
from archiver.postgres.schema import Schema, Table
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from archiver.records.id_index import WHOLE_NUMBERS
from archiver.records.id_offsets import Offsets, translated

_Place = tuple[str, str]  # a table and one of its columns


@dataclass(frozen=True, kw_only=True)
class IdColumn:
    """A column that holds ids of the shard's tables."""

    name: str
    type: str
    holds: Composable | None  # in which rows it does, where not in all

    def moved(self, value: Composable, hops: Sequence[Offsets]) -> Composable:
        """A value of the column after it went these ways, one after the other."""
        for offsets in hops:
            value = translated(value, offsets, self.holds)
        return SQL("({})::{}").format(value, SQL(self.type))


def id_columns(model: Model, schema: Schema) -> Mapping[str, tuple[IdColumn, ...]]:
    """All such columns by table.

    A column counts by its name even where the catalog does not follow it: what belongs to whom is one thing, and that
    the number means a row of this shard another.
    """
    always, sometimes = _always(model, schema), _sometimes(model, schema)
    return {
        name: tuple(
            IdColumn(name=column.name, type=column.type, holds=None if place in always else _any(sometimes[place]))
            for column in shape.copied
            if (place := (name, column.name)) in always or sometimes.get(place)
        )
        for name, shape in schema.tables.items()
    }


def key_of(shape: Table) -> str | None:
    """The column of a table's ids; None where its rows are named otherwise."""
    [*key] = shape.primary_key
    return key[0] if len(key) == 1 and shape.type_of(key[0]) in WHOLE_NUMBERS else None


def _always(model: Model, schema: Schema) -> set[_Place]:
    """The columns that hold ids in every row: keys, what is called after them, and what is equal to either."""
    keys = {name: key for name, shape in schema.tables.items() if (key := key_of(shape))}
    called, across = {f"{singular(name)}_id" for name in keys}, _across(model)
    found = set(keys.items())
    for name, shape in schema.tables.items():
        found |= {(name, each) for each in _whole(shape) if each in called and (name, each) not in across}
    equal = [*_linked(model), *_foreign(schema)]
    while more := {place for pair in equal if found & {*pair} for place in pair} - found:
        found |= more
    return found


def _sometimes(model: Model, schema: Schema) -> Mapping[_Place, list[Composable]]:
    """The columns that hold ids where a condition holds: by a link's, or by the class that stands beside them."""
    found: dict[_Place, list[Composable]] = defaultdict(list)
    for link in model.links:
        if link.where and _inside(link):
            column, value = link.where
            holds = SQL("{}::text = {}").format(Identifier(column), Literal(value))
            for name in link.columns:
                found[link.child.table, name].append(holds)
    classes = Literal([singular(name) for name, shape in schema.tables.items() if key_of(shape)])
    for name, shape in schema.tables.items():
        for each in _whole(shape):
            kind = f"{each.removesuffix('_id')}_type"
            if each.endswith("_id") and any(column.name == kind for column in shape.columns):
                found[name, each].append(_IS_OF.format(Identifier(kind), classes))
    return found


# A class as its table's stem, as coverage.words.table_of_class has it: ClassRoom, class_room.
_IS_OF = SQL("lower(regexp_replace({}::text, '([a-z0-9])([A-Z])', '\\1_\\2', 'g')) = ANY({})")


def _any(conditions: Sequence[Composable]) -> Composable:
    return SQL("({})").format(SQL(" OR ").join(conditions))


def _whole(shape: Table) -> Iterator[str]:
    return (column.name for column in shape.copied if column.type in WHOLE_NUMBERS)


def _inside(link: Link) -> bool:
    return link.child.database == link.parent.database == SHARD


def _linked(model: Model) -> Iterator[tuple[_Place, _Place]]:
    """Columns that a link makes equal, within the shard."""
    for link in model.links:
        if link.where is None and _inside(link):
            for column, parent in zip(link.columns, link.parent_columns, strict=True):
                yield (link.child.table, column), (link.parent.table, parent)


def _foreign(schema: Schema) -> Iterator[tuple[_Place, _Place]]:
    for name, shape in schema.tables.items():
        for key in shape.foreign_keys:
            for column, target in zip(key.columns, key.target_columns, strict=True):
                yield (name, column), (key.target, target)


def _across(model: Model) -> set[_Place]:
    """The shard's columns that name rows of master, or are named by them."""
    links = [link for link in model.links if link.child.database != link.parent.database]
    child = {(link.child.table, name) for link in links if link.child.database == SHARD for name in link.columns}
    parent = {
        (link.parent.table, name) for link in links if link.parent.database == SHARD for name in link.parent_columns
    }
    return child | parent
