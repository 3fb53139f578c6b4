"""Copy the shards' keys that links to master need into temporary tables in master's session, to be joined there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from archiver.catalog.model import SHARD, Model, TableName
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Table, identifier
from archiver.postgres.selection import key_type
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session

ON, ROWS, EXAMPLE = "on shard", "how many rows", "one of them"  # the columns besides a table's own


@dataclass(frozen=True)
class Transferred:
    """The shards' tables as far as links across databases need them: each set of values once per shard, counted."""

    columns: Mapping[TableName, tuple[str, ...]]
    relations: dict[TableName, Composable] = field(default_factory=dict)

    def prepare(self, databases: Databases) -> None:
        """Create the tables, empty; before the transactions, which are read-only."""
        for number, (table, columns) in enumerate(self.columns.items()):
            self.relations[table] = Identifier("pg_temp", f"brought {number}")
            shape = databases.schema(databases.shards[0]).tables[table.table]
            own = [SQL("{} {}").format(Identifier(name), SQL(key_type(shape, name))) for name in columns]
            query = SQL("CREATE TEMP TABLE {} ({} text, {} bigint, {} text, {})").format(
                self.relations[table], *map(Identifier, (ON, ROWS, EXAMPLE)), SQL(", ").join(own)
            )
            databases.master.execute(query, doing=f"creating a table for keys of {table}")

    def fill(self, databases: Databases) -> None:
        """Copy the shards' values, within the open transactions."""
        for table, columns in self.columns.items():
            for shard in databases.shards:
                shape = databases.schema(shard).tables[table.table]
                values = _values(shard, table, columns, in_order(table, shape, databases.model))
                self._copy(databases.session(shard), databases.master, table, values)

    def _copy(self, shard_session: Session, master: Session, table: TableName, query: Composable) -> None:
        """Copy a query's rows from a shard into the table in master."""
        columns = (ON, ROWS, EXAMPLE, *self.columns[table])
        target = SQL("{} ({})").format(self.relations[table], SQL(", ").join(map(Identifier, columns)))
        with tempfile.TemporaryFile() as values:
            shard_session.copy_out(query, values, doing=f"reading the keys of {table}")
            values.seek(0)
            master.copy_in(target, values, doing=f"copying the keys of {table}")


def transferred(model: Model) -> Transferred:
    """Return the tables and columns of the shards that links across databases need."""
    columns_needed: dict[TableName, list[str]] = {}
    for link in (*model.links, *model.external_links):
        if link.child.database != link.parent.database:
            child = link.child.database == SHARD
            table, columns = (link.child, link.columns) if child else (link.parent, link.parent_columns)
            columns_needed.setdefault(table, []).extend(columns)
    return Transferred({table: tuple(dict.fromkeys(columns)) for table, columns in columns_needed.items()})


def _values(shard: str, table: TableName, columns: tuple[str, ...], names: Composable) -> Composable:
    """SQL: a shard's distinct values in these columns, with their count and one row's key."""
    listed = SQL(", ").join(Identifier("c", name) for name in columns)
    return SQL("SELECT {}, count(*), ({})[1], {} FROM {} c GROUP BY {}").format(
        Literal(shard), names, listed, identifier(table.table), listed
    )


def in_order(table: TableName, shape: Table, model: Model) -> Composable:
    """SQL: the sorted keys of rows `c`; of a table without key, the columns that link it to others."""
    columns = [Identifier("c", name) for name in shape.primary_key or model.columns(table)]
    named = columns[0] if len(columns) == 1 else SQL("ROW({})").format(SQL(", ").join(columns))
    return SQL("array_agg({}::text ORDER BY {})").format(named, SQL(", ").join(columns))
