"""The tenants and records that an operator's arguments mean; UsageError if they mean none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

from archiver.catalog.model import MASTER
from archiver.catalog.naming import singular
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Tenant, TenantFilter
from archiver.records import archive_record, id_index, move_record
from archiver.records.archive_record import Record
from archiver.records.state import State
from archiver.records.unmatched import unmatched
from errors import Problems, UsageError
from formatting import plural
from inventory.keys import Key, typed

RESTORABLE = (State.ARCHIVED, State.RESTORING)  # states that can be restored
AT_REST = (
    State.ARCHIVED,
    State.STORED,
    State.VERIFIED,
)  # archived, or left by an extraction that failed


class ArchivedError(UsageError):
    """The tenant is archived already."""


def one_to_archive(databases: Databases, tenant_id: Key, year: int) -> Tenant:
    """Return a live tenant; raise ArchivedError if it is archived for the year already."""
    noun = databases.model.tenant.noun
    refuse_partial(noun, archive_record.of_tenant(databases.master, tenant_id))
    if tenant_id in _archived(databases, year):
        raise ArchivedError(
            f"{noun.capitalize()} {tenant_id} is archived already for {year}.",
            hint=f"inv archive.show {typed(tenant_id)} shows it, inv restore.school {typed(tenant_id)} brings it back.",
        )
    tenant = tenants.tenant(databases.master, databases.model.tenant, tenant_id)
    if tenant is None:
        raise UsageError(f"There is no {noun} {tenant_id}.", hint="inv archive.list shows what is archived.")
    return tenant


def customers_to_archive(databases: Databases, customer_id: Key, year: int) -> tuple[Tenant, ...]:
    """Return the live tenants of a customer that are not archived for the year; empty if all are."""
    archived = _archived(databases, year)
    live = tenants.of_customer(databases.master, databases.model.tenant, customer_id)
    return _none_half_moved(databases, tuple(tenant for tenant in live if tenant.id not in archived))


def all_to_archive(
    databases: Databases, year: int, chosen: TenantFilter, night: date | None = None
) -> tuple[Tenant, ...]:
    """Return every live tenant that a filter takes in and that is not archived for the year.

    Raises Problems with every id that the filter names in vain; those that this night has archived are none.
    """
    if in_vain := unmatched(databases, year, night, chosen):
        raise Problems("These match nothing; nothing was archived:", [each.sentence for each in in_vain])
    archived = _archived(databases, year)
    live = tenants.taken(databases.master, databases.model.tenant, chosen)
    return _none_half_moved(databases, tuple(tenant for tenant in live if tenant.id not in archived))


def one_to_restore(databases: Databases, tenant_id: Key, year: int | None) -> Record:
    """Return the tenant's record; raise UsageError if there are several years and none is given."""
    records = _only_restorable(archive_record.read_if_any(databases.master, year, tenant_id=tenant_id))
    return _only_one(databases.model.tenant.noun, tenant_id, year, records)


def customers_to_restore(databases: Databases, customer_id: Key, year: int | None) -> tuple[Record, ...]:
    """Return a customer's records; raise UsageError if there are several years and none is given."""
    records = tuple(
        record
        for record in archive_record.read_if_any(databases.master, year, customer_id)
        if record.state in RESTORABLE
    )
    noun, years = databases.model.tenant.noun, sorted({record.year for record in records})
    if not records:
        raise UsageError(f"No {noun} of customer {customer_id} is archived{f' for {year}' if year else ''}.")
    if len(years) > 1:
        raise UsageError(
            f"{plural(noun).capitalize()} of customer {customer_id} are archived for several years: {_listed(years)}.",
            hint="Add --year=…",
        )
    return records


def night_to_restore(databases: Databases, year: int, night: date) -> tuple[Record, ...]:
    """Return every record that a night made and that can be restored."""
    records = tuple(
        record for record in _only_restorable(archive_record.of_year(databases.master, year)) if record.night == night
    )
    if not records:
        raise UsageError(f"The night {night} archived nothing that is still archived.")
    return records


