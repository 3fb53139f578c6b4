"""Schools out of the live databases: the tasks under `inv archive.…`."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial

from invoke.collection import Collection

from archiver.postgres.tenants import Exclude, Include, Tenant, TenantFilter
from archiver.records import resolve
from archiver.records.archive_record import ArchiveRequest
from archiver.records.night_tenants import night_tenants
from archiver.records.tenant_lists import exclusion, inclusion, union
from archiver.runs.archive import archive, tenant_to_archive
from archiver.runs.archive_many import archive_many
from archiver.runs.context import Archiver
from archiver.runs.engines import IN_TURN, Engine
from archiver.runs.progress import RunProgress
from archiver.runs.setup import archiver as open_archiver
from errors import UsageError
from inventory.load import load_catalog, read_numbered_lines
from inventory.model import Environment, Night, Role
from inventory.scope import Scope, scope_of
from runbooks.archives import catalog, contents, estimate, reencrypt, release, stragglers
from runbooks.archives import lists as archives_lists
from runbooks.archives import log as archives_log
from runbooks.archives import scope as archives_scope
from runbooks.archives import workers as archives_workers
from runbooks.archives.lists import filter_at
from runbooks.archives.workers import engine_of
from runbooks.cli.options import (
    ACCEPT_ORPHANS,
    ACTS,
    CUSTOMER,
    DEPTH,
    IDENTITY,
    NIGHT,
    PRETEND,
    SCHOOL,
    WORKERS,
    Option,
)
from runbooks.cli.outcomes import result_printer, settle
from runbooks.cli.parse import parse_clock, parse_date, parse_ids, parse_reasons
from runbooks.cli.task import task
from runbooks.cli.text import archives
from runbooks.engine.live.console import say

DAY = Option(name="date", help="the day whose school year is archived, YYYY-MM-DD", parse=parse_date, unset="today")
OPENS = IDENTITY.but(help=f"{IDENTITY.help}; only where a deletion that was cut off must put rows back")
UNTIL = Option(
    name="until",
    help="when it must be over, such as 06:00; what there is no time for is left for another night",
    parse=parse_clock,
    unset="no limit",
)
EXCLUDE = Option(
    name="exclude",
    help="a file of schools to leave out as well: an id a line, or `customer` and an id; on this machine",
)
SCHOOLS = Option(
    name="schools",
    help="the digest of the schools that the date was typed for, as inv archive.scope prints it: others are refused",
    unset="not compared",
)
EXCLUDE_SCHOOLS = Option(name="exclude_schools", help="the same as a list: 13,14", parse=parse_ids)
EXCLUDE_CUSTOMERS = Option(name="exclude_customers", help="the same for customers: 1234", parse=parse_ids)
ONLY = Option(
    name="only",
    help="a file of the only schools to archive: `13: reason` or `customer 1234: reason` a line; on this machine",
    unset="the night's list in the inventory, else every school",
)
ONLY_LISTED = Option(
    name="only_listed",
    help='the same as JSON: {"customer 1234": "will not renew, OPS-510"}',
    parse=parse_reasons,
)
REASON = Option(name="reason", help="why, with the ticket; the record and the log keep it")


def refuse_unknown_depth(environment: Environment, depth: str) -> None:
    """Raise UsageError if a depth is none of the catalog's."""
    load_catalog(environment.catalog).rule(depth)


@task(
    "archive.school",
    SCHOOL,
    DAY,
    DEPTH,
    REASON,
    PRETEND,
    ACCEPT_ORPHANS,
    OPENS,
    *ACTS,
    example="13",
    runs_on=Role.DEBUG,
    before=refuse_unknown_depth,
)
def school(
    environment: Environment,
    school: int,
    date: datetime.date | None,
    depth: str,
    reason: str,
    pretend: bool,
    accept_orphans: bool,
    identity: str,
) -> None:
    """Archive one school: extract, pack, store, verify by restoring, delete, record."""
    request = ArchiveRequest(
        year=_year(environment, date),
        depth=depth,
        pretend=pretend,
        accept_orphans=accept_orphans,
        only=Include(tenants={school: reason}) if reason else None,
    )
    with open_archiver(environment, f"archive.school {school}", identity=identity) as archiver:
        tenant = tenant_to_archive(archiver, school, request.year)
        with archiver.databases.tenant_lock("school", tenant.id, tenant.shard):
            _archive(archiver, [tenant], request)


