"""Schools out of the live databases: the tasks under `inv archive.…`."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import replace

from invoke.collection import Collection

from archiver.postgres.tenants import Exclude, Include, Tenant
from archiver.records import resolve
from archiver.records.archive_request import ArchiveRequest
from archiver.records.night_tenants import night_tenants
from archiver.runs.archive import archive, tenant_to_archive
from archiver.runs.archive_many import archive_many
from archiver.runs.context import Archiver
from archiver.runs.engines import IN_TURN, Engine
from archiver.runs.setup import archiver as open_archiver
from inventory.keys import Key
from inventory.model import Environment, Role
from runbooks.archives import adopt, catalog, contents, estimate, reencrypt, release, stragglers
from runbooks.archives import lists as archives_lists
from runbooks.archives import log as archives_log
from runbooks.archives import scope as archives_scope
from runbooks.archives import workers as archives_workers
from runbooks.archives.of_night import (
    EXCLUDE,
    EXCLUDE_CUSTOMERS,
    EXCLUDE_SCHOOLS,
    ONLY,
    ONLY_LISTED,
    SCHOOLS,
    UNTIL,
    chosen_schools,
    files_as_lists,
    refuse_unknown_depth,
    request_of_night,
    scope_of_call,
)
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
from runbooks.cli.outcomes import Results
from runbooks.cli.parse import parse_date
from runbooks.cli.task import task
from runbooks.cli.text import archives
from runbooks.engine.live.console import say_wrapped

DAY = Option(name="date", help="the day whose school year is archived, YYYY-MM-DD", parse=parse_date, unset="today")
OPENS = IDENTITY.but(help=f"{IDENTITY.help}; only where a deletion that was cut off must put rows back")
REASON = Option(name="reason", help="why, with the ticket; the record and the log keep it")


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
    school: str,
    date: datetime.date | None,
    depth: str,
    reason: str,
    pretend: bool,
    accept_orphans: bool,
    identity: str,
) -> None:
    """Archive one school: extract, pack, store, verify by restoring, delete, record."""
    with open_archiver(environment, f"archive.school {school}", identity=identity) as archiver:
        key = archiver.databases.key_typed(school)
        request = ArchiveRequest(
            year=_year(environment, date),
            depth=depth,
            pretend=pretend,
            accept_orphans=accept_orphans,
            only=Include(tenants={key: reason}) if reason else None,
        )
        tenant = tenant_to_archive(archiver, key, request.year)
        with archiver.databases.tenant_lock(tenant.id, tenant.shard):
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
    customer: str,
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
    """Archive every school of a customer, unless it is archived already."""
    request = ArchiveRequest(
        year=_year(environment, date),
        depth=depth,
        pretend=pretend,
        accept_orphans=accept_orphans,
    )
    purpose = f"archive.customer {customer}"
    by = engine_of(environment, purpose, engine=engine, workers=workers, memory=memory, identity=identity)
    with open_archiver(environment, purpose, identity=identity) as archiver, archiver.databases.exclusive_lock():
        key = archiver.databases.customer_typed(customer)
        request = replace(request, only=Include(customers={key: reason}) if reason else None)
        _archive(archiver, resolve.customers_to_archive(archiver.databases, key, request.year), request, by)


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
    before=files_as_lists,
    scope=scope_of_call,
)
def all_(
    environment: Environment,
    date: datetime.date,
    depth: str,
    pretend: bool,
    exclude_schools: frozenset[Key] | None,
    exclude_customers: frozenset[Key] | None,
    only_listed: Mapping[str, str] | None,
    schools: str,
    accept_orphans: bool,
    until: datetime.time | None,
    identity: str,
    engine: str | None,
    workers: int | None,
    memory: int | None,
) -> None:
    """Archive every school, unless it is excluded or archived already: step 8 of the night."""
    left_out = Exclude(tenants=exclude_schools or frozenset(), customers=exclude_customers or frozenset())
    chosen = chosen_schools(environment, date, left_out, only_listed)
    request = request_of_night(environment, date, depth, pretend=pretend, until=until)
    request = replace(request, accept_orphans=accept_orphans, only=chosen.only, own_depths=chosen.own_depths)
    purpose = f"archive.all {date}"
    by = engine_of(environment, purpose, engine=engine, workers=workers, memory=memory, identity=identity)
    with open_archiver(environment, purpose, identity=identity) as archiver, archiver.databases.exclusive_lock():
        live = resolve.all_to_archive(archiver.databases, request.year, chosen, date)
        if schools or not live:
            night_tenants(archiver.databases, request.year, date, chosen).refuse_others(date, schools)
        _archive(archiver, live, request, by)


def _archive(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest, engine: Engine = IN_TURN) -> None:
    noun, alone, pretend = archiver.model.tenant.noun, len(tenants) == 1, request.pretend
    results = Results(archives.archive_words(noun, pretend=pretend), len(tenants), alone=alone)
    if alone:
        outcomes = archive(archiver, tenants, request, results.show)
    else:
        outcomes = archive_many(archiver, tenants, request, results.show, say_wrapped, engine, results.show_progress)
    results.settle(outcomes)


def _year(environment: Environment, date: datetime.date | None) -> int:
    return environment.school_year(date or datetime.datetime.now(environment.zone).date())


namespace = Collection("archive", school, customer, all_)
for module in (
    archives_lists,
    archives_log,
    contents,
    adopt,
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
