"""Find the rows of a part in an archive and its months, by today's names and the ids that the rows get today.

Moves may have renumbered the rows of one of them and not of the other: only staged rows have comparable ids.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set

from archiver.catalog.model import MASTER, Part, TableName, Where
from archiver.format.manifest import Manifest
from archiver.load.closure import Closure, Lines, lines_of, wanted_by
from archiver.load.links import below, named, naming
from archiver.load.load import IncomingArchive
from archiver.load.row_values import RowValues, Selected, staged_values
from archiver.load.staging import stage_rows
from errors import UsageError
from inventory.keys import Parts, typed

_Values = Mapping[TableName, RowValues]


def rows_of_part(incoming: Sequence[IncomingArchive], part: Part) -> list[dict[TableName, Lines]]:
    """Return the rows of each archive that come back with a part; the first holds the part's own row.

    These are its row, all rows below it, and the rows those refer to, up to the tenant's row, but not what else belongs
    to these; by the archive's table names. A person's are also the rows by which the person is found, with all below
    them. Raises UsageError if the first archive does not hold the part.
    """
    model, schemas = incoming[0].model, incoming[0].placement.schemas
    down, up, table = below(model.links), named(model.links, schemas), model.table_of_part(part.noun)
    key = schemas[MASTER].tables[table.table].primary_key
    found_by = naming(model.found_by(table), key)
    requested = _columns((*wanted_by((*down, *up)), *((table, column) for column in key)))
    values = [_values_of(each, requested) for each in incoming]
    closure = Closure({table: _joined(columns, table, values) for table, columns in requested.items()})
    own = closure.holding(table, key, tuple(map(str, part.id if isinstance(part.id, Parts) else (part.id,))))
    if not own:
        raise _not_in(incoming[0].archive.manifest, part)
    numbers = closure.follow(closure.follow(closure.follow({table: own}, found_by), down), up)
    return [_lines(each, numbers, values, position) for position, each in enumerate(incoming)]


def _columns(requested: Iterable[tuple[TableName, str | Where]]) -> dict[TableName, Selected]:
    columns: defaultdict[TableName, dict[str | Where, None]] = defaultdict(dict)
    for table, column in requested:
        columns[table][column] = None
    return {table: tuple(names) for table, names in columns.items()}


def _values_of(incoming: IncomingArchive, requested: Mapping[TableName, Selected]) -> _Values:
    """Stage an archive's tables, read these values, and roll back."""
    values: dict[TableName, RowValues] = {}
    for database, mapping in incoming.mappings.items():
        session, schema = incoming.placement.sessions[database], incoming.placement.schemas[database]
        tables = [table for table in mapping.tables if table.target in requested]
        with session.rolled_back():
            for staged in stage_rows(session, tables, incoming.model, incoming.archive).values():
                values[staged.table] = staged_values(session, schema, staged, requested[staged.table])
    return values


def _joined(columns: Selected, table: TableName, values: Iterable[_Values]) -> RowValues:
    """Return the values of a table's rows in all archives, one archive after the other."""
    return RowValues(columns=columns, rows=[row for each in values if table in each for row in each[table].rows])


def _lines(
    incoming: IncomingArchive, numbers: Mapping[TableName, Set[int]], values: Sequence[_Values], position: int
) -> dict[TableName, Lines]:
    """Return the rows of one archive, of all, by its own table names."""
    own: dict[TableName, set[int]] = {}
    for database, mapping in incoming.mappings.items():
        for target, rows in values[position].items():
            if target.database == database:
                first = sum(len(each[target].rows) for each in values[:position] if target in each)
                within = range(first, first + len(rows.rows))
                source = mapping.by_target[target.table].source
                own[source] = {number - first for number in numbers[target] if number in within}
    return lines_of(incoming.archive, own)


def _not_in(manifest: Manifest, part: Part) -> UsageError:
    return UsageError(
        f"{part.noun.capitalize()} {part.id} is not in the archive of {manifest.noun} {manifest.tenant_id} of "
        f"{manifest.year}; nothing was changed.",
        hint=f"To see which {manifest.noun} it belongs to, run: inv archive.find {part.noun} {typed(part.id)}",
    )
