"""The catalog as written: which tables belong to a tenant, and by which columns their rows are found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase


@dataclass(frozen=True, kw_only=True)
class Customer:
    """Who a tenant belongs to."""

    column: str  # of the tenant's table
    table: str
    key: str
    title: str  # column with the customer's name


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """The table that has one row for each tenant."""

    noun: str  # what a person calls a tenant: school
    table: str
    key: str
    title: str  # column with the tenant's name
    shard: str | None = None  # column with the name of the database its activity lies in; none: all lies in master
    customer: Customer | None = None
    parts: Mapping[str, str] = field(default_factory=dict)  # what can come back by itself, classroom: its table


@dataclass(frozen=True, kw_only=True)
class Table:
    """How a table's rows are found, and who else may need one of them."""

    group: str
    # `column = table.column [where column = value]` or `(a, b) = table.(x, y)`: any of them
    found_by: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()  # the same of rows elsewhere that keep one alive
    triggers: Mapping[str, str] = field(default_factory=dict)  # user triggers that may fire, and why it does no harm
    quiet: Mapping[str, str] = field(default_factory=dict)  # those that must not, and are off meanwhile, and why
    ignored: Mapping[str, str] = field(
        default_factory=dict
    )  # `column`, or `column = value` of a type: why it leads nowhere


@dataclass(frozen=True, kw_only=True)
class Activity:
    """Which rows of a table go month by month, while their tenant stays."""

    ended: str  # column with the moment: a row is due once the month in which it lies is over
    where: str | None = None  # `column = value` that must hold besides
    takes: tuple[str, ...] = ()  # tables whose rows below such a row go with it, whatever they say of time


@dataclass(frozen=True, kw_only=True)
class DepthRule:
    """Where a depth of deletion starts."""

    start: str  # this table's rows go, with all that is found below them
    stay: tuple[str, ...] = ()  # tables that stay live all the same


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """Rows of a carried table that may go for good when nobody was seen behind them for long."""

    table: str
    key: str
    title: str  # column by which a person knows a row
    role: str  # column
    roles: tuple[str, ...]  # what it says of those who may go
    seen: tuple[str, ...]  # columns with a time: the first that is not NULL says when somebody was last seen


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """All of it; databases are `master` and `shard`."""

    tenant: Tenant
    databases: Mapping[str, Mapping[str, Table]]
    depths: Mapping[str, DepthRule]
    # By table of the shard, or of master where there are no shards; none: nothing goes month by month.
    activity: Mapping[str, Activity] = field(default_factory=dict)
    excluded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # database, table: why it stays live
    feeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tables that are emptied, and in no archive
    strays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tables to be dropped; `*` is any text
    legacy: Legacy | None = None

    def stays_live(self, database: str, table: str) -> bool:
        """Whether there is a reason why a table is in no archive."""
        return table in self.excluded.get(database, {}) or self.is_stray(database, table)

    def is_stray(self, database: str, table: str) -> bool:
        """Whether a table is to be dropped."""
        return any(fnmatchcase(table, name) for name in self.strays.get(database, ()))

    def upkeep_mistakes(self) -> Iterable[str]:
        """Carried tables that would be emptied or dropped, and a legacy that is not carried."""
        for database, tables in self.databases.items():
            for table in tables:
                if table in self.feeds.get(database, ()):
                    yield f"feeds/{database}: expected tables that no archive holds, got {table!r}"
                if self.is_stray(database, table):
                    yield f"strays/{database}: expected tables that no archive holds, got one that {table!r} matches"
        if self.legacy and self.legacy.table not in self.databases.get("master", {}):
            yield f"legacy/table: expected a table of databases/master, got {self.legacy.table!r}"
