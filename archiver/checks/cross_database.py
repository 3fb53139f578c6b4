"""What of the shards' rows names master's, brought into temporary tables of master's session to be joined there."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field

from archiver.catalog.model import SHARD, Model, TableName
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Table, identifier
from archiver.postgres.selection import key_type
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session

ON, ROWS, EXAMPLE = "on shard", "how many rows", "one of them"  # beside a table's own columns


@dataclass(frozen=True)
class Transferred:
    """Tables of the shards as far as links across databases need them: each set of values once a shard, counted."""

    columns: Mapping[TableName, tuple[str, ...]]
    relations: dict[TableName, Composable] = field(default_factory=dict)

    def prepare(self, databases: Databases) -> None:
        """Makes the tables, empty; before the transaction that may not make any."""
        for number, (table, columns) in enumerate(self.columns.items()):
            self.relations[table] = Identifier("pg_temp", f"brought {number}")
            shape = databases.schema(databases.shards[0]).tables[table.table]
            own = [SQL("{} {}").format(Identifier(name), SQL(key_type(shape, name))) for name in columns]
            query = SQL("CREATE TEMP TABLE {} ({} text, {} bigint, {} text, {})").format(
                self.relations[table], *map(Identifier, (ON, ROWS, EXAMPLE)), SQL(", ").join(own)
            )
            databases.master.execute(query, doing=f"making a table for keys of {table}")

    def fill(self, databases: Databases) -> None:
        """Brings the shards' values, in the transactions that are open."""
        for table, columns in self.columns.items():
            for shard in databases.shards:
                shape = databases.schema(shard).tables[table.table]
                values = _values(shard, table, columns, in_order(table, shape, databases.model))
                self._carry(databases.session(shard), databases.master, table, values)

    def _carry(self, there: Session, here: Session, table: TableName, query: Composable) -> None:
        columns = (ON, ROWS, EXAMPLE, *self.columns[table])
        target = SQL("{} ({})").format(self.relations[table], SQL(", ").join(map(Identifier, columns)))
        with tempfile.TemporaryFile() as values:
            there.copy_out(query, values, doing=f"reading the keys of {table}")
            values.seek(0)
            here.copy_in(target, values, doing=f"bringing the keys of {table}")


def transferred(model: Model) -> Transferred:
    """What links across databases need of the shards' tables."""
    wanted: dict[TableName, list[str]] = {}
    for link in (*model.links, *model.external_links):
        if link.child.database != link.parent.database:
            child = link.child.database == SHARD
            table, columns = (link.child, link.columns) if child else (link.parent, link.parent_columns)
            wanted.setdefault(table, []).extend(columns)
    return Transferred({table: tuple(dict.fromkeys(columns)) for table, columns in wanted.items()})


def _values(shard: str, table: TableName, columns: tuple[str, ...], names: Composable) -> Composable:
    listed = SQL(", ").join(Identifier("c", name) for name in columns)
    return SQL("SELECT {}, count(*), ({})[1], {} FROM {} c GROUP BY {}").format(
        Literal(shard), names, listed, identifier(table.table), listed
    )


def in_order(table: TableName, shape: Table, model: Model) -> Composable:
    """The names of rows `c`, in their order: a row is known by its key, or by all that links it with others."""
    columns = [Identifier("c", name) for name in shape.primary_key or model.columns(table)]
    named = columns[0] if len(columns) == 1 else SQL("ROW({})").format(SQL(", ").join(columns))
    return SQL("array_agg({}::text ORDER BY {})").format(named, SQL(", ").join(columns))
