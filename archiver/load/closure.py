"""Follow links between the rows of an archive by column values; no database is queried."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.links import LinkStep, Where

Lines = dict[int, bytes]  # a table's rows as lines of the archive, by line number
Key = tuple[bytes, ...]  # values of columns as COPY text: equal values are equal texts
NULL = rb"\N"


class Closure:
    """The rows of an archive and the links between them."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._positions = {
            TableName(database, name): {column.name: position for position, column in enumerate(table.copied)}
            for database, schema in archive.manifest.schemas.items()
            for name, table in schema.tables.items()
        }

    def key(self, table: TableName) -> tuple[str, ...]:
        """Return a table's primary key."""
        return self._archive.manifest.schemas[table.database].tables[table.table].primary_key

    def key_of(self, table: TableName, columns: Sequence[str], line: bytes) -> Key:
        """Return a row's values in these columns."""
        fields, positions = line.rstrip(b"\n").split(b"\t"), self._positions[table]
        return tuple(fields[positions[column]] for column in columns)

    def holding(self, table: TableName, columns: Sequence[str], key: Key) -> Lines:
        """Return the rows of a table with these values."""
        return {number: line for number, line in self._lines(table) if self.key_of(table, columns, line) == key}

    def follow(self, start: Mapping[TableName, Lines], steps: Sequence[LinkStep]) -> dict[TableName, Lines]:
        """Return these rows, and all rows that they lead to by any number of these steps."""
        reached: dict[TableName, Lines] = {table: dict(start.get(table, {})) for table in self._positions}
        ahead = dict(start)
        while ahead:
            keyed = {step: keys for step in steps if (keys := self._keys(step, ahead.get(step.source, {})))}
            ahead = {table: new for table in self._positions if (new := self._next(table, keyed, reached[table]))}
            for table, new in ahead.items():
                reached[table] |= new
        return reached

    def _keys(self, step: LinkStep, lines: Lines) -> set[Key]:
        """Return the values of these rows in a step's columns; a key with NULL leads nowhere."""
        rows = (line for line in lines.values() if self._holds(step.source, step.source_where, line))
        return {key for line in rows if NULL not in (key := self.key_of(step.source, step.columns, line))}

    def _next(self, table: TableName, keyed: Mapping[LinkStep, set[Key]], reached: Lines) -> Lines:
        """Return the rows of a table that one of these steps leads to, without those reached before."""
        steps = [(step, keys) for step, keys in keyed.items() if step.target == table]
        lines = self._lines(table) if steps else ()
        return {number: line for number, line in lines if number not in reached and self._led_to(line, steps)}

    def _led_to(self, line: bytes, steps: Iterable[tuple[LinkStep, set[Key]]]) -> bool:
        """True if one of these steps leads to the row."""
        return any(
            self.key_of(step.target, step.target_columns, line) in keys
            and self._holds(step.target, step.target_where, line)
            for step, keys in steps
        )

    def _holds(self, table: TableName, where: Where, line: bytes) -> bool:
        """True if a row meets a link's condition."""
        return where is None or self.key_of(table, where[:1], line) == (where[1].encode(),)

    def _lines(self, table: TableName) -> Iterator[tuple[int, bytes]]:
        """Yield the rows of a table with their line numbers."""
        yield from enumerate(self._archive.open(layout.member(table)))