@task(
    "archive.customer",
    *(CUSTOMER, DAY, DEPTH, REASON, PRETEND, ACCEPT_ORPHANS, OPENS, *WORKERS, *ACTS),
    example="1234",
    runs_on=Role.DEBUG,
    before=refuse_unknown_depth,
)
def customer(
    environment: Environment,
    customer: int,
    date: datetime.date | None,
    depth: str,
    reason: str,
    pretend: bool,
    accept_orphans: bool,
    identity: str,
    engine: str | None,
    workers: int | None,
    memory: int | None,
) -> None:
    """Archive every school of a customer that is not archived yet."""
    request = ArchiveRequest(
        year=_year(environment, date),
        depth=depth,
        pretend=pretend,
        accept_orphans=accept_orphans,
        only=Include(customers={customer: reason}) if reason else None,
    )
    purpose = f"archive.customer {customer}"
    by = engine_of(environment, purpose, engine=engine, workers=workers, memory=memory, identity=identity)
    with open_archiver(environment, purpose, identity=identity) as archiver, archiver.databases.exclusive_lock():
        _archive(archiver, resolve.customers_to_archive(archiver.databases, customer, request.year), request, by)


def _files_as_lists(
    environment: Environment,
    date: datetime.date,
    depth: str,
    pretend: bool,
    exclude: str,
    exclude_schools: frozenset[int] | None,
    exclude_customers: frozenset[int] | None,
    only: str,
    only_listed: Mapping[str, str] | None,
) -> dict[str, str | bool]:
    """Refuse a night that the inventory knows otherwise, and put the contents of files, which are here, into lists."""
    request_of_night(environment, date, depth, pretend=pretend)
    if only and only_listed:
        raise UsageError("Give --only or --only-listed; not both.")
    left_out = union(
        exclusion(read_numbered_lines(exclude), exclude) if exclude else Exclude(),
        Exclude(tenants=exclude_schools or frozenset(), customers=exclude_customers or frozenset()),
    )
    return {
        "exclude": "",
        "exclude_schools": _list(left_out.tenants),
        "exclude_customers": _list(left_out.customers),
        **(_as_listed(inclusion(read_numbered_lines(only, comments_after=False), only)) if only else {}),
    }


def _as_listed(only: Include) -> dict[str, str | bool]:
    """Return the options by which an include list is sent instead of its file."""
    customers = {f"customer {number}": reason for number, reason in only.customers.items()}
    listed = {**customers, **{str(number): reason for number, reason in only.tenants.items()}}
    return {"only": "", "only_listed": json.dumps(listed, ensure_ascii=False)}


def _scope(environment: Environment, date: datetime.date, depth: str) -> Scope:
    """Return this host's scope of a night; the depth is the option's if the inventory has no such night."""
    if date not in environment.nights and depth:
        return scope_of(environment, Night(depth=depth))
    return scope_of(environment, environment.night(date))


