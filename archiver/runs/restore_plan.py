"""What a restore would do, and what forbids it: everything staged beside the live rows, and rolled back."""

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
from archiver.load.staging import differing, missing, stage
from archiver.load.unique_conflicts import UniqueConflict, unique_conflicts
from archiver.mapping.schema_mapping import SchemaMapping
from archiver.postgres.session import DatabaseError
from archiver.records.archive_record import Record
from archiver.records.placement import ends_in, relocations_of
from archiver.runs.context import Archiver, fetch
from archiver.verify.verify import belongs_to
from errors import CutoverError, RefusedError
from inventory.migrations import Changes

_EXPLAINED = ("23503", "23505")  # a foreign key that leads nowhere, a unique key that is taken


@dataclass(frozen=True, kw_only=True)
class LiveComparison:
    """How the rows of a set of databases meet the live ones."""

    tables: Mapping[str, Loaded]  # what would become of each table
    taken: tuple[UniqueConflict, ...] = ()
    missing: tuple[MissingReference, ...] = ()

    @property
    def refusals(self) -> tuple[UniqueConflict | MissingReference, ...]:
        """What the databases would refuse; a reference that only a name says, they let pass."""
        return (*self.taken, *(one for one in self.missing if one.reference.enforced))


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """What bringing one archive back would do."""

    record: Record
    shard: str  # into which it would come
    mappings: Mapping[str, SchemaMapping]
    problems: tuple[str, ...]  # what cannot be mapped, and what gives ids out twice
    comparison: LiveComparison  # of tables that can be mapped

    @property
    def refused(self) -> bool:
        """Whether a restore would be refused."""
        return bool(self.problems or self.comparison.refusals)


def plan(archiver: Archiver, record: Record, last: Changes | None = None) -> RestorePlan:
    """Fetches an archive, maps it and stages it beside the live rows; nothing stays."""
    hops = relocations_of(archiver.databases, record)
    site = archiver.databases.placement(ends_in(record.shard, hops))
    refuse_if_closed([record.location], archiver.keys)
    with (
        work_folder(archiver.work) as work,
        opened(fetch(archiver.bucket, record, work), archiver.keys) as archive,
    ):
        belongs_to(archive, record.tenant_id, record.year)
        mappings = relocated(fit.mapped(site, archive.manifest, last), archiver.model, site.schemas, hops)
        incoming = IncomingArchive(placement=site, model=archiver.model, archive=archive, mappings=mappings)
        problems = fit.problems_of(mappings) or fit.rows_that_do_not_fit(site, mappings, archive)
        return RestorePlan(
            record=record,
            shard=site.shard,
            mappings=mappings,
            problems=(*problems, *map(str, fit.sequences_too_low(site, mappings, archive.manifest))),
            comparison=LiveComparison(tables={}) if problems else compare_with_live(incoming),
        )


def compare_with_live(incoming: IncomingArchive) -> LiveComparison:
    """Stages every table beside the live rows, and rolls back."""
    tables: dict[str, Loaded] = {}
    keys: list[UniqueConflict] = []
    references: list[MissingReference] = []
    for database, session in incoming.placement.sessions.items():
        with session.rolled_back():
            staged = {
                name: stage(session, table, incoming.model, incoming.archive)
                for name, table in incoming.mappings[database].by_target.items()
            }
            tables |= lost_tables(incoming, database)
            tables |= {str(one.table): _would_be(incoming, database, one) for one in staged.values()}
            keys += unique_conflicts(session, staged)
            references += missing_references(session, staged, incoming.placement.schemas[database], incoming.model)
    return LiveComparison(tables=tables, taken=tuple(keys), missing=tuple(references))


def refuse_by_rows(incoming: IncomingArchive, error: CutoverError) -> None:
    """Where the databases refused a key: RefusedError that names every row which stands in the way."""
    if not isinstance(error, DatabaseError) or error.code not in _EXPLAINED:
        return
    refusals = compare_with_live(incoming).refusals
    if refusals:
        manifest = incoming.archive.manifest
        raise RefusedError(
            f"Restoring {manifest.noun} {manifest.tenant_id} refused: {'; '.join(map(str, refusals))}.",
            hint=f"inv restore.plan {manifest.tenant_id} shows all of it; --mapping=FILE can change the archived rows.",
        ) from error


def _would_be(incoming: IncomingArchive, database: str, one: Staged) -> Loaded:
    session = incoming.placement.sessions[database]
    came, other = missing(session, one), len(differing(session, one))
    return Loaded(inserted=came, already_live=one.rows - came - other, differing=other, lost=one.lost)
