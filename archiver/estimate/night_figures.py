"""Count what a night archives: the one place where its figures are computed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import date, datetime

from archiver.estimate import rates, sizes
from archiver.estimate.estimate import in_one_run
from archiver.estimate.sizes import TenantSize
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Exclude, Tenant
from archiver.records import archive_record
from archiver.records.night_tenants import NightTenants
from archiver.records.state import State
from archiver.runs.one_by_one import deletes_in_bulk
from inventory.figures import Figures, LeftOut, Share
from inventory.keys import Key, key_order, words_for
from inventory.model import Exclusion, Night

BIGGEST = 5


def count(
    databases: Databases, night: Night, of_night: NightTenants, *, at: date, year: int, now: datetime, workers: int
) -> Figures:
    """Count what is live of a night's tenants; RefusedError if a table has no statistics to estimate its rows from."""
    records = archive_record.read_if_any(databases.master, year)
    done = {record.tenant_id for record in records if record.state is State.ARCHIVED and record.night == at}
    due = frozenset(of_night.taken) - done
    left = [size for size in sizes.read(databases).tenants if size.tenant.id in due]
    live = tenants.every(databases.master, databases.model.tenant)
    excluded = left_out(databases.model.tenant.noun, live, night.exclude)
    if night.only:
        accounted = {*of_night.taken, *of_night.excluded, *(record.tenant_id for record in records)}
        excluded += _others(sum(tenant.id not in accounted for tenant in live))
    seconds = _seconds(databases, night.depth, left, workers)
    return figures_of(left, databases.model.tenant.noun, excluded, seconds, len(done), now)


def _seconds(databases: Databases, depth: str, left: Sequence[TenantSize], workers: int) -> float | None:
    """Return how long their archiving takes; None if it goes one by one, and nothing was archived here before."""
    rows = round(sum(size.rows for size in left))
    if deletes_in_bulk(databases, depth):
        return in_one_run(rows, workers)
    samples = rates.recorded(databases.master)
    return rates.rates(samples).archive.seconds(len(left), rows) if samples else None


def figures_of(
    sizes: Sequence[TenantSize],
    noun: str,
    left_out: tuple[LeftOut, ...],
    seconds: float | None,
    archived: int,
    now: datetime,
) -> Figures:
    """Return the figures of tenants of these sizes, `archived` more of which are archived already; pure."""
    by_size = sorted(sizes, key=lambda size: (-size.rows, key_order(size.tenant.id)))
    of_customers = [size for size in by_size if size.tenant.customer_id is not None]
    total = _share("", by_size)
    return Figures(
        counted_at=now,
        noun=noun,
        tenants=len(by_size) + archived,
        archived=archived,
        rows=total.rows,
        bytes=total.bytes,
        seconds=seconds,
        shards=tuple(sorted(_shares(by_size, lambda tenant: tenant.shard), key=lambda share: share.name)),
        customers=tuple(sorted(_shares(of_customers, _customer), key=lambda share: (-share.rows, share.name))),
        biggest=tuple(_share(_named(noun, size.tenant), [size]) for size in by_size[:BIGGEST]),
        left_out=left_out,
    )


def left_out(noun: str, live: Collection[Tenant], exclude: Exclusion) -> tuple[LeftOut, ...]:
    """Return the live tenants and customers that the inventory leaves out, each with its reason; pure."""
    by_word = {word: tenant for tenant in live for word in words_for(tenant.id)}
    return (
        *(
            LeftOut(name=_named(noun, by_word[str(key)]), tenants=1, reason=exclude.reasons.get(f"school {key}", ""))
            for key in sorted(set(exclude.schools), key=key_order)
            if str(key) in by_word
        ),
        *(
            LeftOut(
                name=_customer(of_it[0]),
                tenants=len(of_it),
                reason=exclude.reasons.get(f"customer {key}", ""),
            )
            for key in sorted(set(exclude.customers), key=key_order)
            if (of_it := _of_customer(live, key))
        ),
    )


def _of_customer(live: Collection[Tenant], key: Key) -> list[Tenant]:
    named = Exclude(customers=frozenset([key]))
    return [tenant for tenant in live if named.names_customer(tenant.customer_id)]


def _others(count: int) -> tuple[LeftOut, ...]:
    """Return those that an include list does not name."""
    return (LeftOut(name="all others", tenants=count, reason="not on the list of this night"),) if count else ()


def _shares(sizes: Sequence[TenantSize], name_of: Callable[[Tenant], str]) -> list[Share]:
    """Return the sizes summed up by a name."""
    by_name: dict[str, list[TenantSize]] = {}
    for size in sizes:
        by_name.setdefault(name_of(size.tenant), []).append(size)
    return [_share(name, of_it) for name, of_it in by_name.items()]


def _share(name: str, sizes: Sequence[TenantSize]) -> Share:
    rows, live = sum(size.rows for size in sizes), sum(size.bytes for size in sizes)
    return Share(name=name, tenants=len(sizes), rows=round(rows), bytes=round(live))


def _named(noun: str, tenant: Tenant) -> str:
    return f"{tenant.name} ({tenant.id})" if tenant.name else f"{noun} {tenant.id}"


def _customer(tenant: Tenant) -> str:
    number = tenant.customer_id
    return f"{tenant.customer_name} ({number})" if tenant.customer_name else f"customer {number}"
