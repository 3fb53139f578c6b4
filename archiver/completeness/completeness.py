"""The check before any deletion: the catalog knows every live table and column that can point at a tenant's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.completeness.activity import activity_mistakes
from archiver.completeness.key_types import unfit_keys
from archiver.completeness.live import LiveCatalogue, LiveTableSize, read_live
from archiver.completeness.problems import problems_of, refuse
from archiver.completeness.recheck import digest
from archiver.completeness.stale_entries import Lives, absent
from archiver.postgres.databases import Databases


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
    """Raise Problems with everything the catalog does not know, each with the line to add.

    `recheck` looks again in each transaction that deletes.
    """
    digests = {name: digest(databases.session(name)) for name, _ in databases.names_and_kinds()}
    refuse(compare(databases).problems)
    databases.judged.update(digests)


def compare(databases: Databases) -> Findings:
    """Compare the catalog with the live catalogue of every database."""
    lives: dict[str, dict[str, LiveCatalogue]] = {MASTER: _read(databases, MASTER, (MASTER,))}
    if databases.model.tenant.shard:
        lives[SHARD] = _read(databases, SHARD, databases.shards)
    return findings_of(databases.model, lives)


def findings_of(model: Model, lives: Lives) -> Findings:
    """Compare the catalog with the live catalogues already read from the databases."""
    problems = [*absent(model, lives), *activity_mistakes(model, lives), *unfit_keys(model, lives)]
    scans: list[Scan] = []
    for kind, databases in lives.items():
        for live in databases.values():
            problems += problems_of(model, kind, live)
            scans += _scans(model, kind, live)
    # Shards differ in size: the largest shows what a link without an index may cost.
    largest = {(scan.table, scan.columns): scan for scan in sorted(scans, key=lambda scan: scan.size.bytes)}
    return Findings(problems=tuple(dict.fromkeys(problems)), scans=tuple(largest.values()))


def _read(databases: Databases, kind: str, names: Iterable[str]) -> dict[str, LiveCatalogue]:
    unread = databases.model.catalog.excluded.get(kind, {})
    return {name: read_live(databases.session(name), unread=unread) for name in names}


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
