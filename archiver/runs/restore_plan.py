"""A restore's plan and its obstacles, found by staging everything beside the live rows and rolling back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archiver.format.bundle import opened
from archiver.format.encryption import refuse_if_closed
from archiver.format.spool_folder import work_folder
from archiver.load import fit
from archiver.load.load import IncomingArchive, Loaded, lost_tables
from archiver.load.missing_references import MissingReference, missing_references
from archiver.load.relocate import relocated
from archiver.load.staged import Staged
from archiver.load.staging import differing, missing, stage_rows
from archiver.load.unique_conflicts import UniqueConflict, unique_conflicts
from archiver.mapping.schema_mapping import SchemaMapping
from archiver.postgres.session import DatabaseError
from archiver.records.archive_record import Record
from archiver.records.placement_history import final_shard, relocations_of
from archiver.runs.context import Archiver, fetch
from archiver.verify.verify import belongs_to
from errors import CutoverError, RefusedError
from inventory.migrations import Changes

_EXPLAINED = ("23503", "23505")  # a foreign key that leads nowhere, a unique key that is taken


@dataclass(frozen=True, kw_only=True)
class LiveComparison:
    """The archived rows compared with the live ones."""

    tables: Mapping[str, Loaded]  # rows to load and rows already live, by table
    taken: tuple[UniqueConflict, ...] = ()
    missing: tuple[MissingReference, ...] = ()

    @property
    def refusals(self) -> tuple[UniqueConflict | MissingReference, ...]:
        """Conflicts that the databases would reject; they accept missing references without a foreign key."""
        return (*self.taken, *(each for each in self.missing if each.reference.enforced))


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """The plan of restoring one archive."""

    record: Record
    shard: str  # target
    mappings: Mapping[str, SchemaMapping]
    problems: tuple[str, ...]  # mappings that are impossible, and sequences that would assign ids twice
    comparison: LiveComparison  # empty if there are problems

    @property
    def refused(self) -> bool:
        """True if a restore would be refused."""
        return bool(self.problems or self.comparison.refusals)


def plan(archiver: Archiver, record: Record, last: Changes | None = None) -> RestorePlan:
    """Fetch an archive, map it, stage it beside the live rows and roll back."""
    relocations = relocations_of(archiver.databases, record)
    placement = archiver.databases.placement(final_shard(record.shard, relocations))
    refuse_if_closed([record.location], archiver.keys)
    with (
        work_folder(archiver.work) as work,
        opened(fetch(archiver.bucket, record, work), archiver.keys) as archive,
    ):
        belongs_to(archive, record.tenant_id, record.year)
        mappings = relocated(
            fit.mapped(placement, archive.manifest, last), archiver.model, placement.schemas, relocations
        )
        incoming = IncomingArchive(placement=placement, model=archiver.model, archive=archive, mappings=mappings)
        problems = fit.problems_of(mappings) or fit.rows_that_do_not_fit(placement, mappings, archive)
        return RestorePlan(
            record=record,
            shard=placement.shard,
            mappings=mappings,
            problems=(*problems, *map(str, fit.sequences_too_low(placement, mappings, archive.manifest))),
            comparison=LiveComparison(tables={}) if problems else compare_with_live(incoming),
        )


def compare_with_live(incoming: IncomingArchive) -> LiveComparison:
    """Stage every table beside the live rows, compare, and roll back."""
    tables: dict[str, Loaded] = {}
    keys: list[UniqueConflict] = []
    references: list[MissingReference] = []
    for database, session in incoming.placement.sessions.items():
        with session.rolled_back():
            staged = stage_rows(session, incoming.mappings[database].tables, incoming.model, incoming.archive)
            tables |= lost_tables(incoming, database)
            tables |= {str(table.table): _would_be(incoming, database, table) for table in staged.values()}
            keys += unique_conflicts(session, staged)
            references += missing_references(session, staged, incoming.placement.schemas[database], incoming.model)
    return LiveComparison(tables=tables, taken=tuple(keys), missing=tuple(references))


def refuse_by_rows(incoming: IncomingArchive, error: CutoverError) -> None:
    """If the error is a rejected key, raise a RefusedError that lists every conflicting row."""
    if not isinstance(error, DatabaseError) or error.code not in _EXPLAINED:
        return
    refusals = compare_with_live(incoming).refusals
    if refusals:
        manifest = incoming.archive.manifest
        raise RefusedError(
            f"Restoring {manifest.noun} {manifest.tenant_id} refused: {'; '.join(map(str, refusals))}.",
            hint=f"inv restore.plan {manifest.tenant_id} shows all of it; --mapping=FILE can change the archived rows.",
        ) from error


def _would_be(incoming: IncomingArchive, database: str, table: Staged) -> Loaded:
    session = incoming.placement.sessions[database]
    came, other = missing(session, table), len(differing(session, table))
    return Loaded(inserted=came, there=table.rows - came - other, differing=other, lost=table.lost)
