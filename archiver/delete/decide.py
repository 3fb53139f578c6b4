"""What becomes of a tenant's rows, decided under the lock: which go, and which stay because something needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from archiver.catalog.model import Model, TableName
from archiver.delete.referenced import externally_referenced
from archiver.delete.shared_rows import deletable
from archiver.postgres.databases import Placement
from archiver.postgres.selection import SelectedRows, Selection, Values
from archiver.records import retained_rows
from archiver.records.archive_record import Record
from archiver.records.retained_rows import RetainedRow


@dataclass(frozen=True, kw_only=True)
class DeletionDecision:
    """A tenant's rows, and what becomes of them."""

    selection: Selection
    to_delete: Mapping[TableName, SelectedRows]
    retained: Mapping[str, list[RetainedRow]]  # by database


def decide(
    placement: Placement, model: Model, record: Record, selection: Selection, went: Values | None = None
) -> DeletionDecision:
    """Decides by the record's depth and by who needs a row; `went` are keys of parents that went before."""
    gone = deletable(model, record.depth, selection, partial(externally_referenced, placement, record, selection), went)
    return DeletionDecision(
        selection=selection,
        to_delete=gone,
        retained={database: _staying(placement, model, database, selection, gone) for database in placement.sessions},
    )


def _staying(
    placement: Placement, model: Model, database: str, selection: Selection, gone: Mapping[TableName, SelectedRows]
) -> list[RetainedRow]:
    session, tables = placement.sessions[database], placement.schemas[database].tables
    return [
        row
        for table in model.of(database)
        for row in retained_rows.retained(session, table, tables[table.table], selection.by_table[table], gone[table])
    ]
