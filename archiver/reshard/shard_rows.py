"""A tenant's rows on one shard: found by its rows in master, read back, and compared with what was archived."""

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


@dataclass(frozen=True, kw_only=True)
class ShardRows:
    """What of a tenant lies on one shard."""

    placement: Placement
    model: Model  # only the tables of a shard
    tenant_id: int
    known: Values  # of links by which its rows are found through master

    @property
    def session(self) -> Session:
        """The session on the shard."""
        return self.placement.sessions[SHARD]

    @property
    def numbered(self) -> Mapping[str, tuple[IdColumn, ...]]:
        """The columns with ids of the shard's tables."""
        return id_columns(self.model, self.placement.schemas[SHARD])

    def on(self, placement: Placement) -> ShardRows:
        """The same on another shard."""
        return replace(self, placement=placement)

    def rows(self, *, locked: bool = False) -> Selection:
        """Its rows there, locked in key order if so wanted."""
        lock = RowLock(since={}) if locked else None
        return select(self.placement, self.model, self.tenant_id, lock=lock, link_values=self.known)


def shard_rows(placement: Placement, model: Model, tenant_id: int) -> ShardRows:
    """A tenant's half on the shard of a site."""
    found = select(placement, model, tenant_id)
    across = [link for link in model.links if link.child.database == SHARD and link.parent.database == MASTER]
    return ShardRows(
        placement=placement,
        model=replace(
            model,
            tables=model.of(SHARD),
            links=tuple(link for link in model.links if link.child.database == SHARD),
        ),
        tenant_id=tenant_id,
        known={link: found.values[link] for link in across},
    )


def counts(rows: Selection) -> dict[str, int]:
    """How many rows there are, by table, where there are any."""
    return {str(table): len(found.rows) for table, found in rows.by_table.items() if found.rows}


def differences(one: ShardRows, rows: Selection, archived: Mapping[str, Member], offsets: Offsets = ()) -> list[str]:
    """The tables whose rows are not those of the archive, by content; `offsets` are those by which they came there."""
    changed = []
    for table, found in rows.by_table.items():
        wanted = archived[layout.member(table)]
        if _content(one, table, rows, reversed_offsets(offsets)) != wanted:
            changed.append(difference(table, wanted.rows, len(found.rows)))
    return changed


def _content(one: ShardRows, table: TableName, rows: Selection, offsets: Offsets) -> Member:
    """What COPY says of a table's rows, each id as it is after a way, in an order that is the same each time."""
    schema = one.placement.schemas[SHARD]
    shape = schema.tables[table.table]
    query = SQL("SELECT {} FROM (SELECT {} FROM {} WHERE {}) r ORDER BY {}").format(
        column_list(shape),
        SQL(", ").join(_columns(shape, one.numbered[table.table], offsets)),
        identifier(table.table),
        condition(one.model, schema, table, one.tenant_id, rows.values),
        row_order(shape),
    )
    digest = Digest()
    return digest.finish(one.session.copy_out(query, digest, doing=f"reading {table} back"))


def _columns(shape: Table, columns: Sequence[IdColumn], offsets: Offsets) -> list[Composable]:
    moved = {one.name: one.moved(Identifier(one.name), [offsets]) for one in columns}
    return [
        SQL("{} AS {}").format(moved.get(column.name, Identifier(column.name)), Identifier(column.name))
        for column in shape.copied
    ]
