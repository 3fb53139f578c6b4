"""Random rows for a shape: a tenant's, shared ones, and orphans."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product as pairs

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.properties.product import MASTER, Column, Row
from tests.properties.shapes import Ref, Shape, Sketch
from tests.properties.values import KEYS, KINDS, PLAIN

Key = tuple[str, ...]
MOST_TENANTS, MOST_ROWS, MOST_VALUES = 5, 8, 4
WORDS = ("p", "q", "r")


class Filling:
    """Draws the rows of one shape: first keys, then references, then the rest."""

    def __init__(self, draw: DrawFn, shape: Shape, plain: Mapping[str, Sequence[Column]]) -> None:
        self.draw, self.shape, self.plain = draw, shape, plain
        self.places = {table.path: self._places(table) for table in shape.sketches}
        self.keys = {table.path: self._keys(table) for table in shape.sketches}
        types = sorted({column.type for columns in plain.values() for column in columns})
        self.pools = {kind: draw(st.lists(PLAIN[kind], min_size=1, max_size=MOST_VALUES)) for kind in types}

    def rows(self) -> tuple[Row, ...]:
        """The rows of all tables; of tables without key some stand twice."""
        return tuple(row for table in self.shape.sketches for row in self._of(table))

    def _places(self, table: Sketch) -> list[str]:
        """Return the database of each row."""
        if table is self.shape.sketches[0]:
            return [MASTER] * self.draw(st.integers(2, MOST_TENANTS))
        many = self.draw(st.sampled_from([*range(MOST_ROWS + 1), *range(2, MOST_ROWS + 1)]))
        where = [MASTER] if table.database == MASTER else list(self.shape.shards)
        return [self.draw(st.sampled_from(where)) for _ in range(many)]

    def _keys(self, table: Sketch) -> list[Key]:
        """Return the key of each row; each shard counts for itself where it is drawn so."""
        if not table.own:
            return [()] * len(self.places[table.path])
        values = [KEYS[column.type] for column in table.own]
        distinct = list(zip(*values, strict=True)) if len(values) == 1 else _triangle(*values)
        first = self.draw(st.integers(0, len(distinct) - MOST_ROWS)) if table is not self.shape.sketches[0] else 0
        apart, places = self.draw(st.booleans()), self.places[table.path]
        return [
            distinct[first + (places[:number].count(place) if apart else number)] for number, place in enumerate(places)
        ]

    def _of(self, table: Sketch) -> list[Row]:
        rows: dict[object, Row] = {}
        for number, place in enumerate(self.places[table.path]):
            row = Row(table=table.path, place=place, cells=self._cells(table, number, place))
            rows.setdefault((place, row.key(table.key)) if table.key else number, row)
        return [*rows.values(), *self._doubles(table, list(rows.values()))]

    def _doubles(self, table: Sketch, rows: list[Row]) -> list[Row]:
        if table.declared or not rows or not self.draw(st.booleans()):
            return []
        row = self.draw(st.sampled_from(rows))
        return [Row(table=row.table, place=row.place, cells=dict(row.cells))]

    def _cells(self, table: Sketch, number: int, place: str) -> dict[str, str | None]:
        own = dict(zip(table.own_names, self.keys[table.path][number], strict=True))
        cells: dict[str, str | None] = {**own}
        for ref in self.shape.refs:
            if ref.holder is table and (ref.where is None or ref.where[0] not in cells):
                cells |= self._named(self._one_of(ref), place)
        cells |= {column: self._word(table, column) for one, column in self.shape.alike if one is table}
        cells |= {column.name: self._plain(column) for column in self.plain[table.path]}
        return cells

    def _one_of(self, ref: Ref) -> Ref:
        """Return one of several references that share their columns."""
        if ref.where is None:
            return ref
        return self.draw(
            st.sampled_from([one for one in self.shape.refs if one.holder is ref.holder and one.columns == ref.columns])
        )

    def _named(self, ref: Ref, place: str) -> dict[str, str | None]:
        """Return the values by which a row references one of the target's, or none, or a missing one."""
        key = self._key(ref, place)
        cells: dict[str, str | None] = dict(zip(ref.columns, key, strict=True))
        if ref.where is None:
            return cells
        column, value = ref.where
        others = KINDS[ref.holder.kinds[column]][2:]
        return cells | {column: self.draw(st.sampled_from([value, value, value, *others, None]))}

    def _key(self, ref: Ref, place: str) -> Sequence[str | None]:
        columns = [column for column in ref.holder.refs if column.name in ref.columns]
        near = zip(self.keys[ref.target.path], self.places[ref.target.path], strict=True)
        there = [key for key, where in near if where == place or MASTER in (where, place)]
        fitting = list(dict.fromkeys(key for key in there if _fits(key, columns)))
        unmatched = tuple(KEYS[column.type][-1] for column in ref.target.own)
        choices: list[Sequence[str | None]] = [*fitting] * 3
        choices += [[None] * len(columns)] if all(column.nullable for column in columns) else []
        if _fits(unmatched, columns):
            choices += [[unmatched[0], None]] if len(columns) > 1 and columns[1].nullable else []
            choices += [unmatched] if ref.foreign_key is None or not choices else []
        return self.draw(st.sampled_from(choices or [[KEYS[column.type][-1] for column in columns]]))

    def _word(self, table: Sketch, name: str) -> str | None:
        nullable = next(column.nullable for column in table.refs if column.name == name)
        return self.draw(st.sampled_from([*WORDS, None] if nullable else WORDS))

    def _plain(self, column: Column) -> str | None:
        pool: list[str | None] = [*self.pools[column.type]]
        return self.draw(st.sampled_from([*pool, None] if column.nullable else pool))


def _triangle(one: Sequence[str], two: Sequence[str]) -> list[Key]:
    """Pairs of values, of which one half or the other often is the same."""
    return [(first, second) for first, second in pairs(one[:4], two[:4])]


def _fits(key: Sequence[str], columns: Sequence[Column]) -> bool:
    """True if columns can hold a key: one that references a bigint may be narrower."""
    return all(column.type != "integer" or abs(int(value)) < 2**31 for value, column in zip(key, columns, strict=True))
