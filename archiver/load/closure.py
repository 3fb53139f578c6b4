"""From rows to rows inside an archive, by what their columns hold: no database is asked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.links import LinkStep, Where

Lines = dict[int, bytes]  # a table's rows as they lie in the archive, by their number there
Key = tuple[bytes, ...]  # what columns hold, as COPY text: equal values are equal texts
NULL = rb"\N"


class Closure:
    """An archive's rows, and where they lead."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._places = {
            TableName(database, name): {column.name: place for place, column in enumerate(table.copied)}
            for database, schema in archive.manifest.schemas.items()
            for name, table in schema.tables.items()
        }

    def key(self, table: TableName) -> tuple[str, ...]:
        """A table's primary key."""
        return self._archive.manifest.schemas[table.database].tables[table.table].primary_key

    def key_of(self, table: TableName, columns: Sequence[str], line: bytes) -> Key:
        """What a row holds in these columns."""
        fields, places = line.rstrip(b"\n").split(b"\t"), self._places[table]
        return tuple(fields[places[column]] for column in columns)

    def holding(self, table: TableName, columns: Sequence[str], key: Key) -> Lines:
        """The rows of a table that hold a key."""
        return {number: line for number, line in self._lines(table) if self.key_of(table, columns, line) == key}

    def follow(self, found: Mapping[TableName, Lines], hops: Sequence[LinkStep]) -> dict[TableName, Lines]:
        """These rows, and all that is reached from them by these hops, however far."""
        reached: dict[TableName, Lines] = {table: dict(found.get(table, {})) for table in self._places}
        ahead = dict(found)
        while ahead:
            keyed = {hop: keys for hop in hops if (keys := self._keys(hop, ahead.get(hop.source, {})))}
            ahead = {table: new for table in self._places if (new := self._next(table, keyed, reached[table]))}
            for table, new in ahead.items():
                reached[table] |= new
        return reached

    def _keys(self, hop: LinkStep, lines: Lines) -> set[Key]:
        """What these rows hold where a hop begins; a key with a NULL in it leads nowhere."""
        rows = (line for line in lines.values() if self._holds(hop.source, hop.source_where, line))
        return {key for line in rows if NULL not in (key := self.key_of(hop.source, hop.columns, line))}

    def _next(self, table: TableName, keyed: Mapping[LinkStep, set[Key]], known: Lines) -> Lines:
        """The rows of a table that one of these hops leads to and that are not known yet."""
        hops = [(hop, keys) for hop, keys in keyed.items() if hop.target == table]
        lines = self._lines(table) if hops else ()
        return {number: line for number, line in lines if number not in known and self._led_to(line, hops)}

    def _led_to(self, line: bytes, hops: Iterable[tuple[LinkStep, set[Key]]]) -> bool:
        return any(
            self.key_of(hop.target, hop.target_columns, line) in keys
            and self._holds(hop.target, hop.target_where, line)
            for hop, keys in hops
        )

    def _holds(self, table: TableName, where: Where, line: bytes) -> bool:
        return where is None or self.key_of(table, where[:1], line) == (where[1].encode(),)

    def _lines(self, table: TableName) -> Iterator[tuple[int, bytes]]:
        yield from enumerate(self._archive.open(layout.member(table)))
