"""Bookkeeping of a bulk deletion, written to master in the deleting transaction before any row is deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from archiver.catalog.model import MASTER, TableName
from archiver.delete.deletion_set import DeletionSet
from archiver.postgres.schema import TENANT
from archiver.postgres.selection import identity_of
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.records import id_index, retained_rows
from archiver.records.archive_record import Record
from inventory.keys import Key

_RUN = SQL("pg_temp.run")  # tenant, record and position in the run


@dataclass(frozen=True)
class Bookkeeping:
    """The rows of master that are deleted with each tenant, and those that stay.

    A row of several tenants of the run is deleted with the last of them, as if they were archived one by one.
    """

    deletion_set: DeletionSet
    session: Session
    _with_last: dict[TableName, Composable] = field(default_factory=dict)

    def deleted(self, table: TableName) -> dict[Key, int]:
        """Return the number of a table's rows that are deleted with each tenant."""
        query = SQL("SELECT m.{}, count(*) FROM {} GROUP BY 1").format(Identifier(TENANT), self._mine(table))
        rows, tenants = (
            self.session.rows(query, doing=f"counting the rows of {table}"),
            self.deletion_set.row_sets.tenant_ids,
        )
        return {tenants[number]: count for number, count in rows}

    def write(self) -> None:
        """Write the index of ids, the deleted keys, and the rows that stay live although an archive holds a copy."""
        schema = self.deletion_set.row_sets.placement.schemas[MASTER]
        indexed = id_index.indexed(schema)
        for table in self.deletion_set.model.of(MASTER):
            if table.table in indexed:
                self._write_ids("ids", table, self.deletion_set.row_sets.source(table))
            if id_index.is_number(schema.tables[table.table]):
                self._write_ids("gone", table, self._mine(table))
            if not self.deletion_set.all_rows_go(table) and self.deletion_set.row_sets.shape(table).primary_key:
                self._write_retained(table)

    def _mine(self, table: TableName) -> Composable:
        """SQL: FROM …: the rows to delete as `c`, and the tenant with which each is deleted as `m`."""
        source = self.deletion_set.row_sets.source(table)
        if self.deletion_set.all_rows_go(table):
            return source
        last, same = self._last_of(table)
        return SQL("{} JOIN {} l ON {}").format(source, last, same)

    def _last_of(self, table: TableName) -> tuple[Composable, Composable]:
        """SQL: the table `l` with the tenant each row is deleted with, and the condition that joins it: to the row `c`,
        or to its parent `m`."""
        if self.deletion_set.goes_with_parent(table):
            [link] = self.deletion_set.model.found_by(table)
            return self._last(link.parent), self._same(link.parent, "m")
        return self._last(table), self._same(table, "c")

    def _last(self, table: TableName) -> Composable:
        """Create a table's relation of identities and the last tenant of each, once. Return its name."""
        if table not in self._with_last:
            relation = Identifier("pg_temp", f"last {len(self._with_last)}")
            identity = identity_of(self.deletion_set.row_sets.shape(table))
            query = SQL(
                "CREATE TEMP TABLE {relation} ON COMMIT DROP AS SELECT DISTINCT ON ({columns}) m.{tenant}, {named}"
                " FROM {source} JOIN {run} r ON r.{tenant} = m.{tenant} WHERE {goes} ORDER BY {columns}, r.place DESC"
            ).format(
                relation=relation,
                columns=SQL(", ").join(Identifier("c", name) for name in identity),
                named=SQL(", ").join(
                    SQL("c.{} AS {}").format(Identifier(name), Identifier(f"identity {name}")) for name in identity
                ),
                tenant=Identifier(TENANT),
                source=self.deletion_set.row_sets.source(table),
                run=_RUN,
                goes=self.deletion_set.row(table, "c"),
            )
            self.session.execute(query, doing=f"deciding which tenant each row of {table} is deleted with")
            self._with_last[table] = relation
        return self._with_last[table]

    def _same(self, table: TableName, row: str) -> Composable:
        """SQL: the condition that a row of `l` is for the tenant `m` and the row under this alias."""
        tenant = SQL("l.{tenant} = m.{tenant}").format(tenant=Identifier(TENANT))
        identity = (
            SQL("{} = {}").format(Identifier(row, name), Identifier("l", f"identity {name}"))
            for name in identity_of(self.deletion_set.row_sets.shape(table))
        )
        return SQL(" AND ").join((tenant, *identity))

    def _write_ids(self, target: str, table: TableName, source: Composable) -> None:
        """Write a table's ids by record into `archiver.ids` or `archiver.gone`."""
        shape = self.deletion_set.row_sets.shape(table)
        key = Identifier("c", *shape.primary_key) if id_index.is_number(shape) else id_index.keys_as_text(shape, "c")
        query = SQL(
            "INSERT INTO archiver.{target} (record_id, table_name, {columns}) SELECT r.record_id, {name}, {ids}"
            " FROM {source} JOIN {run} r ON r.{tenant} = m.{tenant} GROUP BY 1 ON CONFLICT DO NOTHING"
        ).format(
            target=Identifier(target),
            name=Literal(table.table),
            columns=SQL("ids" if id_index.is_number(shape) else "ids, keys"),
            ids=SQL("array_agg({})" if id_index.is_number(shape) else "'{{}}', array_agg({})").format(key),
            source=source,
            run=_RUN,
            tenant=Identifier(TENANT),
        )
        self.session.execute(query, doing=f"recording the ids of {table}")

    def _write_retained(self, table: TableName) -> None:
        """Write key and digest of a table's rows that stay live."""
        shape, (last, same) = self.deletion_set.row_sets.shape(table), self._last_of(table)
        query = SQL(
            "INSERT INTO archiver.kept (record_id, table_name, key, digest) SELECT r.record_id, {name}, {key}, {digest}"
            " FROM {source} JOIN {run} r ON r.{tenant} = m.{tenant}"
            " WHERE NOT EXISTS (SELECT 1 FROM {last} l WHERE {same})"
        ).format(
            name=Literal(str(table)),
            key=retained_rows.key_text(shape, "c"),
            digest=retained_rows.digest(shape, "c"),
            source=self.deletion_set.row_sets.source(table),
            run=_RUN,
            last=last,
            tenant=Identifier(TENANT),
            same=same,
        )
        self.session.execute(query, doing=f"recording the rows of {table} that stay")


