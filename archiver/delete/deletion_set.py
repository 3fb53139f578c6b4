"""Which rows of a database go when many tenants do, and which stay because a row that stays needs them.

The same rule as `reclaiming.sharing` has for one tenant, in sets: a row goes that a row which goes leads to, unless a
row that stays needs it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archiver.catalog.model import Link, Model, TableName
from archiver.delete.interrupted import referenced_by_interrupted
from archiver.extract.row_sets import LinkValues, RowSets, column_alias, fill, keys_table
from archiver.postgres.schema import TENANT, identifier
from archiver.postgres.selection import identity_of, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier
from inventory.model import Depth


@dataclass(frozen=True)
class DeletionSet:
    """The rows of one database that go, for as long as the transaction in which this was found."""

    row_sets: RowSets
    depth: Depth
    deleted_keys: dict[Link, LinkValues]  # keys of links to another database whose rows went before
    records: Sequence[int] = ()  # of the tenants that go
    _chosen: dict[TableName, Composable] = field(default_factory=dict)  # identities, where not all that was found goes
    _names: list[str] = field(default_factory=list)

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.row_sets.model

    def all_rows_go(self, table: TableName) -> bool:
        """Whether all that was found goes: nobody else can need such a row."""
        if table == self.model.start(self.depth):
            return table == self.model.root or self._no_parent_goes(table)
        return table in self.model.below(self.depth) and self._no_parent_goes(table) and self._parent_entire(table)

    def _no_parent_goes(self, table: TableName) -> bool:
        return self.row_sets.single_parent(table) and len(self.model.referenced_by(table)) == 1

    def _parent_entire(self, table: TableName) -> bool:
        [link] = self.model.found_by(table)
        return self.all_rows_go(link.parent)

    def row(self, table: TableName, alias: str) -> Composable:
        """Whether the row under an alias goes."""
        if table not in self.model.below(self.depth):
            return SQL("false")
        if table in self._chosen:
            return _among(self._chosen[table], identity_of(self.row_sets.shape(table)), alias)
        if table == self.model.root:
            query = SQL("EXISTS (SELECT 1 FROM {} g WHERE g.{} = {})")
            key = Identifier(alias, self.model.tenant.key)
            return query.format(self.row_sets.of(table), Identifier(TENANT), key)
        [link] = self.model.found_by(table)
        found = narrowed(matched(link, alias, "g"), link, alias)
        parents = self._chosen[link.parent] if self.goes_with_parent(table) else self.row_sets.parents(link)
        return SQL("EXISTS (SELECT 1 FROM {} g WHERE {})").format(parents, found)

    def goes_with_parent(self, table: TableName) -> bool:
        """Whether a row goes just where the one that it belongs to does, of which not all go; and it leads nowhere."""
        if not (table in self.model.below(self.depth) and self._no_parent_goes(table)) or self._leading(table):
            return False
        [link] = self.model.found_by(table)
        return link.parent in self._chosen

    def deciding_link(self, table: TableName) -> Link | None:
        """The link to the row of the same database with which a row goes or stays, where that alone decides."""
        if table not in self.model.below(self.depth) or not (self.all_rows_go(table) or self.goes_with_parent(table)):
            return None
        links = [link for link in self.model.found_by(table) if link.parent in self.model.below(self.depth)]
        return links[0] if links and links[0].parent.database == table.database else None

    def materialize(self, table: TableName) -> None:
        """Decides of a table in which not all that was found goes; what is above it is decided."""
        if self.all_rows_go(table) or self.goes_with_parent(table) or table not in self.model.below(self.depth):
            return
        shape, place = self.row_sets.shape(table), Identifier("pg_temp", self._name())
        reached = SQL(" UNION ").join(self._reached(link) for link in self.model.found_by(table))
        needed = SQL("").join(
            SQL(" AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})").format(
                self._needing(link), narrowed(matched(link, "c", "p"), link, "c")
            )
            for link in self.model.referenced_by(table)
        )
        names = sorted({*identity_of(shape), *self._leading(table)})
        query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} c WHERE ({}) IN ({}){}").format(
            place,
            SQL(", ").join(
                SQL("c.{} AS {}").format(Identifier(name), Identifier(column_alias(name))) for name in names
            ),
            identifier(table.table),
            SQL(", ").join(Identifier("c", name) for name in identity_of(shape)),
            reached,
            needed,
        )
        self.row_sets.placement.sessions[table.database].execute(query, doing=f"deciding which rows of {table} go")
        self._chosen[table] = place

    def _leading(self, table: TableName) -> set[str]:
        return {name for link in self.model.links if link.parent == table for name in link.parent_columns}

    def _reached(self, link: Link) -> Composable:
        """The rows that a row which goes leads to."""
        identity = identity_of(self.row_sets.shape(link.child))
        return SQL("SELECT {} FROM {} c JOIN {} p ON {}").format(
            SQL(", ").join(Identifier("c", name) for name in identity),
            identifier(link.child.table),
            self._leaders(link),
            narrowed(matched(link, "c", "p"), link, "c"),
        )

    def _leaders(self, link: Link) -> Composable:
        """Keys of a link's parents that go."""
        if link.parent.database != link.child.database:
            return self._keys(link, self.deleted_keys[link])
        if link.parent in self._chosen:
            return self._chosen[link.parent]
        return self.row_sets.of(link.parent) if link.parent in self.model.below(self.depth) else self._keys(link, ())

    def _needing(self, link: Link) -> Composable:
        """Keys of a link that a row which stays names; `link.parent` is who needs."""
        columns = SQL(", ").join(map(Identifier, link.parent_columns))
        if link.parent.database == link.child.database:
            place = Identifier("pg_temp", self._name())
            query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT DISTINCT {} FROM {} p WHERE NOT {}").format(
                place, columns, identifier(link.parent.table), self.row(link.parent, "p")
            )
            session = self.row_sets.placement.sessions[link.child.database]
            session.execute(query, doing=f"looking who needs {link.child}")
            return place
        query = SQL("SELECT DISTINCT {} FROM {}").format(columns, identifier(link.parent.table))
        named = [
            (0, row if len(row) > 1 else row[0])
            for shard in self.row_sets.placement.other_shards
            for row in shard.keys(query, doing=f"looking who needs {link.child}")
        ]
        half_way = referenced_by_interrupted(self.row_sets.placement, link, self.records)
        return self._keys(link, [*named, *((0, key) for key in half_way)])

    def _keys(self, link: Link, known: LinkValues) -> Composable:
        session, shape = self.row_sets.placement.sessions[link.child.database], self.row_sets.shape(link.child)
        place = keys_table(session, self._name(), link, shape)
        fill(session, place, link, shape, known)
        return place

    def _name(self) -> str:
        self._names.append(f"going {len(self._names)}")
        return self._names[-1]


def _among(place: Composable, identity: tuple[str, ...], alias: str) -> Composable:
    same = (SQL("g.{} = {}").format(Identifier(column_alias(name)), Identifier(alias, name)) for name in identity)
    return SQL("EXISTS (SELECT 1 FROM {} g WHERE {})").format(place, SQL(" AND ").join(same))
