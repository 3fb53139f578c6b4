"""Looks through the live rows for what is shared, doubtful or lost: one snapshot a database, in which nothing is
written but temporary tables."""

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
LEFT_BEHIND = "it would be left behind, and step 8's proof would fail"
UNRESTORABLE = "a foreign key forbids it, so that no archive of it comes back"
NO_SUCH_SHARD = "the inventory does not have it"


@dataclass(frozen=True, kw_only=True)
class IntegrityCheck:
    """All that a look through the rows needs."""

    databases: Databases
    schemas: Mapping[str, Schema]  # of master and of a shard, with the tables that only need rows of the model's
    transferred: Transferred

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.databases.model

    def shape(self, table: TableName) -> Table:
        """A table's shape."""
        return self.schemas[table.database].tables[table.table]

    def source(self, table: TableName, here: str) -> Composable:
        """A table for FROM, asked in master or in a shard: itself, or what was brought of it."""
        return identifier(table.table) if table.database == here else self.transferred.relations[table]


def check_integrity(databases: Databases) -> list[IntegrityFinding]:
    """Everything doubtful in master and on the shards, of each kind and table the number and some keys."""
    with _snapshots(databases) as looking:
        return [
            *_several_ways(looking),
            *_several_tenants(looking),
            *_several_owners(looking),
            *_orphans(looking),
            *_on_wrong_shards(looking),
        ]


@contextmanager
def _snapshots(databases: Databases) -> Iterator[IntegrityCheck]:
    names = (MASTER, *databases.shards)
    keys = transferred(databases.model)
    looking = IntegrityCheck(databases=databases, schemas=_schemas(databases), transferred=keys)
    keys.prepare(databases)
    with ExitStack() as snapshots:
        for name in names:
            snapshots.enter_context(databases.session(name).rolled_back("REPEATABLE READ READ ONLY"))
        for name in names:
            databases.session(name).row("SELECT 1", doing="taking a snapshot")
        keys.fill(databases)
        yield looking


def _schemas(databases: Databases) -> dict[str, Schema]:
    names = {MASTER: MASTER, **({SHARD: databases.shards[0]} if databases.model.tenant.shard else {})}
    wanted = {*databases.model.tables, *(need.parent for need in databases.model.external_links)}
    return {
        kind: read_schema(databases.session(name), [table.table for table in wanted if table.database == kind])
        for kind, name in names.items()
    }


def _several_ways(looking: IntegrityCheck) -> Iterator[IntegrityFinding]:
    for table in looking.model.tables:
        links = ways_in(looking.model, table)
        if links:
            names = ", ".join(link.parent.table for link in links)
            query = _by_several(looking, table, links)
            yield from _asked(looking, IntegrityKind.SEVERAL_WAYS, table, query, f"in several of {names}")


def _by_several(looking: IntegrityCheck, table: TableName, links: Sequence[Link]) -> Composable:
    led = (
        SQL("EXISTS (SELECT 1 FROM {} p WHERE {})").format(identifier(link.parent.table), _met(link, "c", "p"))
        for link in links
    )
    return _where_several(looking.source(table, table.database), led)


