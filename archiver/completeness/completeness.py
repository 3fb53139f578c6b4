"""The check before any deletion: the catalog knows every live table and column that can point at a tenant's rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName, listed
from archiver.catalog.naming import singular, table_of_class
from archiver.completeness.activity import activity_mistakes
from archiver.completeness.live import LiveCatalogue, LiveForeignKey, LiveTableSize, read_live
from archiver.completeness.stale_entries import Lives, absent
from archiver.postgres.databases import Databases
from errors import Problems

ACTS = {"c": "deletes", "n": "sets to NULL", "d": "sets to its default"}  # a foreign key's own action


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


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Columns that can point at a carried table and that the catalog does not mention."""

    table: TableName
    columns: tuple[str, ...]
    points_at: TableName
    value: str | None = None  # of a polymorphic pair: the type that points there; `columns` is then the type column

    def __str__(self) -> str:
        if self.value is not None:
            return f"{self.table}.{self.columns[0]} = {self.value} is {self.points_at}"
        return f"{self.table}.{listed(self.columns)} can point at {self.points_at}"


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
            problems += (_line(model, pointer) for pointer in unexplained(model, kind, live))
            problems += _leaving(model, kind, live)
            problems += _unknown_triggers(model, kind, live)
            scans += _scans(model, kind, live)
    # Shards differ in size: the largest shows what a link without an index may cost.
    largest = {(scan.table, scan.columns): scan for scan in sorted(scans, key=lambda scan: scan.size.bytes)}
    return Findings(problems=tuple(dict.fromkeys(problems)), scans=tuple(largest.values()))


def _read(databases: Databases, kind: str, names: Iterable[str]) -> dict[str, LiveCatalogue]:
    unread = databases.model.catalog.excluded.get(kind, {})
    return {name: read_live(databases.session(name), unread=unread) for name in names}


def unexplained(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    """Yield foreign keys, columns (by name) and types of polymorphic pairs that the catalog does not mention."""
    for pointer in (*_by_key(model, kind, live), *_by_name(model, kind, live), *_by_type(model, kind, live)):
        written = model.catalog_entry(pointer.table)
        if written is not None:
            names = pointer.columns if pointer.value is None else (f"{pointer.columns[0]} = {pointer.value}",)
            if not any(name in written.ignored for name in names):
                yield pointer
        elif not model.catalog.stays_live(kind, pointer.table.table):
            yield pointer


def vocabulary(model: Model) -> dict[str, TableName]:
    """Return the column names that mean a carried table's key: `school_id`, and those in the catalog's own links."""
    words = {f"{singular(table.table)}_id": table for table in model.tables}
    for link in (*model.links, *model.external_links):
        if len(link.columns) > 1:
            continue
        [column], [parent_column] = link.columns, link.parent_columns
        if link.where is None and column.endswith("_id"):
            words.setdefault(column, link.parent)
        if parent_column.endswith("_id"):
            words.setdefault(parent_column, link.child)
    return words


def _by_key(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    for key in live.references:
        target = TableName(kind, key.target)
        if key.table in live.tables and target in model.tables and not _in_catalog(model, kind, key):
            yield Pointer(table=TableName(kind, key.table), columns=key.columns, points_at=target)


def _by_name(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    words, linked = vocabulary(model), _linked_columns(model)
    keyed = {(key.table, *key.columns) for key in live.references}  # a foreign key says where its column leads
    for table, shape in live.tables.items():
        for column in shape.columns:
            points_at = words.get(column.name)
            if points_at and (table, column.name) not in keyed and (kind, table, column.name) not in linked:
                yield Pointer(table=TableName(kind, table), columns=(column.name,), points_at=points_at)


def _by_type(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    stems = {singular(table.table): table for table in model.tables}
    typed = {(link.child, link.where) for link in (*model.links, *model.external_links)}
    for (table, column), values in live.types.items():
        for value in values:
            points_at, child = stems.get(table_of_class(value)), TableName(kind, table)
            if points_at and (child, (column, value)) not in typed:
                yield Pointer(table=child, columns=(column,), points_at=points_at, value=value)


def _in_catalog(model: Model, kind: str, key: LiveForeignKey) -> bool:
    """True if a found_by or needed_by link joins exactly the foreign key's columns, written from either side."""
    table, target = TableName(kind, key.table), TableName(kind, key.target)
    forward = {*zip(key.columns, key.target_columns, strict=True)}
    backward = {*zip(key.target_columns, key.columns, strict=True)}
    return any(
        (link.child, link.parent, _pairs(link)) in ((table, target, forward), (target, table, backward))
        for link in (*model.links, *model.external_links)
    )


def _pairs(link: Link) -> set[tuple[str, str]]:
    return {*zip(link.columns, link.parent_columns, strict=True)}


def _linked_columns(model: Model) -> set[tuple[str, str, str]]:
    """Return the columns on either side of the found_by and needed_by links."""
    links = (*model.links, *model.external_links)
    return {(link.child.database, link.child.table, column) for link in links for column in link.columns} | {
        (link.parent.database, link.parent.table, column) for link in links for column in link.parent_columns
    }


def _line(model: Model, pointer: Pointer) -> str:
    table, column = pointer.table, pointer.columns[0]
    path = f"databases/{table.database}/{table.table}"
    if model.catalog_entry(table) is None:
        return (
            f"{pointer}, and the catalog does not know the table. "
            f"Carry it, or add to excluded/{table.database}: {{{table.table}: <why it stays live>}}"
        )
    if pointer.value is None:
        return f"{pointer}. Add to {path}: found_by, or ignored: {{{column}: <why it leads nowhere>}}"
    condition = f"{column} = {pointer.value}"
    return f"{pointer}. Add to {path}: found_by … where {condition}, or ignored: {{{condition}: <why>}}"


def _leaving(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield foreign keys by which a deletion would change rows that are in no archive, or be forbidden by them."""
    for key in live.references:
        carried, in_catalog = TableName(kind, key.table) in model.tables, _in_catalog(model, kind, key)
        if TableName(kind, key.target) not in model.tables or (carried and in_catalog):
            continue
        if key.on_delete in ACTS:
            yield (
                f"{kind}.{key.table}: the foreign key {key.name} {ACTS[key.on_delete]} rows there when rows of "
                f"{key.target} are deleted. {'Add found_by' if carried else 'Carry the table'}, "
                "or make the key NO ACTION"
            )
        elif not carried and not in_catalog:
            yield (
                f"{kind}.{key.table}: the foreign key {key.name} forbids deleting rows of {key.target} "
                f"that it references. Add to databases/{kind}/{key.target}: needed_by, or carry the table"
            )


def _unknown_triggers(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield triggers unknown to the catalog: what they do to other rows on a delete or an insert is in no archive."""
    for (table, trigger), fires in live.triggers.items():
        written = model.catalog_entry(TableName(kind, table))
        if fires and written is not None and trigger not in {**written.triggers, **written.quiet}:
            yield (
                f"{kind}.{table}: the trigger {trigger} would fire. "
                f"Add to databases/{kind}/{table}: triggers: {{{trigger}: <why it does no harm>}}, "
                f"or quiet: {{{trigger}: <why it must not>}}"
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
