"""The keys of deleted rows to which no foreign key keeps others from referring: later looks find late rows.

They are written in the database that loses the rows, in the transaction that deletes, for whatever record that is: a
tenant's archive, a month, a move. They stay there: a move takes no row along whose parent is gone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from archiver.catalog.model import SHARD, Link, Model, TableName
from archiver.postgres.schema import TENANT, WHOLE_NUMBERS, Schema, identifier
from archiver.postgres.selection import Key, SelectedRows, Values, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.records.archive_record import Record
from archiver.records.markers import Marked
from inventory.keys import Key as TenantKey

RecordKey = tuple[int, datetime]  # id and started_at: unique among all kinds of records


def unenforced(model: Model, schema: Schema, database: str = SHARD) -> tuple[Link, ...]:
    """Return the links within a database, by one column, that no foreign key enforces."""
    return tuple(
        link
        for link in model.links
        if link.child.database == link.parent.database == database
        and len(link.columns) == 1
        and not any(
            (key.columns, key.target, key.target_columns) == (link.columns, link.parent.table, link.parent_columns)
            for key in schema.tables[link.child.table].foreign_keys
        )
    )


def remember(session: Session, schema: Schema, record: Marked, values: Values) -> None:
    """Write the keys of a record's deleted rows by which these links lead to them, beside those written before.

    The schema is that of the links' parents: of another database if rows of this one were deleted for theirs.
    """
    for link in _by_parent(values):
        [column] = link.parent_columns
        _write(session, record, (_name(link), column), _kept_in(schema, link), values[link])


def remember_rows(session: Session, schema: Schema, record: Marked, rows: Mapping[TableName, SelectedRows]) -> None:
    """Write the primary keys of a record's deleted rows, of tables in which that is one column."""
    for table, of_table in rows.items():
        key = schema.tables[table.table].primary_key
        if len(key) == 1:
            type_ = schema.tables[table.table].type_of(*key)
            _write(session, record, (table.table, *key), _kept_as(type_), of_table.identities())


def remembered(
    session: Session, records: Sequence[Marked], table: str, columns: Sequence[str]
) -> dict[tuple[object, ...], int]:
    """Return the keys as text, with the id of the record of each."""
    rows = session.rows(
        "SELECT k.key, g.record_id FROM archiver.shard_gone g"
        " CROSS JOIN LATERAL unnest(coalesce(g.keys, g.ids::text[])) k (key)"
        " WHERE g.table_name = %s AND ARRAY[g.column_name] = %s::text[] AND (g.record_id, g.started_at)"
        " IN (SELECT * FROM unnest(%s::bigint[], %s::timestamptz[]))",
        (table, list(columns), [record.id for record in records], [record.started_at for record in records]),
        doing="reading the deleted keys",
    )
    return {(key,): record_id for key, record_id in rows}


def _write(
    session: Session, record: Marked, named: tuple[str, str], kept_in: tuple[str, str], keys: Sequence[Key]
) -> None:
    column, type_ = kept_in
    if keys:
        query = SQL(
            "INSERT INTO archiver.shard_gone (record_id, started_at, table_name, column_name, {column})"
            " VALUES (%s, %s, %s, %s, %s::{type}[]) {again}"
        ).format(column=Identifier(column), type=SQL(type_), again=_joined(column))
        listed = list(keys) if column == "ids" else list(map(str, keys))
        session.execute(query, (record.id, record.started_at, *named, listed), doing="writing the deleted keys")


def remember_all(
    session: Session,
    schema: Schema,
    records: Sequence[Record],
    number_of: Mapping[TenantKey, int],
    deleted: Mapping[Link, Composable],
) -> None:
    """Write the same for many records, from a query of each link's keys with the numbers of their tenants."""
    for link in _by_parent(deleted):
        column, type_ = _kept_in(schema, link)
        query = SQL(
            "INSERT INTO archiver.shard_gone (record_id, started_at, table_name, column_name, {column})"
            " SELECT w.record_id, w.started_at, {table}, {name}, array_agg({key}::{type}) FROM ({rows}) m"
            " JOIN unnest({tenants}::bigint[], {ids}::bigint[], {begun}::timestamptz[])"
            " w (tenant_id, record_id, started_at) ON w.tenant_id = m.{tenant} WHERE {key} IS NOT NULL"
            " GROUP BY 1, 2 {again}"
        ).format(
            column=Identifier(column),
            type=SQL(type_),
            table=Literal(_name(link)),
            name=Literal(*link.parent_columns),
            key=Identifier("m", *link.parent_columns),
            rows=deleted[link],
            tenants=Literal([number_of[record.tenant_id] for record in records]),
            ids=Literal([record.id for record in records]),
            begun=Literal([record.started_at for record in records]),
            tenant=Identifier(TENANT),
            again=_joined(column),
        )
        session.execute(query, doing="writing the deleted keys")