def _several_tenants(looking: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Of master's tables; what lies on a shard belongs to whom its rows in master belong."""
    noun = looking.model.tenant.noun
    for table in sharable(looking.model, looking.schemas):
        if table.database == MASTER:
            query = _of_several(looking, table)
            yield from _asked(looking, IntegrityKind.SEVERAL_TENANTS, table, query, f"in more than one {noun}")


def _of_several(looking: IntegrityCheck, table: TableName) -> Composable:
    identity = identity_of(looking.shape(table))
    listed = SQL(", ").join(Identifier(name) for name in identity)
    key = Identifier(looking.model.tenant.key)
    whose = (
        SQL("SELECT {}, t.{} AS {} FROM {}").format(
            SQL(", ").join(Identifier("c", name) for name in identity), key, Identifier("whose"), _up(looking, chain)
        )
        for chain in chains(looking.model, table)
    )
    several = SQL("SELECT {0} FROM ({1}) every GROUP BY {0} HAVING count(*) > 1").format(
        listed, SQL(" UNION ").join(whose)
    )
    return SQL("{} c WHERE ({}) IN ({})").format(looking.source(table, MASTER), listed, several)


def _up(looking: IntegrityCheck, chain: Chain) -> Composable:
    """FROM …: the rows of a chain's first table as `c`, up to their tenants as `t`; asked in master."""
    aliases = ["c", *(f"up {number}" for number in range(1, len(chain))), "t"]
    joins = [
        SQL(" JOIN {} {} ON {}").format(
            looking.source(link.parent, MASTER), Identifier(above), _met(link, below, above)
        )
        for link, below, above in zip(chain, aliases, aliases[1:], strict=False)
    ]
    return SQL("{} c{}").format(looking.source(chain[0].child, MASTER), SQL("").join(joins))


def _several_owners(looking: IntegrityCheck) -> Iterator[IntegrityFinding]:
    for table in looking.model.tables:
        links = owners(looking.model, table)
        if len(links) > 1:
            named = (narrowed(_whole(columns), link, "c") for columns, link in links.items())
            query = _where_several(looking.source(table, table.database), named)
            yield from _asked(looking, IntegrityKind.SEVERAL_OWNERS, table, query, "with more than one owner")


def _where_several(source: Composable, conditions: Iterator[Composable]) -> Composable:
    count = SQL(" + ").join(SQL("coalesce(({})::int, 0)").format(condition) for condition in conditions)
    return SQL("{} c WHERE {} > 1").format(source, count)


def _orphans(looking: IntegrityCheck) -> Iterator[IntegrityFinding]:
    for naming in reference_paths(looking.model, looking.schemas):
        here = MASTER if naming.across else naming.table.database
        query = SQL("{} c WHERE {} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})").format(
            looking.source(naming.table, here),
            narrowed(_whole(naming.columns), _as_link(naming), "c"),
            looking.source(naming.named, here),
            matched(_as_link(naming), "c", "p"),
        )
        what = f"whose {', '.join(naming.columns)} names a row of {naming.named} that is gone"
        kind = IntegrityKind.DANGLING_ACROSS if naming.across else IntegrityKind.DANGLING
        refused = UNRESTORABLE if keyed(naming, looking.schemas[naming.table.database]) else ""
        yield from _asked(looking, kind, naming.table, query, what, refused=refused, here=here)


def _as_link(naming: ReferencePath) -> Link:
    return Link(naming.table, naming.columns, naming.named, naming.named_columns, naming.where)


def _on_wrong_shards(looking: IntegrityCheck) -> Iterator[IntegrityFinding]:
    """Rows that no archive of their tenant would find."""
    tenant, model = looking.model.tenant, looking.model
    if tenant.shard is None:
        return
    known, shard = Literal(list(looking.databases.shards)), Identifier(tenant.shard)
    lost = SQL("{} c WHERE coalesce(c.{} <> ALL({}), true)").format(looking.source(model.root, MASTER), shard, known)
    what = "on a shard that the inventory does not have"
    yield from _asked(looking, IntegrityKind.UNKNOWN_SHARD, model.root, lost, what, refused=NO_SUCH_SHARD)
    for table in looking.transferred.relations:
        for chain in chains(model, table):
            query = SQL("{} WHERE t.{shard} <> c.{} AND t.{shard} = ANY({})").format(
                _up(looking, chain), Identifier(ON), known, shard=shard
            )
            what = f"on another shard than their {tenant.noun}"
            yield from _asked(looking, IntegrityKind.WRONG_SHARD, table, query, what, refused=LEFT_BEHIND, here=MASTER)


def _met(link: Link, child: str, parent: str) -> Composable:
    return narrowed(matched(link, child, parent), link, child)


def _whole(columns: Sequence[str]) -> Composable:
    return SQL(" AND ").join(SQL("c.{} IS NOT NULL").format(Identifier(name)) for name in columns)


def _asked(
    looking: IntegrityCheck,
    kind: IntegrityKind,
    table: TableName,
    query: Composable,
    what: str,
    *,
    refused: str = "",
    here: str = "",
) -> Iterator[IntegrityFinding]:
    """A finding for each database in which there are such rows; `query` is a FROM … WHERE with the rows as `c`, and
    `here` where it is asked, if not in the table's own database."""
    here = here or table.database
    for name in [MASTER] if here == MASTER else looking.databases.shards:
        session = looking.databases.session(name)
        rows, examples = _counted(session, looking, table, query, here)
        if rows:
            yield IntegrityFinding(
                kind=kind,
                database=table.database if here == MASTER else name,
                table=table,
                what=what,
                rows=rows,
                examples=tuple(examples),
                refused=refused,
            )


def _counted(
    session: Session, looking: IntegrityCheck, table: TableName, query: Composable, here: str
) -> tuple[int, list[str]]:
    if table.database == here:
        count: Composable = SQL("count(*)")
        names = in_order(table, looking.shape(table), looking.model)
    else:
        count = SQL("coalesce(sum(c.{}), 0)::bigint").format(Identifier(ROWS))
        names = SQL("array_agg({on} || ' ' || {name} ORDER BY {on}, {name})").format(
            on=Identifier("c", ON), name=Identifier("c", EXAMPLE)
        )
    asked = SQL("SELECT {}, ({})[1:{}] FROM {}").format(count, names, Literal(SHOWN), query)
    rows, examples = session.row(asked, doing=f"looking through {table}")
    return rows, examples or []
