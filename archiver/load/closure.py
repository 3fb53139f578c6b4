"""Follow links between the rows of an archive by their values; no live database is queried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Set

from archiver.catalog.model import TableName, Where
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.links import LinkStep
from archiver.load.row_values import Key, RowValues

Lines = dict[int, bytes]  # a table's rows as lines of the archive, by line number
Numbers = Mapping[TableName, Set[int]]  # line numbers


class Closure:
    """The rows of an archive and the links between them."""

    def __init__(self, values: Mapping[TableName, RowValues]) -> None:
        self._values = values

    def holding(self, table: TableName, columns: Sequence[str], key: Key) -> set[int]:
        """Return the rows of a table with these values."""
        values = self._values[table]
        return {number for number in range(len(values.rows)) if values.key(number, columns) == key}

    def follow(self, start: Numbers, steps: Sequence[LinkStep]) -> dict[TableName, set[int]]:
        """Return these rows, and all rows that they lead to by any number of these steps."""
        reached: dict[TableName, set[int]] = {table: set(start.get(table, ())) for table in self._values}
        ahead: dict[TableName, Set[int]] = dict(start)
        while ahead:
            keyed = {step: keys for step in steps if (keys := self._keys(step, ahead.get(step.source, set())))}
            ahead = {table: new for table in self._values if (new := self._next(table, keyed, reached[table]))}
            for table, numbers in ahead.items():
                reached[table] |= numbers
        return reached

    def _keys(self, step: LinkStep, numbers: Set[int]) -> set[Key]:
        """Return the values of these rows in a step's columns; a key with NULL leads nowhere."""
        values = self._values[step.source]
        meeting = (number for number in numbers if values.holds(number, step.source_where))
        return {key for number in meeting if (key := values.key(number, step.columns)) is not None}

    def _next(self, table: TableName, keyed: Mapping[LinkStep, set[Key]], reached: Set[int]) -> set[int]:
        """Return the rows of a table that one of these steps leads to, without those reached before."""
        steps = [(step, keys) for step, keys in keyed.items() if step.target == table]
        numbers = range(len(self._values[table].rows)) if steps else ()
        return {number for number in numbers if number not in reached and self._led_to(number, steps)}

    def _led_to(self, number: int, steps: Iterable[tuple[LinkStep, set[Key]]]) -> bool:
        """True if one of these steps leads to the row."""
        return any(
            (values := self._values[step.target]).key(number, step.target_columns) in keys
            and values.holds(number, step.target_where)
            for step, keys in steps
        )


def wanted_by(steps: Iterable[LinkStep]) -> Iterator[tuple[TableName, str | Where]]:
    """Yield the columns and conditions that these steps ask for."""
    for step in steps:
        sides = (
            (step.source, step.columns, step.source_where),
            (step.target, step.target_columns, step.target_where),
        )
        for table, columns, where in sides:
            yield from ((table, column) for column in columns)
            if where is not None:
                yield table, where


def lines_of(archive: Archive, numbers: Numbers) -> dict[TableName, Lines]:
    """Return these rows as lines, of every table of the archive."""
    tables = [
        TableName(database, name) for database, schema in archive.manifest.schemas.items() for name in schema.tables
    ]
    return {table: _lines(archive, table, numbers.get(table, frozenset())) for table in tables}


def _lines(archive: Archive, table: TableName, numbers: Set[int]) -> Lines:
    lines = enumerate(archive.open(layout.member(table))) if numbers else ()
    return {number: line for number, line in lines if number in numbers}
