"""Tables, columns, triggers and rules named in the catalog that no live database has: a typo, or a migration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import MASTER, Model, TableName
from archiver.completeness.live import LiveCatalogue

Lives = Mapping[str, Mapping[str, LiveCatalogue]]  # master or shard, then the inventory's name


@dataclass(frozen=True, kw_only=True)
class Claim:
    """The catalog's claim that a table, or a column of it, exists."""

    path: str  # in the catalog
    table: TableName
    column: str | None = None
    everywhere: bool = True  # in every database of its kind; if not, one is enough
    elsewhere: bool = False  # also as a foreign table, a materialized view, or in another schema

    def holds(self, live: LiveCatalogue) -> bool:
        """True if a database has it. A column of a missing table counts as present: the table's own claim fails."""
        table = live.tables.get(self.table.table)
        if self.column is None:
            return table is not None or (self.elsewhere and live.has(self.table.table))
        if table is None:
            return True
        return any(column.name == self.column for column in table.columns)


def absent(model: Model, lives: Lives) -> Iterator[str]:
    """Yield everything the catalog names that does not exist, with its path."""
    for claim in (*_tenant(model), *_links(model), *_explained(model)):
        databases = lives[claim.table.database]
        missing = [name for name, live in databases.items() if not claim.holds(live)]
        if missing and (claim.everywhere or len(missing) == len(databases)):
            what = f"{claim.table}.{claim.column}" if claim.column else f"table {claim.table}"
            where = f" on {', '.join(missing)}" if len(databases) > 1 else ""
            yield f"{claim.path}: there is no {what}{where}"
    yield from _acts(model, lives)


def _tenant(model: Model) -> Iterator[Claim]:
    tenant, customer = model.tenant, model.tenant.customer
    for column in tenant.key_columns:
        yield Claim(path="tenant/key", table=model.root, column=column)
    for field, name in (("title", tenant.title), ("shard", tenant.shard)):
        if name:
            yield Claim(path=f"tenant/{field}", table=model.root, column=name)
    if customer is None:
        return
    yield Claim(path="tenant/customer/column", table=model.root, column=customer.column)
    table = TableName(MASTER, customer.table)
    yield Claim(path="tenant/customer/table", table=table)
    for field, column in (("key", customer.key), ("title", customer.title)):
        yield Claim(path=f"tenant/customer/{field}", table=table, column=column)


def _links(model: Model) -> Iterator[Claim]:
    for table in model.tables:
        yield Claim(path=f"databases/{table.database}/{table.table}", table=table)
    for key, links in (("found_by", model.links), ("needed_by", model.external_links)):
        for link in links:
            path = f"databases/{link.child.database}/{link.child.table}/{key}"
            if link.parent not in model.tables:
                yield Claim(path=path, table=link.parent)
            for column in (*link.columns, *(link.where or ())[:1]):
                yield Claim(path=path, table=link.child, column=column)
            for column in link.parent_columns:
                yield Claim(path=path, table=link.parent, column=column)


def _explained(model: Model) -> Iterator[Claim]:
    """Yield claims for what the catalog gives reasons for. Not every shard needs to have it."""
    for table in model.tables:
        written = model.catalog_entry(table)
        for name in written.ignored if written else ():
            path = f"databases/{table.database}/{table.table}/ignored"
            yield Claim(path=path, table=table, column=name.split(" = ")[0], everywhere=False)
        for name, columns in written.changes.items() if written else ():
            path = f"databases/{table.database}/{table.table}/changes/{name}"
            yield from (Claim(path=path, table=table, column=column, everywhere=False) for column in columns)
    for database, tables in model.catalog.excluded.items():
        for name in tables:
            yield Claim(path=f"excluded/{database}", table=TableName(database, name), everywhere=False, elsewhere=True)


def _acts(model: Model, lives: Lives) -> Iterator[str]:
    for table in model.tables:
        if (entry := model.catalog_entry(table)) is None:
            continue
        acts = [live.acts for live in lives[table.database].values()]
        triggers, rules = {key for each in acts for key in each.triggers}, {key for each in acts for key in each.rules}
        for field, noun, names, existing in (
            ("triggers", "trigger", entry.triggers, triggers),
            ("quiet", "trigger", entry.quiet, triggers),
            ("rules", "rule", entry.rules, rules),
        ):
            path = f"databases/{table.database}/{table.table}/{field}"
            for name in names:
                if (table.table, name) not in existing:
                    yield f"{path}: there is no {noun} {name} on {table}"