def late_rows(session: Session, schema: Schema, records: Sequence[Marked], link: Link) -> dict[RecordKey, int]:
    """Return by record the number of live rows from which a link leads to a row that was deleted with it.

    The schema is that of the link's parent. If that is in the same database, the kept keys are read only if the link
    leads from some row to none; if not, the row that it names may well be live. They are read once, and looked up in an
    array, which PostgreSQL hashes: it takes `named` for one row, and a join would read all keys for each.
    """
    column, _ = _kept_in(schema, link)
    remembered_keys = SQL(
        "archiver.shard_gone g CROSS JOIN LATERAL unnest(g.{keys}) k (key) WHERE g.table_name = {table}"
        " AND g.column_name = {name} AND (g.record_id, g.started_at)"
        " IN (SELECT * FROM unnest({ids}::bigint[], {begun}::timestamptz[]))"
    ).format(
        keys=Identifier(column),
        table=Literal(_name(link)),
        name=Literal(*link.parent_columns),
        ids=Literal([record.id for record in records]),
        begun=Literal([record.started_at for record in records]),
    )
    key = SQL("k.key::{}").format(SQL(schema.tables[link.parent.table].type_of(*link.parent_columns)))
    query = SQL(
        "WITH named AS MATERIALIZED (SELECT c.{column} AS id, count(*) AS rows FROM {child} c"
        " WHERE {leads} AND {missing} GROUP BY 1),"
        " gone AS MATERIALIZED (SELECT DISTINCT g.record_id, g.started_at, {key} AS id FROM {remembered}"
        " AND {key} = ANY (ARRAY(SELECT id FROM named)) AND EXISTS (SELECT 1 FROM named))"
        " SELECT g.record_id, g.started_at, sum(n.rows)::bigint FROM gone g JOIN named n ON n.id = g.id GROUP BY 1, 2"
    ).format(
        column=Identifier(*link.columns),
        child=identifier(link.child.table),
        leads=narrowed(SQL("{} IS NOT NULL").format(Identifier("c", *link.columns)), link, "c"),
        missing=_missing(link, key, remembered_keys),
        remembered=remembered_keys,
        key=key,
    )
    rows = session.rows(query, doing=f"finding rows left in {link.child}") if records else []
    return {(record_id, started_at): count for record_id, started_at, count in rows}


def _missing(link: Link, key: Composable, remembered_keys: Composable) -> Composable:
    """SQL: the row `c` leads to no row of its database; to a kept key, if the parent is in another."""
    if link.parent.database != link.child.database:
        return SQL("{} IN (SELECT {} FROM {})").format(Identifier("c", *link.columns), key, remembered_keys)
    return SQL("NOT EXISTS (SELECT 1 FROM {} p WHERE {})").format(
        identifier(link.parent.table), matched(link, "c", "p")
    )


def forget(session: Session, record: Marked) -> None:
    """Remove the keys of a record that is no more. Call it in the transaction that brings its rows back, if any."""
    session.execute(
        "DELETE FROM archiver.shard_gone WHERE record_id = %s AND started_at = %s",
        (record.id, record.started_at),
        doing="removing the deleted keys",
    )


def _by_parent(links: Iterable[Link]) -> list[Link]:
    """Return one link for each parent's column: they lead to the same keys."""
    return list({(link.parent, link.parent_columns): link for link in links}.values())


def _name(link: Link) -> str:
    """Return the parent's name, as it is kept: with its database, if that is another."""
    return link.parent.table if link.parent.database == link.child.database else str(link.parent)


def _kept_in(schema: Schema, link: Link) -> tuple[str, str]:
    """Return the column of a link's keys, and the type of one."""
    return _kept_as(schema.tables[link.parent.table].type_of(*link.parent_columns))


def _kept_as(type_: str) -> tuple[str, str]:
    """Return the column of keys of that type, and the type of one: whole numbers take less room than text."""
    return ("ids", "bigint") if type_ in WHOLE_NUMBERS else ("keys", "text")


def _joined(column: str) -> Composable:
    """SQL: keys that are written for the same record later, such as those of the next batch, join the earlier ones."""
    return SQL(
        "ON CONFLICT (record_id, started_at, table_name, column_name)"
        " DO UPDATE SET {0} = archiver.shard_gone.{0} || excluded.{0}"
    ).format(Identifier(column))
