"""Whose each row is, for many tenants at once: temporary tables of keys, made with one hash join a table.

Of a table whose rows are found by one link to a parent's primary key, the parent's map says all. Of any other, whose
rows may be found in several ways or be shared by tenants, a map of its own says it: each row once for each tenant.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName
from archiver.postgres.databases import Placement
from archiver.postgres.schema import TENANT, Table, identifier
from archiver.postgres.selection import KEYLESS, Key, array, identity_of, key_type, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session

Known = Sequence[tuple[int, Key]]  # tenants, and values of a link
# A table is read once, to its end: its rows are looked up among the keys, which fit in memory or are split on disk.
_PASSES = "SET LOCAL enable_nestloop TO off; SET LOCAL enable_mergejoin TO off; SET LOCAL work_mem TO '128MB'"


@dataclass(frozen=True)
class RowSets:
    """The maps of a set of tenants, each made when it is first asked for, for as long as the site's transactions."""

    placement: Placement
    model: Model
    tenant_ids: Collection[int] = ()
    known: Mapping[Link, Known] = field(default_factory=dict)  # instead of a map in the other database
    _own: dict[TableName, Composable] = field(default_factory=dict)
    _transferred: dict[tuple[TableName, tuple[str, ...]], Composable] = field(default_factory=dict)
    _left_out: set[int] = field(default_factory=set)

    def shape(self, table: TableName) -> Table:
        """A table's shape."""
        return self.placement.schemas[table.database].tables[table.table]

    def of(self, table: TableName) -> Composable:
        """A table's own map; those of its parents come before it."""
        if table not in self._own:
            query, place = self._query(table), Identifier("pg_temp", f"rows {len(self._own)}")
            self.placement.sessions[table.database].execute(
                SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS {}").format(place, query),
                doing=f"finding the rows of {table}",
            )
            self._own[table] = place
        return self._own[table]

    def source(self, table: TableName) -> Composable:
        """FROM …: each of the tenants' rows as `c`, once for each tenant of it, which `m` names."""
        if self.single_parent(table):
            [link] = self.model.found_by(table)
            return _joined(link, self.parents(link))
        own = SQL("{table} c JOIN {map} m ON {same}")
        return own.format(table=identifier(table.table), map=self.of(table), same=self._same_row(table))

    def leave_out(self, tenant_ids: Collection[int]) -> None:
        """Takes tenants out of every map, also of those that are not made yet: their rows stay."""
        if not tenant_ids:
            return
        self.of(self.model.root)  # from which all others follow
        self._left_out.update(tenant_ids)
        for database, place in self._places():
            query = SQL("DELETE FROM {} WHERE {} = ANY({})")
            self.placement.sessions[database].execute(
                query.format(place, Identifier(TENANT), Literal(list(tenant_ids))), doing="leaving tenants out"
            )

    def _places(self) -> Iterator[tuple[str, Composable]]:
        yield from ((table.database, place) for table, place in self._own.items())
        for (parent, _), place in self._transferred.items():
            yield SHARD if parent.database == MASTER else MASTER, place

    def _same_row(self, table: TableName) -> Composable:
        if table == self.model.root:
            return SQL("c.{} = m.{}").format(Identifier(self.model.tenant.key), Identifier(TENANT))
        names = identity_of(self.shape(table))
        return SQL(" AND ").join(
            SQL("{} = {}").format(Identifier("c", name), Identifier("m", column_alias(name))) for name in names
        )

    def parents(self, link: Link) -> Composable:
        """The map of a link's parents, in the database of its child."""
        if link.child.database == link.parent.database:
            return self.of(link.parent)
        if (link.parent, link.parent_columns) not in self._transferred:
            self._transfer(link)
        return self._transferred[link.parent, link.parent_columns]

    def _query(self, table: TableName) -> Composable:
        wanted = self._wanted(table)
        if table == self.model.root:
            return SQL("SELECT c.{key} AS {tenant}, {wanted} FROM {table} c WHERE c.{key} = ANY({ids})").format(
                key=Identifier(self.model.tenant.key),
                tenant=Identifier(TENANT),
                wanted=_columns(wanted, "c"),
                table=identifier(table.table),
                ids=Literal(list(self.tenant_ids)),
            )
        links = self.model.found_by(table)
        near = [self._near(link, wanted) for link in links if not link.recursive]
        if self.single_parent(table):
            return near[0]
        within = [link for link in links if link.recursive]
        return _below(table, near, within, wanted) if within else SQL(" UNION ").join(near)

    def single_parent(self, table: TableName) -> bool:
        """Whether a row is found by just one parent: then it is nobody else's than the parent is."""
        links = self.model.found_by(table)
        return (
            len(links) == 1
            and not links[0].recursive
            and links[0].parent_columns == self.shape(links[0].parent).primary_key
        )

    def _near(self, link: Link, wanted: Sequence[str]) -> Composable:
        query = SQL("SELECT m.{tenant}, {wanted} FROM {source}")
        source = _joined(link, self.parents(link))
        return query.format(tenant=Identifier(TENANT), wanted=_columns(wanted, "c"), source=source)

    def _wanted(self, table: TableName) -> list[str]:
        """The columns by which a row is known, and those by which it leads to others."""
        shape = self.shape(table)
        identity = shape.primary_key if self.single_parent(table) else identity_of(shape)
        leading = (name for link in self.model.links if link.parent == table for name in link.parent_columns)
        return list(dict.fromkeys((*identity, *leading)))

    def _transfer(self, link: Link) -> None:
        """Carries a map over to the other database: tenants, and the values of a link."""
        here, shape = self.placement.sessions[link.child.database], self.shape(link.child)
        place = keys_table(here, f"brought {len(self._transferred)}", link, shape)
        if link in self.known:
            fill(here, place, link, shape, [pair for pair in self.known[link] if pair[0] not in self._left_out])
        else:
            self._copy_values(link, here, place)
        self._transferred[link.parent, link.parent_columns] = place

    def _copy_values(self, link: Link, here: Session, place: Composable) -> None:
        there, columns = self.placement.sessions[link.parent.database], (TENANT, *link.parent_columns)
        listed = SQL(", ").join(map(Identifier, columns))
        with tempfile.TemporaryFile() as keys:
            query = SQL("SELECT DISTINCT {} FROM {}").format(listed, self.of(link.parent))
            there.copy_out(query, keys, doing=f"reading the keys of {link.parent}")
            keys.seek(0)
            target = SQL("{} ({})").format(place, listed)
            here.copy_in(target, keys, doing=f"bringing the keys of {link.parent}")


