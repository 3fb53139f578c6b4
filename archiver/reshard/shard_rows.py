"""A tenant's rows on one shard: found by its rows in master, read back, and compared with the archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.delete.unchanged import difference
from archiver.format import layout
from archiver.format.manifest import Member
from archiver.format.rows import Digest
from archiver.mapping.id_columns import IdColumn, id_columns
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Table, column_list, identifier
from archiver.postgres.selection import RowLock, Selection, Values, condition, row_order, select
from archiver.postgres.session import SQL, Composable, Identifier, Session
from archiver.records.id_offsets import Offsets, reversed_offsets
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class ShardRows:
    """The rows of a tenant on one shard."""

    placement: Placement
    model: Model  # of a shard's tables only
    tenant_id: Key
    link_values: Values  # of the links by which its rows are found through master

    @property
    def session(self) -> Session:
        """The session on the shard."""
        return self.placement.sessions[SHARD]

    @property
    def id_columns(self) -> Mapping[str, tuple[IdColumn, ...]]:
        """The id columns of the shard's tables."""
        return id_columns(self.model, self.placement.schemas[SHARD])

    def on(self, placement: Placement) -> ShardRows:
        """Return the same rows on another shard."""
        return replace(self, placement=placement)

    def rows(self, *, locked: bool = False) -> Selection:
        """Select its rows there, optionally locked in key order."""
        lock = RowLock(since={}) if locked else None
        return select(self.placement, self.model, self.tenant_id, lock=lock, link_values=self.link_values)


def shard_rows(placement: Placement, model: Model, tenant_id: Key) -> ShardRows:
    """Return a tenant's rows on the shard of a placement."""
    selection = select(placement, model, tenant_id)
    across = [link for link in model.links if link.child.database == SHARD and link.parent.database == MASTER]
    return ShardRows(
        placement=placement,
        model=replace(
            model,
            tables=model.of(SHARD),
            links=tuple(link for link in model.links if link.child.database == SHARD),
        ),
        tenant_id=tenant_id,
        link_values={link: selection.values[link] for link in across},
    )


def counts(rows: Selection) -> dict[str, int]:
    """Return the number of rows by table; tables without any are left out."""
    return {str(table): len(of_table.rows) for table, of_table in rows.by_table.items() if of_table.rows}


def differences(
    tenant_rows: ShardRows, rows: Selection, archived: Mapping[str, Member], offsets: Offsets = ()
) -> list[str]:
    """Return the tables whose rows are not the archive's, by content; `offsets` are those that renumbered them."""
    changed = []
    for table, of_table in rows.by_table.items():
        member = archived[layout.member(table)]
        if _content(tenant_rows, table, rows, reversed_offsets(offsets)) != member:
            changed.append(difference(table, member.rows, len(of_table.rows)))
    return changed


def _content(tenant_rows: ShardRows, table: TableName, rows: Selection, offsets: Offsets) -> Member:
    """Return the digest of a table's rows in a fixed order, with each id before these offsets."""
    schema = tenant_rows.placement.schemas[SHARD]
    shape = schema.tables[table.table]
    query = SQL("SELECT {} FROM (SELECT {} FROM {} WHERE {}) r ORDER BY {}").format(
        column_list(shape),
        SQL(", ").join(_columns(shape, tenant_rows.id_columns[table.table], offsets)),
        identifier(table.table),
        condition(tenant_rows.model, schema, table, tenant_rows.tenant_id, rows.values),
        row_order(shape),
    )
    digest = Digest()
    return digest.finish(tenant_rows.session.copy_out(query, digest, doing=f"reading {table} back"))


def _columns(shape: Table, columns: Sequence[IdColumn], offsets: Offsets) -> list[Composable]:
    """SQL: the columns, with ids renumbered by the offsets."""
    moved = {id_column.name: id_column.translated(Identifier(id_column.name), [offsets]) for id_column in columns}
    return [
        SQL("{} AS {}").format(moved.get(column.name, Identifier(column.name)), Identifier(column.name))
        for column in shape.copied
    ]
