"""The rows of one database to delete with many tenants at once; a row stays if a row that stays refers to it.

The rule is that of `shared_rows` for one tenant, as SQL on sets: a row is deleted if a deleted row leads to it, unless
a row that stays refers to it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from archiver.catalog.model import Link, Model, TableName
from archiver.delete.interrupted import referenced_by_interrupted
from archiver.extract.row_sets import LinkValues, RowSets, column_alias, fill, keys_table
from archiver.postgres.schema import identifier
from archiver.postgres.selection import identity_of, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier


@dataclass(frozen=True)
class DeletionSet:
    """The rows of one database to delete; valid within the transaction that computed it."""

    row_sets: RowSets
    depth: str
    deleted_keys: dict[Link, LinkValues]  # link to another database: keys of rows already deleted there
    records: Sequence[int] = ()  # ids of the records of the tenants to delete
    _chosen: dict[TableName, Composable] = field(default_factory=dict)  # identities, where not all rows go
    _names: list[str] = field(default_factory=list)

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.row_sets.model

    def all_rows_go(self, table: TableName) -> bool:
        """True if all of the tenants' rows in the table are deleted: no other tenant can refer to such a row."""
        if table == self.model.start(self.depth):
            return self._belongs_to_one(table)
        return (
            table in self.model.below(self.depth) and self._has_single_owner(table) and self._parent_all_rows_go(table)
        )

    def _belongs_to_one(self, table: TableName) -> bool:
        """True if each row belongs to one tenant: it has one parent, which does, and so on up to the tenant itself."""
        if table == self.model.root:
            return True
        return self._has_single_owner(table) and all(
            self._belongs_to_one(link.parent) for link in self.model.found_by(table)
        )

    def _has_single_owner(self, table: TableName) -> bool:
        """True if each row has exactly one parent, and nothing else refers to it."""
        return self.row_sets.single_parent(table) and len(self.model.referenced_by(table)) == 1

    def _parent_all_rows_go(self, table: TableName) -> bool:
        """True if all rows of the table's parent are deleted."""
        [link] = self.model.found_by(table)
        return self.all_rows_go(link.parent)

    def row(self, table: TableName, alias: str) -> Composable:
        """SQL: the condition that the row under an alias is deleted."""
        if table not in self.model.below(self.depth):
            return SQL("false")
        if table in self._chosen:
            return _among(self._chosen[table], identity_of(self.row_sets.shape(table)), alias)
        if table == self.model.root:
            return _among(self.row_sets.of(table), identity_of(self.row_sets.shape(table)), alias)
        [link] = self.model.found_by(table)
        condition = narrowed(matched(link, alias, "g"), link, alias)
        parents = self._chosen[link.parent] if self.goes_with_parent(table) else self.row_sets.parents(link)
        return SQL("EXISTS (SELECT 1 FROM {} g WHERE {})").format(parents, condition)

    def goes_with_parent(self, table: TableName) -> bool:
        """True if rows are deleted exactly when their parent is, only some parents are, and no table hangs below."""
        if not (table in self.model.below(self.depth) and self._has_single_owner(table)) or self._leading(table):
            return False
        [link] = self.model.found_by(table)
        return link.parent in self._chosen

    def deciding_link(self, table: TableName) -> Link | None:
        """Return the link to the parent in the same database that alone decides about a row; None if there is none."""
        if not (self.all_rows_go(table) or self.goes_with_parent(table)):
            return None
        links = [link for link in self.model.found_by(table) if link.parent in self.model.below(self.depth)]
        return links[0] if links and links[0].parent.database == table.database else None

    def materialize(self, table: TableName) -> None:
        """Create the table of identities to delete, if only some rows go; the tables above are decided already."""
        if self.all_rows_go(table) or self.goes_with_parent(table) or table not in self.model.below(self.depth):
            return
        shape, relation = self.row_sets.shape(table), Identifier("pg_temp", self._next_name())
        reached = SQL(" UNION ").join(self._reached(link) for link in self.model.found_by(table))
        needed = SQL("").join(
            SQL(" AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})").format(
                self._references_that_stay(link), narrowed(matched(link, "c", "p"), link, "c")
            )
            for link in self.model.referenced_by(table)
        )
        names = sorted({*identity_of(shape), *self._leading(table)})
        query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT {} FROM {} c WHERE ({}) IN ({}){}").format(
            relation,
            SQL(", ").join(
                SQL("c.{} AS {}").format(Identifier(name), Identifier(column_alias(name))) for name in names
            ),
            identifier(table.table),
            SQL(", ").join(Identifier("c", name) for name in identity_of(shape)),
            reached,
            needed,
        )
        self.row_sets.placement.sessions[table.database].execute(query, doing=f"deciding which rows of {table} go")
        self._chosen[table] = relation

    def _leading(self, table: TableName) -> set[str]:
        """Return the columns by which rows of the table lead to others."""
        return {name for link in self.model.links if link.parent == table for name in link.parent_columns}

    def _reached(self, link: Link) -> Composable:
        """SQL: the identities of the rows that a deleted row leads to."""
        identity = identity_of(self.row_sets.shape(link.child))
        return SQL("SELECT {} FROM {} c JOIN {} p ON {}").format(
            SQL(", ").join(Identifier("c", name) for name in identity),
            identifier(link.child.table),
            self._deleted_parents(link),
            narrowed(matched(link, "c", "p"), link, "c"),
        )

    def _deleted_parents(self, link: Link) -> Composable:
        """SQL: the relation with the keys of a link's deleted parents."""
        if link.parent.database != link.child.database:
            return self._keys(link, self.deleted_keys[link])
        if link.parent in self._chosen:
            return self._chosen[link.parent]
        return self.row_sets.of(link.parent) if link.parent in self.model.below(self.depth) else self._keys(link, ())

    def _references_that_stay(self, link: Link) -> Composable:
        """SQL: the relation with a link's keys that rows that stay refer to; `link.parent` refers."""
        columns = SQL(", ").join(map(Identifier, link.parent_columns))
        if link.parent.database == link.child.database:
            relation = Identifier("pg_temp", self._next_name())
            query = SQL("CREATE TEMP TABLE {} ON COMMIT DROP AS SELECT DISTINCT {} FROM {} p WHERE NOT {}").format(
                relation, columns, identifier(link.parent.table), self.row(link.parent, "p")
            )
            session = self.row_sets.placement.sessions[link.child.database]
            session.execute(query, doing=f"finding references to {link.child}")
            return relation
        query = SQL("SELECT DISTINCT {} FROM {}").format(columns, identifier(link.parent.table))
        named = [
            (0, row if len(row) > 1 else row[0])
            for shard in self.row_sets.placement.other_shards
            for row in shard.keys(query, doing=f"finding references to {link.child}")
        ]
        interrupted = referenced_by_interrupted(self.row_sets.placement, link, self.records)
        return self._keys(link, [*named, *((0, key) for key in interrupted)])

    def _keys(self, link: Link, values: LinkValues) -> Composable:
        """Create a relation with these values of a link. Return its name."""
        session, shape = self.row_sets.placement.sessions[link.child.database], self.row_sets.shape(link.child)
        relation = keys_table(session, self._next_name(), link, shape)
        fill(session, relation, link, shape, [(0, key) for _, key in values])
        return relation

    def _next_name(self) -> str:
        """Return the next name of a temporary table."""
        self._names.append(f"going {len(self._names)}")
        return self._names[-1]


def _among(relation: Composable, identity: tuple[str, ...], alias: str) -> Composable:
    """SQL: the condition that the row under an alias is in a relation of identities."""
    same = (SQL("g.{} = {}").format(Identifier(column_alias(name)), Identifier(alias, name)) for name in identity)
    return SQL("EXISTS (SELECT 1 FROM {} g WHERE {})").format(relation, SQL(" AND ").join(same))
