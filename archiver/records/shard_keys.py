"""The keys of a shard's deleted rows to which no foreign key keeps others from referring: later looks find late rows.

They are written on the shard, in the transaction that deletes. Keys other than whole numbers are not kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from archiver.catalog.model import SHARD, Link, Model
from archiver.postgres.schema import TENANT, Schema, identifier
from archiver.postgres.selection import matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.records.archive_record import Record
from archiver.records.id_index import WHOLE_NUMBERS


def unenforced(model: Model, schema: Schema) -> tuple[Link, ...]:
    """Return the links within a shard, by whole numbers, that no foreign key enforces."""
    return tuple(
        link
        for link in model.links
        if link.child.database == link.parent.database == SHARD
        and len(link.columns) == 1
        and schema.tables[link.parent.table].type_of(*link.parent_columns) in WHOLE_NUMBERS
        and not any(
            (key.columns, key.target, key.target_columns) == (link.columns, link.parent.table, link.parent_columns)
            for key in schema.tables[link.child.table].foreign_keys
        )
    )


def remember(shard: Session, record: Record, link: Link, keys: Sequence[object]) -> None:
    """Write the keys of a record's deleted rows by which a link leads to them."""
    if keys:
        shard.execute(
            f"{_INSERT} VALUES (%s, %s, %s, %s, %s::bigint[]) {_AGAIN}",
            (record.id, record.started_at, link.parent.table, *link.parent_columns, list(keys)),
            doing="writing the deleted keys",
        )


def remember_all(shard: Session, records: Sequence[Record], link: Link, rows: Composable) -> None:
    """Write the same for many records, from a relation of keys with their tenants."""
    key = Identifier("m", *link.parent_columns)
    query = SQL(
        "{} SELECT w.record_id, w.started_at, {}, {}, array_agg({}::bigint) FROM {} m"
        " JOIN unnest({}::bigint[], {}::bigint[], {}::timestamptz[]) w (tenant_id, record_id, started_at)"
        " ON w.tenant_id = m.{} WHERE {} IS NOT NULL GROUP BY 1, 2 {}"
    ).format(
        *(SQL(_INSERT), Literal(link.parent.table), Literal(*link.parent_columns), key, rows),
        *(Literal([getattr(record, name) for record in records]) for name in ("tenant_id", "id", "started_at")),
        *(Identifier(TENANT), key, SQL(_AGAIN)),
    )
    shard.execute(query, doing="writing the deleted keys")


def late_rows(shard: Session, records: Sequence[Record], link: Link) -> dict[int, int]:
    """Return by tenant the number of live rows from which a link leads to a deleted row of these records.

    The kept keys are read only if the link leads from some row to none.
    """
    query = SQL(
        "WITH orphan AS MATERIALIZED (SELECT c.{column} AS id, count(*) AS rows FROM {child} c WHERE {leads}"
        " AND NOT EXISTS (SELECT 1 FROM {parent} p WHERE {matched}) GROUP BY 1)"
        " SELECT g.record_id, sum(o.rows)::bigint"
        " FROM archiver.shard_gone g CROSS JOIN LATERAL unnest(g.ids) k (id) JOIN orphan o ON o.id = k.id"
        " WHERE EXISTS (SELECT 1 FROM orphan) AND g.table_name = {table} AND g.column_name = {key}"
        " AND (g.record_id, g.started_at) IN (SELECT * FROM unnest({ids}::bigint[], {begun}::timestamptz[])) GROUP BY 1"
    ).format(
        column=Identifier(*link.columns),
        child=identifier(link.child.table),
        leads=narrowed(SQL("{} IS NOT NULL").format(Identifier("c", *link.columns)), link, "c"),
        parent=identifier(link.parent.table),
        matched=matched(link, "c", "p"),
        table=Literal(link.parent.table),
        key=Literal(*link.parent_columns),
        ids=Literal([record.id for record in records]),
        begun=Literal([record.started_at for record in records]),
    )
    tenants = {record.id: record.tenant_id for record in records}
    rows = shard.rows(query, doing=f"finding rows left in {link.child}")
    return {tenants[record_id]: count for record_id, count in rows}


_INSERT = "INSERT INTO archiver.shard_gone (record_id, started_at, table_name, column_name, ids)"
_AGAIN = "ON CONFLICT (record_id, started_at, table_name, column_name) DO UPDATE SET ids = excluded.ids"