def bookkeeping_of(deletion_set: DeletionSet, records: Sequence[Record]) -> Bookkeeping:
    """Prepare the bookkeeping for these tenants, in this order."""
    session = deletion_set.row_sets.placement.sessions[MASTER]
    query = SQL(
        "CREATE TEMP TABLE {run} ON COMMIT DROP AS SELECT w.*"
        " FROM unnest({tenants}::bigint[], {records}::bigint[]) WITH ORDINALITY w ({tenant}, record_id, place)"
    ).format(
        run=_RUN,
        tenants=Literal([deletion_set.row_sets.number_of[record.tenant_id] for record in records]),
        records=Literal([record.id for record in records]),
        tenant=Identifier(TENANT),
    )
    session.execute(query, doing="listing the tenants")
    # Defers the update of the index of ids to its next VACUUM.
    session.execute("SET LOCAL gin_pending_list_limit TO '1GB'", doing="preparing the index of ids")
    return Bookkeeping(deletion_set, session)


def retained(record: Record, deleted: Mapping[str, int]) -> dict[str, int]:
    """Return the number of archived rows that stay live, by table; tables without any are left out."""
    archived = {name.removesuffix(".copy").replace("/", "."): member.rows for name, member in record.members.items()}
    return {table: rows for table, archived_rows in archived.items() if (rows := archived_rows - deleted.get(table, 0))}
