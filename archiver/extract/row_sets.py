"""The rows of many tenants at once: row sets, temporary tables of keys with their tenants, one hash join per table.

If a table's rows are found by a single link to a parent's primary key, the parent's row set suffices. Any other table,
with rows found by several links or shared by tenants, has a row set of its own: each row once for each of its tenants.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName
from archiver.postgres.databases import Placement
from archiver.postgres.schema import TENANT, Table, identifier
from archiver.postgres.selection import KEYLESS, array, identity_of, key_type, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from inventory.keys import Key, Parts

LinkValues = Sequence[tuple[Key, Any]]  # tenants, and values of a link
# Each table is read once, in full: its rows are looked up among the keys, which fit in memory or are split on disk.
_PASSES = "SET LOCAL enable_nestloop TO off; SET LOCAL enable_mergejoin TO off; SET LOCAL work_mem TO '128MB'"


@dataclass(frozen=True)
class RowSets:
    """The row sets of some tenants, each made on first use; they live as long as the databases' transactions.

    In them a tenant is its number among these tenants, whatever its key.
    """

    placement: Placement
    model: Model
    tenant_ids: Sequence[Key] = ()
    link_values: Mapping[Link, LinkValues] = field(default_factory=dict)  # replace the other database's row set
    _own: dict[TableName, Composable] = field(default_factory=dict)
    _transferred: dict[tuple[TableName, tuple[str, ...]], Composable] = field(default_factory=dict)
    _left_out: set[Key] = field(default_factory=set)

    @cached_property
    def number_of(self) -> Mapping[Key, int]:
        """The number of each tenant, from 0."""
        return {tenant_id: number for number, tenant_id in enumerate(self.tenant_ids)}

    def shape(self, table: TableName) -> Table:
        """Return a table's shape."""
        return self.placement.schemas[table.database].tables[table.table]

    def of(self, table: TableName) -> Composable:
        """Return a table's own row set; make it and its parents' if needed."""
        if table not in self._own:
            query, relation = self._query(table), Identifier("pg_temp", f"rows {len(self._own)}")
            self.placement.sessions[table.database].execute(
                SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS {}").format(relation, query),
                doing=f"finding the rows of {table}",
            )
            self._own[table] = relation
        return self._own[table]

    def source(self, table: TableName) -> Composable:
        """SQL after FROM: the tenants' rows as `c`, once for each tenant, with `m` naming the tenant."""
        if self.single_parent(table):
            [link] = self.model.found_by(table)
            return _joined(link, self.parents(link))
        query = SQL("{table} c JOIN {row_set} m ON {same}")
        return query.format(table=identifier(table.table), row_set=self.of(table), same=self._same_row(table))

    def keys(self, table: TableName, columns: Sequence[str]) -> Composable:
        """SQL: these columns of each row, with its tenant; no row set is made for them alone."""
        if self.single_parent(table) and table not in self._own:
            alias, source = "c", self.source(table)
        else:
            alias, source = "m", SQL("{} m").format(self.of(table))
        query = SQL("SELECT m.{tenant}, {columns} FROM {source}")
        return query.format(tenant=Identifier(TENANT), columns=_columns(columns, alias), source=source)

    def leave_out(self, tenant_ids: Collection[Key]) -> None:
        """Remove tenants from every row set, also from those not made yet: their rows stay live."""
        if not tenant_ids:
            return
        self.of(self.model.root)  # from which all others follow
        self._left_out.update(tenant_ids)
        for database, relation in self._relations():
            query = SQL("DELETE FROM {} WHERE {} = ANY({})")
            self.placement.sessions[database].execute(
                query.format(relation, Identifier(TENANT), Literal([self.number_of[each] for each in tenant_ids])),
                doing="leaving tenants out",
            )

    def _relations(self) -> Iterator[tuple[str, Composable]]:
        yield from ((table.database, relation) for table, relation in self._own.items())
        for (parent, _), relation in self._transferred.items():
            yield SHARD if parent.database == MASTER else MASTER, relation

    def _same_row(self, table: TableName) -> Composable:
        names = identity_of(self.shape(table))
        return SQL(" AND ").join(
            SQL("{} = {}").format(Identifier("c", name), Identifier("m", column_alias(name))) for name in names
        )

    def parents(self, link: Link) -> Composable:
        """Return the row set of a link's parents, in the child's database."""
        if link.child.database == link.parent.database:
            return self.of(link.parent)
        if (link.parent, link.parent_columns) not in self._transferred:
            self._transfer(link)
        return self._transferred[link.parent, link.parent_columns]

    def _query(self, table: TableName) -> Composable:
        names = self._column_names(table)
        if table == self.model.root:
            return self._roots(names)
        links = self.model.found_by(table)
        near = [self._near(link, names) for link in links if not link.recursive]
        if self.single_parent(table):
            return near[0]
        if within := [link for link in links if link.recursive]:
            return _below(table, near, within, names)
        # A row is in the set once for a tenant, however many rows lead to it: UNION drops the others, as DISTINCT does.
        return SQL(" UNION ").join(near) if len(near) > 1 else SQL("SELECT DISTINCT * FROM ({}) r").format(near[0])

    def _roots(self, names: Sequence[str]) -> Composable:
        """SQL: the tenants' own rows, each with the tenant's number."""
        columns, root = self.model.tenant.key_columns, self.model.root
        keys = [each if isinstance(each, Parts) else (each,) for each in self.tenant_ids]
        aliases = [Identifier(f"key {number}") for number in range(len(columns))]
        return SQL(
            "SELECT w.{tenant}, {columns} FROM {table} c"
            " JOIN unnest({keys}, {numbers}::bigint[]) w ({aliases}, {tenant}) ON {same}"
        ).format(
            tenant=Identifier(TENANT),
            columns=_columns(names, "c"),
            table=identifier(root.table),
            keys=SQL(", ").join(
                array(self.shape(root), name, [key[number] for key in keys]) for number, name in enumerate(columns)
            ),
            numbers=Literal(list(range(len(keys)))),
            aliases=SQL(", ").join(aliases),
            same=SQL(" AND ").join(
                SQL("c.{} = w.{}").format(Identifier(name), alias) for name, alias in zip(columns, aliases, strict=True)
            ),
        )

    def single_parent(self, table: TableName) -> bool:
        """True if each row is found by one parent alone, and so belongs to the parent's tenants.

        False as well if the parent is in a database that is not at hand: then each row is looked at.
        """
        links = self.model.found_by(table)
        return (
            len(links) == 1
            and not links[0].recursive
            and links[0].parent.database in self.placement.schemas
            and links[0].parent_columns == self.shape(links[0].parent).primary_key
        )

    def _near(self, link: Link, names: Sequence[str]) -> Composable:
        query = SQL("SELECT m.{tenant}, {columns} FROM {source}")
        source = _joined(link, self.parents(link))
        return query.format(tenant=Identifier(TENANT), columns=_columns(names, "c"), source=source)

    def _column_names(self, table: TableName) -> list[str]:
        """Return the columns that identify a row, and those by which links find its children."""
        shape = self.shape(table)
        identity = shape.primary_key if self.single_parent(table) else identity_of(shape)
        leading = (name for link in self.model.links if link.parent == table for name in link.parent_columns)
        return list(dict.fromkeys((*identity, *leading)))

    def _transfer(self, link: Link) -> None:
        """Copy a row set to the child's database: tenants, and the values of a link."""
        session, shape = self.placement.sessions[link.child.database], self.shape(link.child)
        relation = keys_table(session, f"transferred {len(self._transferred)}", link, shape)
        if link in self.link_values:
            values = [
                (self.number_of[tenant_id], key)
                for tenant_id, key in self.link_values[link]
                if tenant_id not in self._left_out
            ]
            fill(session, relation, link, shape, values)
        else:
            self._copy_values(link, session, relation)
        self._transferred[link.parent, link.parent_columns] = relation

    def _copy_values(self, link: Link, target: Session, relation: Composable) -> None:
        source, columns = self.placement.sessions[link.parent.database], (TENANT, *link.parent_columns)
        listed = SQL(", ").join(map(Identifier, columns))
        with tempfile.TemporaryFile() as keys:
            query = SQL("SELECT DISTINCT {} FROM {}").format(listed, self.of(link.parent))
            source.copy_out(query, keys, doing=f"reading the keys of {link.parent}")
            keys.seek(0)
            target.copy_in(SQL("{} ({})").format(relation, listed), keys, doing=f"copying the keys of {link.parent}")


