"""Check live rows for shared, doubtful and orphan rows: one snapshot per database, writing only temporary tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName
from archiver.checks.cross_database import EXAMPLE, ON, ROWS, Transferred, in_order, transferred
from archiver.checks.integrity_finding import IntegrityFinding, IntegrityKind
from archiver.checks.paths import Chain, ReferencePath, chains, keyed, owners, reference_paths, sharable, ways_in
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema, Table, identifier, read_schema
from archiver.postgres.selection import identity_of, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session

SHOWN = 5  # examples of each kind
LEFT_BEHIND = "it would be left behind, and the audit of its night would fail"
UNRESTORABLE = "a foreign key forbids it, so its archive could not be restored"
NO_SUCH_SHARD = "the inventory does not have it"


@dataclass(frozen=True, kw_only=True)
class IntegrityCheck:
    """The context of a check."""

    databases: Databases
    schemas: Mapping[str, Schema]  # of master and of a shard, also the tables that only refer to the model's
    transferred: Transferred

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.databases.model

    def shape(self, table: TableName) -> Table:
        """Return a table's columns and keys."""
        return self.schemas[table.database].tables[table.table]

    def source(self, table: TableName, queried_in: str) -> Composable:
        """SQL: a table for FROM in master or in a shard: itself, or its copy in master."""
        return identifier(table.table) if table.database == queried_in else self.transferred.relations[table]


def check_integrity(databases: Databases) -> list[IntegrityFinding]:
    """Return all findings in master and on the shards: by kind and table the number of rows and some keys."""
    with _snapshots(databases) as check:
        return [
            *_several_ways(check),
            *_several_tenants(check),
            *_several_owners(check),
            *_orphans(check),
            *_on_wrong_shards(check),
        ]


@contextmanager
def _snapshots(databases: Databases) -> Iterator[IntegrityCheck]:
    """Open a snapshot in every database, with the shards' keys copied to master."""
    names = (MASTER, *databases.shards)
    keys = transferred(databases.model)
    check = IntegrityCheck(databases=databases, schemas=_schemas(databases), transferred=keys)
    keys.prepare(databases)
    with ExitStack() as snapshots:
        for name in names:
            snapshots.enter_context(databases.session(name).rolled_back("REPEATABLE READ READ ONLY"))
        for name in names:
            databases.session(name).row("SELECT 1", doing="taking a snapshot")
        keys.fill(databases)
        yield check


def _schemas(databases: Databases) -> dict[str, Schema]:
    """Return the schemas of master and of a shard."""
    names = {MASTER: MASTER, **({SHARD: databases.shards[0]} if databases.model.tenant.shard else {})}
    tables = {*databases.model.tables, *(need.parent for need in databases.model.external_links)}
    return {
        kind: read_schema(databases.session(name), [table.table for table in tables if table.database == kind])
        for kind, name in names.items()
    }


