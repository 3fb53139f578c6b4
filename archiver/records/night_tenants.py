"""The tenants of a night by their ids: taken in, and excluded; and ids of its lists that match none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import TenantFilter
from archiver.records import archive_record
from archiver.records.state import State
from archiver.records.unmatched import Unmatched, unmatched
from errors import RefusedError, UsageError
from inventory.keys import Key, key_order, key_text
from inventory.scope import short_digest


@dataclass(frozen=True, kw_only=True)
class NightTenants:
    """The tenants that a night archives, and those it excludes; the same before, within and after its step 8."""

    noun: str  # the catalog's
    taken: tuple[Key, ...]
    excluded: tuple[Key, ...]
    unmatched: Sequence[Unmatched]  # ids of its lists that match nothing

    @property
    def digest(self) -> str:
        """A digest of the tenants taken in and excluded."""
        return short_digest(f"taken {_listed(self.taken)}; excluded {_listed(self.excluded)}")

    def refuse_others(self, night: date, expected: str) -> None:
        """Raise UsageError if no tenant is taken in, RefusedError if others are than those of the digest, if any."""
        hint = f"inv archive.scope --date={night} shows them."
        if not self.taken:
            raise UsageError(f"The scope of the night {night} matches nothing; nothing was archived.", hint=hint)
        if expected not in ("", self.digest):
            counts = f"{len(self.taken)} taken in, {len(self.excluded)} excluded: {self.digest}"
            message = (
                f"Archiving refused: the date of {night} was typed for {expected}, and the databases have {counts}."
            )
            raise RefusedError(message, hint=hint)


def night_tenants(databases: Databases, year: int, night: date, chosen: TenantFilter) -> NightTenants:
    """Return the tenants of a night; those archived by an earlier night of the year are no part of it."""
    records = archive_record.read_if_any(databases.master, year)
    archived = {record.tenant_id for record in records if record.state is State.ARCHIVED}
    live = tenants.every(databases.master, databases.model.tenant)
    due = {tenant.id for tenant in live if chosen.takes(tenant)} - archived
    return NightTenants(
        noun=databases.model.tenant.noun,
        taken=tuple(sorted(due | {record.tenant_id for record in records if record.night == night}, key=key_order)),
        excluded=tuple(tenant.id for tenant in live if chosen.exclude.names(tenant)),
        unmatched=unmatched(databases, year, night, chosen),
    )


def _listed(ids: tuple[Key, ...]) -> str:
    return ",".join(map(key_text, ids))
