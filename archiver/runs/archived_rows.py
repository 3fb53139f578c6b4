"""The live rows that an archive holds a copy of, found by the keys in the archive itself, wherever they belong now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.copied_keys import keys_in
from archiver.postgres.databases import Placement
from archiver.postgres.selection import KEYLESS, SelectedRows, among, rows_where
from archiver.records import retained_rows
from archiver.records.retained_rows import RetainedRow


@dataclass(frozen=True, kw_only=True)
class ArchivedRows:
    """An archive's rows, and those of them that are live now; of tables with another key today, none is known."""

    placement: Placement
    archived: Mapping[TableName, int]
    live: Mapping[TableName, SelectedRows]

    def counts(self, tables: frozenset[TableName]) -> tuple[int, int]:
        """Return how many rows of these tables are live, and how many are in the archive."""
        live = sum(len(rows.rows) for table, rows in self.live.items() if table in tables)
        return live, sum(rows for table, rows in self.archived.items() if table in tables)

    def has_key_in(self, database: str, table: TableName) -> bool:
        """True if it is a table of that database whose rows are found by their own key."""
        return table.database == database and table in self.live and self.live[table].identity != KEYLESS

    def counts_by_table(self, deleted_from: frozenset[TableName]) -> dict[str, int]:
        """Return the rows that are live, by table; of tables that cannot be asked, all from which none is deleted."""
        counts = {
            table: len(self.live[table].rows) if table in self.live else 0 if table in deleted_from else rows
            for table, rows in self.archived.items()
        }
        return {str(table): rows for table, rows in counts.items() if rows}

    def retained(self, database: str) -> list[RetainedRow]:
        """Return the live rows of a database with their digests."""
        session, tables = self.placement.sessions[database], self.placement.schemas[database].tables
        return [
            row
            for table, rows in self.live.items()
            if table.database == database
            for row in retained_rows.retained(session, table, tables[table.table], rows, _NONE)
        ]


def archived_rows(placement: Placement, model: Model, archive: Archive) -> ArchivedRows:
    """Return an archive's rows with those that are live in master and in the shard of the placement."""
    live = {}
    for table in model.tables:
        if columns := _columns(placement, model, archive, table):
            keys = list(keys_in(archive, table, columns))
            today = placement.schemas[table.database].tables[table.table]
            live[table] = rows_where(placement, model, table, among(today, columns, keys))
    archived = {layout.table_of(name): member.rows for name, member in archive.manifest.members.items()}
    return ArchivedRows(placement=placement, archived=archived, live=live)


def _columns(placement: Placement, model: Model, archive: Archive, table: TableName) -> tuple[str, ...]:
    """Return the columns by which a table's archived rows are found: its key, or else those that link it.

    Empty if it is not in the archive, or has other columns today.
    """
    if table.database not in placement.schemas or layout.member(table) not in archive.manifest.members:
        return ()
    then = archive.manifest.schemas[table.database].tables[table.table]
    now = placement.schemas[table.database].tables[table.table]
    columns = then.primary_key or tuple(model.columns(table))
    shared = {column.name for column in then.copied} & {column.name for column in now.copied}
    return columns if then.primary_key == now.primary_key and shared.issuperset(columns) else ()


_NONE = SelectedRows(identity=(), columns=(), rows=())