def _several_ways(check: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Yield the rows found through several tables."""
    for table in check.model.tables:
        links = ways_in(check.model, table)
        if links:
            names = ", ".join(link.parent.table for link in links)
            query = _by_several(check, table, links)
            yield from _findings(check, IntegrityKind.SEVERAL_WAYS, table, query, f"in several of {names}")


def _by_several(check: IntegrityCheck, table: TableName, links: Sequence[Link]) -> Composable:
    """SQL: the rows that several of these links lead to."""
    conditions = (
        SQL("EXISTS (SELECT 1 FROM {} p WHERE {})").format(identifier(link.parent.table), _linked(link, "c", "p"))
        for link in links
    )
    return _where_several(check.source(table, table.database), conditions)


def _several_tenants(check: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Yield the rows of master that belong to several tenants.

    The rows of a shard belong to the tenants of their rows in master.
    """
    noun = check.model.tenant.noun
    for table in sharable(check.model, check.schemas):
        if table.database == MASTER:
            query = _of_several(check, table)
            yield from _findings(check, IntegrityKind.SEVERAL_TENANTS, table, query, f"in more than one {noun}")


def _of_several(check: IntegrityCheck, table: TableName) -> Composable:
    """SQL: the rows of a table that lead up to more than one tenant."""
    identity = identity_of(check.shape(table))
    listed = SQL(", ").join(Identifier(name) for name in identity)
    key = SQL(", ").join(Identifier("t", name) for name in check.model.tenant.key_columns)
    tenants_by_row = (
        SQL("SELECT {}, ROW({}) AS {} FROM {}").format(
            SQL(", ").join(Identifier("c", name) for name in identity), key, Identifier("whose"), _up(check, chain)
        )
        for chain in chains(check.model, table)
    )
    several = SQL("SELECT {0} FROM ({1}) every GROUP BY {0} HAVING count(*) > 1").format(
        listed, SQL(" UNION ").join(tenants_by_row)
    )
    return SQL("{} c WHERE ({}) IN ({})").format(check.source(table, MASTER), listed, several)


def _up(check: IntegrityCheck, chain: Chain) -> Composable:
    """SQL: FROM …: the rows of a chain's first table as `c`, joined up to their tenants as `t`; queried in master."""
    aliases = ["c", *(f"up {number}" for number in range(1, len(chain))), "t"]
    joins = [
        SQL(" JOIN {} {} ON {}").format(
            check.source(link.parent, MASTER), Identifier(above), _linked(link, below, above)
        )
        for link, below, above in zip(chain, aliases, aliases[1:], strict=False)
    ]
    return SQL("{} c{}").format(check.source(chain[0].child, MASTER), SQL("").join(joins))


def _several_owners(check: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Yield the rows with more than one owner."""
    for table in check.model.tables:
        links = owners(check.model, table)
        if len(links) > 1:
            named = (narrowed(_no_nulls(columns), link, "c") for columns, link in links.items())
            query = _where_several(check.source(table, table.database), named)
            yield from _findings(check, IntegrityKind.SEVERAL_OWNERS, table, query, "with more than one owner")


def _where_several(source: Composable, conditions: Iterator[Composable]) -> Composable:
    """SQL: FROM … WHERE more than one of the conditions holds."""
    count = SQL(" + ").join(SQL("coalesce(({})::int, 0)").format(condition) for condition in conditions)
    return SQL("{} c WHERE {} > 1").format(source, count)


def _orphans(check: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Yield the rows that refer to a row that does not exist."""
    for path in reference_paths(check.model, check.schemas):
        queried_in = MASTER if path.across else path.table.database
        query = SQL("{} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})").format(
            check.source(path.table, queried_in),
            narrowed(_no_nulls(path.columns), _as_link(path), "c"),
            check.source(path.named, queried_in),
            matched(_as_link(path), "c", "p"),
        )
        what = f"whose {', '.join(path.columns)} refers to a missing row of {path.named}"
        kind = IntegrityKind.DANGLING_ACROSS if path.across else IntegrityKind.DANGLING
        refused = UNRESTORABLE if keyed(path, check.schemas[path.table.database]) else ""
        yield from _findings(check, kind, path.table, query, what, refused=refused, queried_in=queried_in)


def _as_link(path: ReferencePath) -> Link:
    """Return the path as a link."""
    return Link(path.table, path.columns, path.named, path.named_columns, path.where)


def _on_wrong_shards(check: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Yield the rows that no archive of their tenant would find."""
    tenant, model = check.model.tenant, check.model
    if tenant.shard is None:
        return
    shards, shard = Literal(list(check.databases.shards)), Identifier(tenant.shard)
    lost = SQL("{} c WHERE coalesce(c.{} <> ALL({}), true)").format(check.source(model.root, MASTER), shard, shards)
    what = "on a shard that the inventory does not have"
    yield from _findings(check, IntegrityKind.UNKNOWN_SHARD, model.root, lost, what, refused=NO_SUCH_SHARD)
    for table in check.transferred.relations:
        for chain in chains(model, table):
            query = SQL("{} WHERE t.{shard} <> c.{} AND t.{shard} = ANY({})").format(
                _up(check, chain), Identifier(ON), shards, shard=shard
            )
            what = f"on another shard than their {tenant.noun}"
            yield from _findings(
                check, IntegrityKind.WRONG_SHARD, table, query, what, refused=LEFT_BEHIND, queried_in=MASTER
            )


def _linked(link: Link, child: str, parent: str) -> Composable:
    """SQL: the condition that a child is linked to a parent."""
    return narrowed(matched(link, child, parent), link, child)


def _no_nulls(columns: Sequence[str]) -> Composable:
    """SQL: the condition that none of these columns of `c` is NULL."""
    return SQL(" AND ").join(SQL("c.{} IS NOT NULL").format(Identifier(name)) for name in columns)


def _findings(
    check: IntegrityCheck,
    kind: IntegrityKind,
    table: TableName,
    query: Composable,
    what: str,
    *,
    refused: str = "",
    queried_in: str = "",
) -> Iterator[IntegrityFinding]:
    """Yield a finding for each database with such rows.

    `query` is a FROM … WHERE with the rows as `c`; `queried_in` is the database to query, if not the table's own.
    """
    queried_in = queried_in or table.database
    for name in [MASTER] if queried_in == MASTER else check.databases.shards:
        session = check.databases.session(name)
        rows, examples = _counted(session, check, table, query, queried_in)
        if rows:
            yield IntegrityFinding(
                kind=kind,
                database=table.database if queried_in == MASTER else name,
                table=table,
                what=what,
                rows=rows,
                examples=tuple(examples),
                refused=refused,
            )


def _counted(
    session: Session, check: IntegrityCheck, table: TableName, query: Composable, queried_in: str
) -> tuple[int, list[str]]:
    """Return the number of rows, and the first keys."""
    if table.database == queried_in:
        count: Composable = SQL("count(*)")
        names = in_order(table, check.shape(table), check.model)
    else:
        count = SQL("coalesce(sum(c.{}), 0)::bigint").format(Identifier(ROWS))
        names = SQL("array_agg({on} || ' ' || {name} ORDER BY {on}, {name})").format(
            on=Identifier("c", ON), name=Identifier("c", EXAMPLE)
        )
    counting = SQL("SELECT {}, ({})[1:{}] FROM {}").format(count, names, Literal(SHOWN), query)
    rows, examples = session.row(counting, doing=f"checking {table}")
    return rows, examples or []
