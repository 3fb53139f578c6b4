"""The catalog as written: which tables belong to a tenant, and which columns lead to their rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from errors import UsageError

DEFAULT_DEPTH = "all"  # every catalog has it; the others are the catalog's own


@dataclass(frozen=True, kw_only=True)
class Customer:
    """The table of customers, to which tenants belong."""

    column: str  # of the tenant's table
    table: str
    key: str
    title: str  # the column with the customer's name


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """The table that has one row for each tenant."""

    noun: str  # the word for a tenant in messages: school
    table: str
    key: str | tuple[str, ...]  # its column; or several, in the order in which a key is typed
    title: str  # the column with the tenant's name
    shard: str | None = None  # the column with the name of the database that has its activity; None: all is in master
    customer: Customer | None = None
    parts: Mapping[str, str] = field(default_factory=dict)  # what can be restored by itself: its table

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The columns of the key."""
        return (self.key,) if isinstance(self.key, str) else self.key


@dataclass(frozen=True, kw_only=True)
class Table:
    """The links by which a table's rows are found, and rows elsewhere that keep one of them live."""

    group: str
    # `column = table.column [where column = value]` or `(a, b) = table.(x, y)`; any one of them is enough
    found_by: tuple[str, ...] = ()
    needed_by: tuple[str, ...] = ()  # links of the same form from rows elsewhere that keep a row live
    triggers: Mapping[str, str] = field(default_factory=dict)  # user triggers that may fire: why they do no harm
    writes: Mapping[str, tuple[str, ...]] = field(
        default_factory=dict
    )  # these, and rules: tables they insert into or update
    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # these: columns of their own row they set
    quiet: Mapping[str, str] = field(default_factory=dict)  # user triggers disabled meanwhile: why
    rules: Mapping[str, str] = field(default_factory=dict)  # rules that may act: why they do no harm
    ignored: Mapping[str, str] = field(default_factory=dict)  # `column`, or `column = value`: why it is no link


@dataclass(frozen=True, kw_only=True)
class Activity:
    """The rule for rows that are archived month by month while their tenant stays."""

    ended: str  # the column with the time: a row is due once the month of that time is over
    where: str | None = None  # `column = value` that must hold besides
    takes: tuple[str, ...] = ()  # tables whose rows below such a row go with it, whatever their times


@dataclass(frozen=True, kw_only=True)
class DepthRule:
    """The part of a tenant's rows that a depth deletes; the archive is always whole."""

    start: str  # this table's rows are deleted, with all rows found below them
    stay: tuple[str, ...] = ()  # tables whose rows stay live all the same, with the rows found only below them
    meaning: str = ""  # a sentence for plans; empty: made of the other two

    @property
    def sentence(self) -> str:
        """The meaning, or else what goes and what stays: rows of classrooms and below are deleted; users stay."""
        staying = f"; {', '.join(self.stay)} stay" if self.stay else ""
        return self.meaning or f"rows of {self.start} and below are deleted{staying}"


@dataclass(frozen=True, kw_only=True)
class Legacy:
    """The rows of a carried table that may be deleted for good when the user has not been seen for long."""

    table: str
    key: str
    title: str  # the column by which a person recognizes a row
    role: str  # the column with the user's role
    roles: tuple[str, ...]  # the roles that may be deleted
    seen: tuple[str, ...]  # columns with a time: the first that is not NULL is when the user was last seen


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """The whole catalog; its databases are `master` and `shard`."""

    tenant: Tenant
    databases: Mapping[str, Mapping[str, Table]]
    depths: Mapping[str, DepthRule]  # by name; DEFAULT_DEPTH among them
    # By table of the shard, or of master if there are no shards; empty: nothing is archived month by month.
    activity: Mapping[str, Activity] = field(default_factory=dict)
    excluded: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # database, table: why it stays live
    feeds: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tables that are truncated once a year
    strays: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # tables to be dropped; `*` is any text
    legacy: Legacy | None = None
    written: tuple[str, ...] = ()  # columns with the time of a row's last change: the first that a table has

    def rule(self, depth: str) -> DepthRule:
        """Return the rule of a depth; raise UsageError if the catalog has no such depth."""
        if depth not in self.depths:
            raise UsageError(f"The catalog of tables has no depth {depth} (there: {', '.join(self.depths)}).")
        return self.depths[depth]

    def stays_live(self, database: str, table: str) -> bool:
        """True if there is a reason for a table to be in no archive."""
        return table in self.excluded.get(database, {}) or self.is_stray(database, table)

    def is_stray(self, database: str, table: str) -> bool:
        """True if a table is to be dropped."""
        return any(fnmatchcase(table, name) for name in self.strays.get(database, ()))

    def upkeep_mistakes(self) -> Iterable[str]:
        """Yield carried tables that would be truncated or dropped, and a legacy table that is not carried."""
        for database, tables in self.databases.items():
            for table in tables:
                if table in self.feeds.get(database, ()):
                    yield f"feeds/{database}: expected tables that no archive holds, got {table!r}"
                if self.is_stray(database, table):
                    yield f"strays/{database}: expected tables that no archive holds, got one that {table!r} matches"
        if self.legacy and self.legacy.table not in self.databases.get("master", {}):
            yield f"legacy/table: expected a table of databases/master, got {self.legacy.table!r}"
