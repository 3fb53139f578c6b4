"""From an operator's words to the tenants and records they mean; UsageError where they mean nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from itertools import chain

from archiver.catalog.model import MASTER
from archiver.catalog.naming import singular
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Exclude, Tenant
from archiver.records import archive_record, id_index, month_record, move_record
from archiver.records import purge_record as purging
from archiver.records.archive_record import ArchiveState, Record
from archiver.records.month_record import Month
from archiver.records.purge_record import Purge
from errors import UsageError
from formatting import plural

Archived = Record | Month | Purge  # whose archive somebody may need to open again

RESTORABLE = (ArchiveState.ARCHIVED, ArchiveState.RESTORING)  # what can be restored
AT_REST = (
    ArchiveState.ARCHIVED,
    ArchiveState.STORED,
    ArchiveState.VERIFIED,
)  # archived, or left by an extraction that failed


class ArchivedError(UsageError):
    """It is archived already."""


def one_to_archive(databases: Databases, tenant_id: int, year: int) -> Tenant:
    """The live tenant that is not archived for the year."""
    noun = databases.model.tenant.noun
    refuse_partial(noun, archive_record.of_tenant(databases.master, tenant_id))
    if tenant_id in _archived(databases, year):
        raise ArchivedError(
            f"{noun.capitalize()} {tenant_id} is archived already for {year}.",
            hint=f"inv archive.show {tenant_id} shows it, inv restore.{noun} {tenant_id} brings it back.",
        )
    found = tenants.tenant(databases.master, databases.model.tenant, tenant_id)
    if found is None:
        raise UsageError(f"There is no {noun} {tenant_id}.", hint="inv archive.list shows what is archived.")
    return found


def customers_to_archive(databases: Databases, customer_id: int, year: int) -> tuple[Tenant, ...]:
    """The live tenants of a customer that are not archived for the year; none, when all are."""
    archived = _archived(databases, year)
    found = tenants.of_customer(databases.master, databases.model.tenant, customer_id)
    return _none_half_moved(databases, tuple(tenant for tenant in found if tenant.id not in archived))


def all_to_archive(databases: Databases, year: int, exclude: Exclude) -> tuple[Tenant, ...]:
    """Every live tenant that is neither excluded nor archived for the year."""
    archived = _archived(databases, year)
    _known(databases, exclude, archived)
    found = tenants.all_but(databases.master, databases.model.tenant, exclude)
    return _none_half_moved(databases, tuple(tenant for tenant in found if tenant.id not in archived))


def one_to_restore(databases: Databases, tenant_id: int, year: int | None) -> Record:
    """The tenant's record; of several years one must be named."""
    found = _only_back(archive_record.read_if_any(databases.master, year, tenant_id=tenant_id))
    return _only_one(databases.model.tenant.noun, tenant_id, year, found)


def customers_to_restore(databases: Databases, customer_id: int, year: int | None) -> tuple[Record, ...]:
    """A customer's records; of several years one must be named."""
    found = tuple(
        record
        for record in archive_record.read_if_any(databases.master, year, customer_id)
        if record.state in RESTORABLE
    )
    noun, years = databases.model.tenant.noun, sorted({record.year for record in found})
    if not found:
        raise UsageError(f"No {noun} of customer {customer_id} is archived{f' for {year}' if year else ''}.")
    if len(years) > 1:
        raise UsageError(
            f"{plural(noun).capitalize()} of customer {customer_id} are archived for several years: {_listed(years)}.",
            hint="Add --year=…",
        )
    return found


def night_to_restore(databases: Databases, year: int, night: date) -> tuple[Record, ...]:
    """Every record that a night made."""
    found = tuple(
        record for record in _only_back(archive_record.of_year(databases.master, year)) if record.night == night
    )
    if not found:
        raise UsageError(f"The night {night} archived nothing that is still archived.")
    return found


def all_to_reencrypt(databases: Databases, year: int | None) -> tuple[Archived, ...]:
    """Every record, of one year or of all, whose archive somebody may need to open again: tenants', past months' and
    purges'."""
    of_tenants = [
        record
        for record in archive_record.read_if_any(databases.master, year)
        if record.state in (*RESTORABLE, ArchiveState.DELETING)
    ]
    return (*of_tenants, *_beside(databases, year))


def _beside(databases: Databases, year: int | None) -> Iterator[Month | Purge]:
    """Past months' and purges' archives, of one year or of all, that hold rows which are in no other place."""
    of_months = (
        month
        for month in month_record.every(databases.master)
        if month.state in (ArchiveState.DELETING, ArchiveState.ARCHIVED)
    )
    of_purges = (purge for purge in purging.every(databases.master) if purge.state is purging.PurgeState.PURGED)
    rest: Iterator[Month | Purge] = chain(of_months, of_purges)
    return (one for one in rest if year in (None, one.year))