def make(
    placement: Placement,
    model: Model,
    tenant_ids: Sequence[Key],
    link_values: Mapping[Link, LinkValues] | None = None,
) -> RowSets:
    """Return the row sets of tenants, in transactions that the caller has opened and that may write."""
    for session in placement.sessions.values():
        session.execute(_PASSES, doing="preparing the passes")
    return RowSets(placement, model, tenant_ids, link_values or {})


def column_alias(column: str) -> str:
    """Return a column's name in a row set: no table may have a column with the name of a row's address."""
    return f"row {column}" if column in KEYLESS else column


def _columns(names: Sequence[str], alias: str) -> Composable:
    return SQL(", ").join(
        SQL("{} AS {}").format(Identifier(alias, name), Identifier(column_alias(name))) for name in names
    )


def _joined(link: Link, parents: Composable) -> Composable:
    """SQL after FROM: a link's children as `c`, its parents as `m`."""
    return SQL("{table} c JOIN {parents} m ON {matched}").format(
        table=identifier(link.child.table),
        parents=parents,
        matched=narrowed(matched(link, "c", "m"), link, "c"),
    )


def _below(table: TableName, near: Sequence[Composable], within: Sequence[Link], names: Sequence[str]) -> Composable:
    """SQL: the rows in `near`, and the rows of the same table that they lead to, at any depth."""
    query = SQL(
        "WITH RECURSIVE found AS ({near} UNION SELECT f.{tenant}, {columns} FROM {table} c JOIN found f ON {step})"
        " SELECT * FROM found"
    )
    return query.format(
        near=SQL("({})").format(SQL(" UNION ").join(near)),
        tenant=Identifier(TENANT),
        columns=_columns(names, "c"),
        table=identifier(table.table),
        step=SQL(" OR ").join(narrowed(matched(link, "c", "f"), link, "c") for link in within),
    )


