"""The check before any deletion: the catalog knows every live table and column that can point at a tenant's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.completeness.activity import activity_mistakes
from archiver.completeness.live import LiveCatalogue, LiveTableSize, read_live
from archiver.completeness.live_acts import unknown_acts
from archiver.completeness.pointers import line, unexplained
from archiver.completeness.references import leaving
from archiver.completeness.stale_entries import Lives, absent
from archiver.postgres.databases import Databases
from errors import Problems


@dataclass(frozen=True, kw_only=True)
class Scan:
    """A link without an index, and the table that every extraction therefore reads in full."""

    table: TableName
    columns: tuple[str, ...]
    size: LiveTableSize


@dataclass(frozen=True, kw_only=True)
class Findings:
    """The result of comparing the catalog with the live databases."""

    problems: tuple[str, ...]  # any one of them forbids deletions
    scans: tuple[Scan, ...]  # these make it slow


def prove_complete(databases: Databases) -> None:
    """Raise Problems with everything the catalog does not know, each with the line to add."""
    refuse(compare(databases))


def refuse(findings: Findings) -> None:
    """Raise Problems if there are any."""
    if findings.problems:
        raise Problems(
            "The catalog does not know everything that can point at a tenant's rows; nothing is deleted:",
            findings.problems,
            hint="inv archive.check-catalog shows the same.",
        )


def compare(databases: Databases) -> Findings:
    """Compare the catalog with the live catalogue of every database."""
    lives: dict[str, dict[str, LiveCatalogue]] = {MASTER: _read(databases, MASTER, (MASTER,))}
    if databases.model.tenant.shard:
        lives[SHARD] = _read(databases, SHARD, databases.shards)
    return findings_of(databases.model, lives)


def findings_of(model: Model, lives: Lives) -> Findings:
    """Compare the catalog with the live catalogues already read from the databases."""
    problems = [*absent(model, lives), *activity_mistakes(model, lives)]
    scans: list[Scan] = []
    for kind, databases in lives.items():
        for live in databases.values():
            problems += _problems(model, kind, live)
            scans += _scans(model, kind, live)
    # Shards differ in size: the largest shows what a link without an index may cost.
    largest = {(scan.table, scan.columns): scan for scan in sorted(scans, key=lambda scan: scan.size.bytes)}
    return Findings(problems=tuple(dict.fromkeys(problems)), scans=tuple(largest.values()))


def _read(databases: Databases, kind: str, names: Iterable[str]) -> dict[str, LiveCatalogue]:
    unread = databases.model.catalog.excluded.get(kind, {})
    return {name: read_live(databases.session(name), unread=unread) for name in names}


def _problems(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield everything in one database that the catalog does not know, or that no catalog could allow."""
    yield from (line(model, pointer) for pointer in unexplained(model, kind, live))
    yield from leaving(model, kind, live)
    yield from unknown_acts(model, kind, live.acts)
    yield from _below(model, kind, live)
    if kind == MASTER:
        yield from _not_unique(model, live)


def _below(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield what is read, deleted or truncated with a carried table or a feed, and is not the table's own."""
    feeds = model.catalog.feeds.get(kind, ())
    for below in live.below:
        if TableName(kind, below.table) in model.tables or below.table in feeds:
            yield f"{kind}.{below.table}: {below}"


def _not_unique(model: Model, live: LiveCatalogue) -> Iterator[str]:
    """Yield a tenant's key that two tenants can share."""
    table, key = model.root.table, (model.tenant.key,)
    shape = live.tables.get(table)
    if shape and shape.primary_key != key and (table, key) not in live.unique:
        yield (
            f"tenant/key: {model.root}.{model.tenant.key} is not unique, so that two tenants could be archived as one. "
            f"First run: ALTER TABLE {table} ADD UNIQUE ({model.tenant.key})"
        )


def _scans(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Scan]:
    for link in model.links:
        type_column = [link.where[0]] if link.where else []  # an index over a polymorphic pair begins with the type
        for table, columns, leading in (
            (link.child, link.columns, [*link.columns, *type_column]),
            (link.parent, link.parent_columns, link.parent_columns),
        ):
            if table.database == kind and not any((table.table, name) in live.indexed for name in leading):
                size = live.sizes.get(table.table)
                if size is not None:
                    yield Scan(table=table, columns=columns, size=size)
