"""Find sequences that would give out an archived id again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from archiver.load.staged import Staged
from archiver.mapping.schema_mapping import SchemaMapping
from archiver.postgres.sequences import Sequence, read_sequences
from archiver.postgres.session import SQL, Identifier, Session
from errors import RefusedError

_Column = tuple[str, str]  # a live table and one of its columns
Numbers = Mapping[_Column, tuple[int, int]]  # the lowest and the highest archived number


def archived_numbers(mapping: SchemaMapping, highest: Mapping[str, int]) -> Numbers:
    """Return the numbers that a manifest names for the live columns; it names the highest alone, so that is both."""
    return {
        (table.target.table, column.name): (number, number)
        for table in mapping.tables
        for column in table.shape.columns
        if (number := highest.get(f"{table.source}.{table.origins[column.name]}")) is not None
    }


def too_low(session: Session, numbers: Numbers) -> Iterator[RefusedError]:
    """Yield an error for each live sequence that would give out one of these numbers again."""
    for sequence in read_sequences(session, {table for table, _ in numbers}):
        if archived := numbers.get((sequence.table, sequence.column)):
            yield from _too_low(sequence, *archived)


def too_low_for_rows(session: Session, staged: Iterable[Staged]) -> Iterator[RefusedError]:
    """Yield an error for each live sequence that would give out the number of a staged row again."""
    tables = {each.table.table: each for each in staged}
    for sequence in read_sequences(session, tables):
        if sequence.column in tables[sequence.table].column_names:
            query = SQL("SELECT min({0}), max({0}) FROM {1}").format(
                Identifier(sequence.column), tables[sequence.table].relation
            )
            lowest, highest = session.row(query, doing=f"reading the ids of {sequence.table}")
            if lowest is not None:
                yield from _too_low(sequence, lowest, highest)


def _too_low(sequence: Sequence, lowest: int, highest: int) -> Iterator[RefusedError]:
    """Yield an error if the sequence has not yet passed these numbers."""
    last, passed = (highest, sequence.next > highest) if sequence.ascending else (lowest, sequence.next < lowest)
    if not passed:
        yield RefusedError(
            f"The sequence {sequence.name} would give out {sequence.next} next, before the archived id {last}: "
            "it would give ids out twice.",
            hint=f"SELECT setval('{sequence.name}', {last});",
        )
