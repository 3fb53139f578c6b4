"""Find live rows that refer to deleted rows by columns that the catalog does not know, also in other schemas."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from archiver.catalog.model import MASTER
from archiver.checks.left_rows import Owners
from archiver.checks.purge_references import by_pointer, referencing_rows
from archiver.completeness.live import read_live
from archiver.completeness.pointers import unexplained
from archiver.postgres.databases import Databases
from archiver.records.archive_record import Record


def unknown_references(databases: Databases, records: Sequence[Record]) -> dict[str, int]:
    """Return the number of such rows that refer to deleted rows of these archives in master, by database and column.

    Completeness allows no deletion while there are such columns: these came later. Columns that the catalog explains
    are left out; a materialized view holds copies of rows until it is refreshed, and refers to none.
    """
    counts: Counter[str] = Counter()
    owners, tables = Owners(databases, records), databases.schema(MASTER).tables
    for name, kind in databases.names_and_kinds() if records else ():
        session = databases.session(name)
        live = read_live(session, unread={table.table for table in databases.model.of(kind)})
        for pointer in unexplained(databases.model, kind, live):
            named = pointer.points_at
            if pointer.columns and named.database == MASTER and len(tables[named.table].primary_key) == 1:
                reference = by_pointer(pointer, live, tables[named.table].primary_key)
                keys = [(str(key),) for key in owners.of(named.table)]
                counts[f"{name}: {reference}"] += sum(rows for _, rows in referencing_rows(session, reference, keys))
    return {column: rows for column, rows in sorted(counts.items()) if rows}