def make(
    placement: Placement, model: Model, tenant_ids: Collection[int], known: Mapping[Link, Known] | None = None
) -> RowSets:
    """The maps of tenants in a site's databases, in transactions that the caller has opened and that may write."""
    for session in placement.sessions.values():
        session.execute(_PASSES, doing="preparing the passes")
    return RowSets(placement, model, tenant_ids, known or {})


def column_alias(column: str) -> str:
    """What a map calls a column: the name of a row's place is no table's to use."""
    return f"row {column}" if column in KEYLESS else column


def _columns(names: Sequence[str], alias: str) -> Composable:
    return SQL(", ").join(
        SQL("{} AS {}").format(Identifier(alias, name), Identifier(column_alias(name))) for name in names
    )


def _joined(link: Link, parents: Composable) -> Composable:
    """FROM …: a link's children as `c`, its parents as `m`."""
    return SQL("{table} c JOIN {parents} m ON {matched}").format(
        table=identifier(link.child.table),
        parents=parents,
        matched=narrowed(matched(link, "c", "m"), link, "c"),
    )


def _below(table: TableName, near: Sequence[Composable], within: Sequence[Link], wanted: Sequence[str]) -> Composable:
    """Rows near the tenants, and those of the same table to which they lead, however far."""
    query = SQL(
        "WITH RECURSIVE found AS ({near} UNION SELECT f.{tenant}, {wanted} FROM {table} c JOIN found f ON {step})"
        " SELECT * FROM found"
    )
    return query.format(
        near=SQL("({})").format(SQL(" UNION ").join(near)),
        tenant=Identifier(TENANT),
        wanted=_columns(wanted, "c"),
        table=identifier(table.table),
        step=SQL(" OR ").join(narrowed(matched(link, "c", "f"), link, "c") for link in within),
    )


def keys_table(session: Session, name: str, link: Link, child: Table) -> Composable:
    """Makes an empty table for a link's values, each with its tenant; the columns are called as the parent's are."""
    place = Identifier("pg_temp", name)
    columns = (
        SQL("{} {}").format(Identifier(parent), SQL(key_type(child, column)))
        for column, parent in zip(link.columns, link.parent_columns, strict=True)
    )
    query = SQL("CREATE TEMP TABLE {} ({} bigint, {}) ON COMMIT DROP").format(
        place, Identifier(TENANT), SQL(", ").join(columns)
    )
    session.execute(query, doing=f"making a table for keys of {link.parent}")
    return place


def fill(session: Session, place: Composable, link: Link, child: Table, known: Known) -> None:
    """Writes values of a link into such a table."""
    listed = [key if len(link.columns) > 1 else (key,) for _, key in known]
    arrays = [array(child, name, [key[number] for key in listed]) for number, name in enumerate(link.columns)]
    query = SQL("INSERT INTO {} SELECT * FROM unnest({}::bigint[], {})").format(
        place, Literal([tenant_id for tenant_id, _ in known]), SQL(", ").join(arrays)
    )
    session.execute(query, doing=f"writing the keys of {link.parent}")