def one_to_show(databases: Databases, tenant_id: int, year: int | None) -> Record:
    """The tenant's record, in whatever state; of several years the latest."""
    found = archive_record.read_if_any(databases.master, year, tenant_id=tenant_id)
    if not found:
        raise UsageError(
            f"{databases.model.tenant.noun.capitalize()} {tenant_id} is not archived{f' for {year}' if year else ''}.",
            hint="inv archive.list shows what is.",
        )
    return found[0]


def all_to_reverify(databases: Databases, year: int | None) -> tuple[Archived, ...]:
    """Every archive, of one year or of all: tenants', past months' and purges'."""
    return (*_only_back(archive_record.read_if_any(databases.master, year)), *_beside(databases, year))


def one_to_drop(databases: Databases, tenant_id: int, year: int | None) -> Record:
    """The tenant's record, at rest; of several years one must be named."""
    noun = databases.model.tenant.noun
    record = _only_one(noun, tenant_id, year, archive_record.read_if_any(databases.master, year, tenant_id=tenant_id))
    if record.state not in AT_REST:
        raise UsageError(
            f"{noun.capitalize()} {tenant_id} is {record.state.value} for {record.year}; nothing was dropped.",
            hint="Somebody is at work on it, or was cut off: the same command again ends that work.",
        )
    return record


def table_with_ids(databases: Databases, word: str) -> str:
    """The table of master that a word means: its name, or what one of its rows is called. UsageError for others."""
    tables = id_index.indexed(databases.schema(MASTER))
    for table in tables:
        if word in (table, singular(table)):
            return table
    known = ", ".join(sorted(map(singular, tables)))
    raise UsageError(f"No ids are kept of {word!r}.", hint=f"They are of: {known}.")


def refuse_partial(noun: str, found: Iterable[Record]) -> None:
    """UsageError where a part of the tenant came back and the rest did not: to archive it again would split it."""
    for record in found:
        if record.partial:
            tenant, year = record.tenant_id, record.year
            raise UsageError(
                f"{noun.capitalize()} {tenant} is half restored ({', '.join(map(str, record.partial))}); "
                f"the rest is only in the archive of {year}.",
                hint=f"Restore the rest (inv restore.{noun} {tenant} --year={year}) or drop the archive "
                f"(inv archive.drop-archive {tenant} --year={year}).",
            )


def union(one: Exclude, other: Exclude) -> Exclude:
    """Whoever either leaves out."""
    return Exclude(tenants=one.tenants | other.tenants, customers=one.customers | other.customers)


def exclusion(lines: Iterable[str], path: str) -> Exclude:
    """An operator's list: a tenant's id a line, or `customer 99`."""
    alone, customers = set(), set()
    for line in lines:
        words = line.split()
        known = words[-1].isascii() and words[-1].isdigit()
        if known and len(words) == 1:
            alone.add(int(line))
        elif known and len(words) == 2 and words[0] == "customer":
            customers.add(int(words[1]))
        else:
            raise UsageError(f"{path}: expected an id or `customer` and an id on each line, got {line!r}.")
    return Exclude(tenants=frozenset(alone), customers=frozenset(customers))


def _only_one(noun: str, tenant_id: int, year: int | None, found: Sequence[Record]) -> Record:
    if not found:
        of_year = f" for {year}" if year else ""
        raise UsageError(
            f"{noun.capitalize()} {tenant_id} is not archived{of_year}.", hint="inv archive.list shows what is."
        )
    if len(found) > 1:
        years = _listed(record.year for record in found)
        raise UsageError(
            f"{noun.capitalize()} {tenant_id} is archived for several years: {years}.", hint="Add --year=…"
        )
    return found[0]


def _none_half_moved(databases: Databases, found: tuple[Tenant, ...]) -> tuple[Tenant, ...]:
    """The same tenants; RefusedError where the rows of one may lie in two shards."""
    move_record.refuse_half_moved(databases.master, databases.model.tenant.noun, [tenant.id for tenant in found])
    return found


def _archived(databases: Databases, year: int) -> set[int]:
    return {
        record.tenant_id
        for record in archive_record.of_year(databases.master, year)
        if record.state is ArchiveState.ARCHIVED
    }


def _known(databases: Databases, exclude: Exclude, archived: set[int]) -> None:
    """An exclusion that names nobody is a slip of the pen that would archive somebody."""
    unknown = [
        one for one in tenants.unknown(databases.master, databases.model.tenant, exclude.tenants) if one not in archived
    ]
    if unknown:
        noun = databases.model.tenant.noun
        raise UsageError(f"The exclusion names {plural(noun)} that do not exist: {_listed(unknown)}.")
    for customer in sorted(exclude.customers):
        tenants.of_customer(databases.master, databases.model.tenant, customer)


def _only_back(found: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(record for record in found if record.state in RESTORABLE)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))
