"""What becomes of a tenant's rows, decided under the lock: which go, and which stay because something needs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from archiver.catalog.model import Model, TableName
from archiver.delete.referenced import named_outside
from archiver.delete.shared_rows import deletable
from archiver.postgres.databases import Site
from archiver.postgres.selection import Rows, Selection, Values
from archiver.records import retained_rows
from archiver.records.archive_record import Record
from archiver.records.retained_rows import Kept


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A tenant's rows, and what becomes of them."""

    selection: Selection
    gone: Mapping[TableName, Rows]
    staying: Mapping[str, list[Kept]]  # by database


def decide(site: Site, model: Model, record: Record, selection: Selection, went: Values | None = None) -> Decided:
    """Decides by the record's depth and by who needs a row; `went` are keys of parents that went before."""
    gone = deletable(model, record.depth, selection, partial(named_outside, site, record, selection), went)
    return Decided(
        selection=selection,
        gone=gone,
        staying={database: _staying(site, model, database, selection, gone) for database in site.sessions},
    )


def _staying(
    site: Site, model: Model, database: str, selection: Selection, gone: Mapping[TableName, Rows]
) -> list[Kept]:
    session, tables = site.sessions[database], site.schemas[database].tables
    return [
        row
        for table in model.of(database)
        for row in retained_rows.staying(session, table, tables[table.table], selection.found[table], gone[table])
    ]
