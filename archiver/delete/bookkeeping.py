"""What is noted in master of many tenants whose rows go, in the transaction in which they do; before they do."""

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

_RUN = SQL("pg_temp.run")  # tenant, record and place in the run


@dataclass(frozen=True)
class Bookkeeping:
    """Of each tenant: which rows of master go with it, and which stay.

    A row of several tenants that goes with them all goes with the last of them, as if they were archived one by one.
    """

    deletion_set: DeletionSet
    session: Session
    _with_last: dict[TableName, Composable] = field(default_factory=dict)

    def deleted(self, table: TableName) -> dict[int, int]:
        """How many rows of a table go with each tenant."""
        query = SQL("SELECT m.{}, count(*) FROM {} GROUP BY 1").format(Identifier(TENANT), self._mine(table))
        return dict(self.session.rows(query, doing=f"counting the rows of {table}"))

    def write(self) -> None:
        """Writes the index of ids, the keys that go, and the rows that stay beside their copy in an archive."""
        indexed = id_index.indexed(self.deletion_set.row_sets.placement.schemas[MASTER])
        for table in self.deletion_set.model.of(MASTER):
            if table.table in indexed:
                self._write_ids("ids", table, self.deletion_set.row_sets.source(table))
                self._write_ids("gone", table, self._mine(table))
            if not self.deletion_set.all_rows_go(table) and self.deletion_set.row_sets.shape(table).primary_key:
                self._write_kept(table)

    def _mine(self, table: TableName) -> Composable:
        """FROM …: the rows that go, as `c`, and the tenant with which each goes, as `m`."""
        source = self.deletion_set.row_sets.source(table)
        if self.deletion_set.all_rows_go(table):
            return source
        last, same = self._last_of(table)
        return SQL("{} JOIN {} l ON {}").format(source, last, same)

    def _last_of(self, table: TableName) -> tuple[Composable, Composable]:
        """Where it says with whom the row `c` goes, or the row `m` that it belongs to, as `l`; and by what it is found
        there."""
        if self.deletion_set.goes_with_parent(table):
            [link] = self.deletion_set.model.found_by(table)
            return self._last(link.parent), self._same(link.parent, "m")
        return self._last(table), self._same(table, "c")

    def _last(self, table: TableName) -> Composable:
        if table not in self._with_last:
            place = Identifier("pg_temp", f"last {len(self._with_last)}")
            identity = identity_of(self.deletion_set.row_sets.shape(table))
            query = SQL(
                "CREATE TEMP TABLE {place} ON COMMIT DROP AS SELECT DISTINCT ON ({columns}) m.{tenant}, {named}"
                " FROM {source} JOIN {run} r ON r.{tenant} = m.{tenant} WHERE {goes} ORDER BY {columns}, r.place DESC"
            ).format(
                place=place,
                columns=SQL(", ").join(Identifier("c", name) for name in identity),
                named=SQL(", ").join(
                    SQL("c.{} AS {}").format(Identifier(name), Identifier(f"identity {name}")) for name in identity
                ),
                tenant=Identifier(TENANT),
                source=self.deletion_set.row_sets.source(table),
                run=_RUN,
                goes=self.deletion_set.row(table, "c"),
            )
            self.session.execute(query, doing=f"deciding with whom the rows of {table} go")
            self._with_last[table] = place
        return self._with_last[table]

    def _same(self, table: TableName, row: str) -> Composable:
        tenant = SQL("l.{tenant} = m.{tenant}").format(tenant=Identifier(TENANT))
        identity = (
            SQL("{} = {}").format(Identifier(row, name), Identifier("l", f"identity {name}"))
            for name in identity_of(self.deletion_set.row_sets.shape(table))
        )
        return SQL(" AND ").join((tenant, *identity))

    def _write_ids(self, target: str, table: TableName, source: Composable) -> None:
        [key] = self.deletion_set.row_sets.shape(table).primary_key
        query = SQL(
            "INSERT INTO archiver.{target} (record_id, table_name, ids) SELECT r.record_id, {name}, array_agg(c.{key})"
            " FROM {source} JOIN {run} r ON r.{tenant} = m.{tenant} GROUP BY 1 ON CONFLICT DO NOTHING"
        ).format(
            target=Identifier(target),
            name=Literal(table.table),
            key=Identifier(key),
            source=source,
            run=_RUN,
            tenant=Identifier(TENANT),
        )
        self.session.execute(query, doing=f"noting the ids of {table}")

    def _write_kept(self, table: TableName) -> None:
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
        self.session.execute(query, doing=f"noting the rows of {table} that stay")


def bookkeeping_of(deletion_set: DeletionSet, records: Sequence[Record]) -> Bookkeeping:
    """Begins to note, of the tenants in this order."""
    session = deletion_set.row_sets.placement.sessions[MASTER]
    query = SQL(
        "CREATE TEMP TABLE {run} ON COMMIT DROP AS SELECT w.*"
        " FROM unnest({tenants}::bigint[], {records}::bigint[]) WITH ORDINALITY w ({tenant}, record_id, place)"
    ).format(
        run=_RUN,
        tenants=Literal([record.tenant_id for record in records]),
        records=Literal([record.id for record in records]),
        tenant=Identifier(TENANT),
    )
    session.execute(query, doing="listing the tenants")
    # The index of ids is brought up to date when it is next looked after, not id by id.
    session.execute("SET LOCAL gin_pending_list_limit TO '1GB'", doing="preparing the index of ids")
    return Bookkeeping(deletion_set, session)


def retained(record: Record, deleted: Mapping[str, int]) -> dict[str, int]:
    """The rows of an archive that stay live, by table, where there are any."""
    archived = {name.removesuffix(".copy").replace("/", "."): member.rows for name, member in record.members.items()}
    return {table: rows for table, all_of_them in archived.items() if (rows := all_of_them - deleted.get(table, 0))}
