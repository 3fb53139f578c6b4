"""Decide under the lock which of a tenant's rows are deleted, and which stay because another row refers to them."""

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
    """A tenant's rows, those to delete, and those to retain."""

    selection: Selection
    to_delete: Mapping[TableName, SelectedRows]
    retained: Mapping[str, list[RetainedRow]]  # by database


def decide(
    placement: Placement, model: Model, record: Record, selection: Selection, deleted_keys: Values | None = None
) -> DeletionDecision:
    """Decide by the record's depth and by the references to each row.

    `deleted_keys` are the keys of parents deleted by an earlier transaction.
    """
    to_delete = deletable(
        model, record.depth, selection, partial(externally_referenced, placement, record, selection), deleted_keys
    )
    return DeletionDecision(
        selection=selection,
        to_delete=to_delete,
        retained={
            database: _staying(placement, model, database, selection, to_delete) for database in placement.sessions
        },
    )


def _staying(
    placement: Placement, model: Model, database: str, selection: Selection, to_delete: Mapping[TableName, SelectedRows]
) -> list[RetainedRow]:
    """Return the tenant's rows in one database that are not deleted."""
    session, tables = placement.sessions[database], placement.schemas[database].tables
    return [
        row
        for table in model.of(database)
        for row in retained_rows.retained(
            session, table, tables[table.table], selection.by_table[table], to_delete[table]
        )
    ]