def keys_table(session: Session, name: str, link: Link, child: Table) -> Composable:
    """Create an empty table for a link's values, each with its tenant; columns have the parent's names."""
    relation = Identifier("pg_temp", name)
    columns = (
        SQL("{} {}").format(Identifier(parent), SQL(key_type(child, column)))
        for column, parent in zip(link.columns, link.parent_columns, strict=True)
    )
    query = SQL("CREATE TEMP TABLE {} ({} bigint, {}) ON COMMIT DROP").format(
        relation, Identifier(TENANT), SQL(", ").join(columns)
    )
    session.execute(query, doing=f"making a table for keys of {link.parent}")
    return relation


def fill(session: Session, relation: Composable, link: Link, child: Table, values: Sequence[tuple[int, Any]]) -> None:
    """Write a link's values, each with its tenant's number, into a table made by `keys_table`."""
    listed = [key if len(link.columns) > 1 else (key,) for _, key in values]
    arrays = [array(child, name, [key[number] for key in listed]) for number, name in enumerate(link.columns)]
    query = SQL("INSERT INTO {} SELECT * FROM unnest({}::bigint[], {})").format(
        relation, Literal([number for number, _ in values]), SQL(", ").join(arrays)
    )
    session.execute(query, doing=f"writing the keys of {link.parent}")
