"""Find live rows that refer to deleted rows: they were added when no foreign key and no lock could prevent it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from archiver.catalog.model import MASTER, Link, TableName
from archiver.postgres.databases import Databases
from archiver.postgres.own_schema import ready
from archiver.postgres.schema import identifier
from archiver.postgres.selection import among, narrowed
from archiver.postgres.session import SQL, Identifier, Session
from archiver.records import deleted_keys, shard_keys
from archiver.records.archive_record import Record
from inventory.keys import Key

LeftRows = Mapping[Key, Mapping[str, int]]  # by tenant and table; only where there are some


def left_rows(databases: Databases, records: Sequence[Record]) -> LeftRows:
    """Return the live rows that refer to a deleted row of these archives, beyond those retained for another tenant."""
    left: dict[Key, dict[str, int]] = {}
    retained = {record.tenant_id: record.kept for record in records}
    owners, by_shard = Owners(databases, records), _ByShard(databases, records)
    for table in databases.model.tables:
        counts: Counter[Key] = Counter()
        for link in _followed(databases, table):
            counts |= _referring_rows(databases, link, owners.of(link.parent.table))
        for link in by_shard.links(table):
            counts |= by_shard.late_rows(link)
        for tenant_id, rows in counts.items():
            if (more := rows - retained[tenant_id].get(str(table), 0)) > 0:
                left.setdefault(tenant_id, {})[str(table)] = more
    return left


class Owners:
    """The tenants that deleted keys belonged to, by table of master; each table's keys are read once."""

    def __init__(self, databases: Databases, records: Sequence[Record]) -> None:
        self._databases = databases
        self._tenants = {record.tenant_id for record in records}
        self._years = {record.year for record in records}
        self._by_table: dict[str, dict[int, Key]] = {}

    def of(self, table: str) -> dict[int, Key]:
        """Return the tenant of each deleted key of a table."""
        if table not in self._by_table:
            self._by_table[table] = {
                key: tenant_id
                for year in self._years
                for tenant_id, keys in deleted_keys.of_table(self._databases.master, year, table).items()
                if tenant_id in self._tenants
                for key in keys
            }
        return self._by_table[table]


class _ByShard:
    """The links within a shard that no foreign key enforces, and the rows from which they lead to deleted rows."""

    def __init__(self, databases: Databases, records: Sequence[Record]) -> None:
        self._databases = databases
        self._records = records
        sharded = databases.model.tenant.shard is not None and databases.shards
        self._schema = databases.schema(databases.shards[0]) if sharded else None
        self._links = shard_keys.unenforced(databases.model, self._schema) if self._schema else ()
        self._tenants = {(record.id, record.started_at): record.tenant_id for record in records}

    def links(self, table: TableName) -> list[Link]:
        """Return these links of a table."""
        return [link for link in self._links if link.child == table]

    def late_rows(self, link: Link) -> Counter[Key]:
        """Return by tenant the number of such rows, in all shards."""
        counts: Counter[Key] = Counter()
        for name in self._databases.shards:
            session = self._databases.session(name)
            if self._schema and ready(session):
                late = shard_keys.late_rows(session, self._schema, self._records, link)
                counts.update({self._tenants[key]: rows for key, rows in late.items()})
        return counts


def _followed(databases: Databases, table: TableName) -> list[Link]:
    """Return the links to rows of master whose keys were recorded when they were deleted."""
    tables = databases.schema(MASTER).tables
    return [
        link
        for link in databases.model.found_by(table)
        if link.parent.database == MASTER
        and tables[link.parent.table].primary_key == link.parent_columns == link.parent_columns[:1]
    ]


def _referring_rows(databases: Databases, link: Link, owner: Mapping[int, Key]) -> Counter[Key]:
    """Return by tenant the number of live rows that refer to a deleted row."""
    names = [MASTER] if link.child.database == MASTER else list(databases.shards)
    counts: Counter[Key] = Counter()
    for name in names if owner else []:
        for key, rows in _count(databases.session(name), databases, name, link, owner):
            counts[owner[key]] += rows
    return counts


def _count(
    session: Session, databases: Databases, name: str, link: Link, owner: Mapping[int, Key]
) -> list[tuple[int, int]]:
    """Count the rows of one database that refer to deleted rows, by key."""
    shape = databases.schema(name).tables[link.child.table]
    query = SQL("SELECT {}, count(*) FROM {} WHERE {} GROUP BY 1").format(
        Identifier(*link.columns),
        identifier(link.child.table),
        narrowed(among(shape, link.columns, owner), link),
    )
    rows: list[tuple[int, int]] = session.rows(query, doing=f"finding rows left in {link.child}")
    return rows