@task(
    "archive.all",
    NIGHT.but(help="the night, YYYY-MM-DD; its depth and exclusions are in the inventory"),
    DEPTH.but(help=f"where the inventory does not have the night; {DEPTH.help}", default=""),
    *(
        PRETEND,
        EXCLUDE,
        EXCLUDE_SCHOOLS,
        EXCLUDE_CUSTOMERS,
        ONLY,
        ONLY_LISTED,
        SCHOOLS,
        ACCEPT_ORPHANS,
        UNTIL,
        OPENS,
        *WORKERS,
        *ACTS,
    ),
    example="--date=2014-08-15",
    runs_on=Role.DEBUG,
    before=_files_as_lists,
    scope=_scope,
)
def all_(
    environment: Environment,
    date: datetime.date,
    depth: str,
    pretend: bool,
    exclude_schools: frozenset[int] | None,
    exclude_customers: frozenset[int] | None,
    only_listed: Mapping[str, str] | None,
    schools: str,
    accept_orphans: bool,
    until: datetime.time | None,
    identity: str,
    engine: str | None,
    workers: int | None,
    memory: int | None,
) -> None:
    """Archive every school that is neither excluded nor archived yet: step 8 of the night."""
    left_out = Exclude(tenants=exclude_schools or frozenset(), customers=exclude_customers or frozenset())
    chosen = _chosen(environment, date, left_out, only_listed)
    request = request_of_night(environment, date, depth, pretend=pretend, until=until)
    request = replace(request, accept_orphans=accept_orphans, only=chosen.only)
    purpose = f"archive.all {date}"
    by = engine_of(environment, purpose, engine=engine, workers=workers, memory=memory, identity=identity)
    with open_archiver(environment, purpose, identity=identity) as archiver, archiver.databases.exclusive_lock():
        live = resolve.all_to_archive(archiver.databases, request.year, chosen, date)
        if schools or not live:
            night_tenants(archiver.databases, request.year, date, chosen).refuse_others(date, schools)
        _archive(archiver, live, request, by)


def _chosen(
    environment: Environment, night: datetime.date, left_out: Exclude, listed: Mapping[str, str] | None
) -> TenantFilter:
    """Return which schools are archived: the inventory's, less what else is left out, or the only ones listed.

    Raises UsageError if both the inventory and the command have an include list.
    """
    written = filter_at(environment, night)
    if listed and written.only:
        raise UsageError(f"--only: the inventory has an include list of its own for the night {night}.")
    lines = enumerate((f"{name}: {reason}" for name, reason in (listed or {}).items()), start=1)
    only = inclusion(lines, ONLY_LISTED.label) if listed else written.only
    return TenantFilter(exclude=union(left_out, written.exclude), only=only)


def next_moment(environment: Environment, clock: datetime.time) -> datetime.datetime:
    """Return the next time that a clock in the environment shows this time of day."""
    now = datetime.datetime.now(environment.zone)
    today = now.replace(hour=clock.hour, minute=clock.minute, second=0, microsecond=0)
    return today if today > now else today + datetime.timedelta(days=1)


def request_of_night(
    environment: Environment,
    night: datetime.date,
    depth: str,
    *,
    pretend: bool,
    until: datetime.time | None = None,
) -> ArchiveRequest:
    """Return the request of a night; its depth is the inventory's, or the option's if the inventory has no such night.

    Raises UsageError if there is neither, or if they differ.
    """
    if night in environment.nights or not depth:
        written = environment.night(night).depth
        if depth not in ("", written):
            raise UsageError(f"--depth={depth}: the inventory says {written} for the night {night}.")
        depth = written
    refuse_unknown_depth(environment, depth)
    over = next_moment(environment, until) if until else None
    return ArchiveRequest(year=environment.school_year(night), depth=depth, night=night, pretend=pretend, until=over)


def _archive(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest, engine: Engine = IN_TURN) -> None:
    noun, alone, pretend = archiver.model.tenant.noun, len(tenants) == 1, request.pretend
    on_result = result_printer(len(tenants), partial(archives.outcome_line, noun, pretend=pretend), alone=alone)
    if alone:
        outcomes = archive(archiver, tenants, request, on_result)
    else:
        outcomes = archive_many(archiver, tenants, request, on_result, say, engine, _progress(noun, len(tenants)))
    settle(outcomes, archives.archive_summary(noun, outcomes, pretend=pretend), alone=alone)


def _year(environment: Environment, date: datetime.date | None) -> int:
    return environment.school_year(date or datetime.datetime.now(environment.zone).date())


def _progress(noun: str, total: int) -> Callable[[RunProgress], None]:
    return lambda done: say(archives.progress_line(noun, total, done))


def _list(ids: Iterable[int]) -> str:
    return ",".join(map(str, sorted(ids)))


namespace = Collection("archive", school, customer, all_)
for module in (
    archives_lists,
    archives_log,
    contents,
    reencrypt,
    catalog,
    estimate,
    archives_workers,
    release,
    archives_scope,
    stragglers,
):
    for further in module.tasks:
        namespace.add_task(further)
