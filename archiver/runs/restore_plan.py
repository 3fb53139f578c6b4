"""A restore's plan: the archive mapped onto today's tables, and what is in its way."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from archiver.format.bundle import opened
from archiver.format.encryption import refuse_if_closed
from archiver.format.spool_folder import work_folder
from archiver.load import fit
from archiver.load.load import IncomingArchive
from archiver.load.obstacles import LiveComparison, compare_with_live
from archiver.load.relocate import relocated
from archiver.mapping.schema_mapping import SchemaMapping
from archiver.postgres import tenants
from archiver.records.archive_record import Record
from archiver.records.placement_history import final_shard, relocations_of
from archiver.runs.context import Archiver, fetch
from archiver.verify.verify import belongs_to
from inventory.migrations import Changes


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
            comparison=LiveComparison(tables={})
            if problems
            else compare_with_live(incoming, _retained(incoming, record)),
        )


def _retained(incoming: IncomingArchive, record: Record) -> Collection[str] | None:
    """Return the tables of which rows stayed live; None if rows of any may be, since a part or another archive came."""
    model, master = incoming.model, incoming.placement.master
    live = not tenants.unknown(master, model.tenant, [record.tenant_id])
    return None if record.partial or (live and str(model.root) not in record.kept) else record.kept