def one_to_show(databases: Databases, tenant_id: Key, year: int | None) -> Record:
    """Return the tenant's record, in any state; of several years the latest."""
    records = archive_record.read_if_any(databases.master, year, tenant_id=tenant_id)
    if not records:
        raise UsageError(
            f"{databases.model.tenant.noun.capitalize()} {tenant_id} is not archived{f' for {year}' if year else ''}.",
            hint="inv archive.list shows what is.",
        )
    return records[0]


def one_to_drop(databases: Databases, tenant_id: Key, year: int | None) -> Record:
    """Return the tenant's record; raise UsageError if a run works on it, or of several years none is given."""
    noun = databases.model.tenant.noun
    record = _only_one(noun, tenant_id, year, archive_record.read_if_any(databases.master, year, tenant_id=tenant_id))
    if record.state not in AT_REST:
        raise UsageError(
            f"{noun.capitalize()} {tenant_id} is {record.state.value} for {record.year}; nothing was dropped.",
            hint="Another run is at work on it, or was cut off: the same command again ends that work.",
        )
    return record


def table_with_ids(databases: Databases, word: str) -> str:
    """Return the table of master with this name or singular; raise UsageError if no ids of it are kept."""
    tables = dict.fromkeys((databases.model.root.table, *id_index.indexed(databases.schema(MASTER))))
    for table in tables:
        if word in (table, singular(table)):
            return table
    nouns = ", ".join(sorted(map(singular, tables)))
    raise UsageError(f"No ids are kept of {word!r}.", hint=f"Ids are kept of: {nouns}.")


def holders(databases: Databases, table: str, key: Key) -> tuple[Record, ...]:
    """Return the records of the archives that hold a row: a tenant's own by their keys, others by the index of ids."""
    if table == databases.model.root.table:
        return _only_restorable(archive_record.read_if_any(databases.master, tenant_id=key))
    return id_index.holders(databases.master, table, key)


def refuse_partial(noun: str, records: Iterable[Record]) -> None:
    """Raise UsageError if only a part of the tenant was restored: another archive would split its rows."""
    for record in records:
        if record.partial:
            tenant, year = record.tenant_id, record.year
            raise UsageError(
                f"{noun.capitalize()} {tenant} is half restored ({', '.join(map(str, record.partial))}); "
                f"the rest is only in the archive of {year}.",
                hint=f"Restore the rest (inv restore.school {typed(tenant)} --year={year}) or drop the archive "
                f"(inv archive.drop-archive {typed(tenant)} --year={year}).",
            )


def _only_one(noun: str, tenant_id: Key, year: int | None, records: Sequence[Record]) -> Record:
    """Return the only record; raise UsageError if there is none, or more than one year."""
    if not records:
        of_year = f" for {year}" if year else ""
        raise UsageError(
            f"{noun.capitalize()} {tenant_id} is not archived{of_year}.", hint="inv archive.list shows what is."
        )
    if len(records) > 1:
        years = _listed(record.year for record in records)
        raise UsageError(
            f"{noun.capitalize()} {tenant_id} is archived for several years: {years}.", hint="Add --year=…"
        )
    return records[0]


def _none_half_moved(databases: Databases, live: tuple[Tenant, ...]) -> tuple[Tenant, ...]:
    """Return the same tenants; raise RefusedError if the rows of one may be in two shards."""
    move_record.refuse_half_moved(databases.master, databases.model.tenant.noun, [tenant.id for tenant in live])
    return live


def _archived(databases: Databases, year: int) -> set[Key]:
    return {
        record.tenant_id for record in archive_record.of_year(databases.master, year) if record.state is State.ARCHIVED
    }


def _only_restorable(records: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(record for record in records if record.state in RESTORABLE)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
