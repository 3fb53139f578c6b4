"""Schools out of the live databases: the tasks under `inv archive.…`."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.postgres.tenants import Exclude, Tenant
from archiver.records import resolve
from archiver.records.archive_record import ArchiveRequest
from archiver.runs.archive import archive, tenant_to_archive
from archiver.runs.archive_many import archive_many
from archiver.runs.context import Archiver
from archiver.runs.engines import IN_TURN, Engine
from archiver.runs.progress import RunProgress
from archiver.runs.setup import archiver as open_archiver
from errors import UsageError
from inventory.load import read_lines
from inventory.model import Depth, Environment
from runbooks.archives import catalog, contents, estimate, reencrypt, release
from runbooks.archives import lists as archives_lists
from runbooks.archives import workers as archives_workers
from runbooks.archives.lists import excluded_at
from runbooks.archives.workers import engine_of
from runbooks.cli.debug_host import IDENTITY, belongs_elsewhere, forward
from runbooks.cli.outcomes import result_printer, settle
from runbooks.cli.task import ENV, load_environment, parse_date, parse_id, task
from runbooks.cli.text import archives
from runbooks.engine.live.console import say

HELP = {
    "env": ENV,
    "date": "the day whose school year is archived, YYYY-MM-DD; today if left out",
    "depth": "all, or students: school and staff stay live",
    "pretend": "archive up to the verification; store, delete and record nothing",
    "identity": f"only where a deletion that was cut off must put rows back: {IDENTITY}",
    **archives_workers.HELP,
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(positional=["school"], help={"school": "the school's id", **HELP})
def school(
    context: Context,
    school: str,
    env: str = "",
    date: str = "",
    depth: str = "all",
    pretend: bool = False,
    identity: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Archive one school: extract, pack, store, verify by restoring, delete, record."""
    tenant_id = parse_id(school, "school")
    environment = load_environment(env, yes_production=yes_production)
    request = ArchiveRequest(year=_year(environment, date), depth=parse_depth(depth), pretend=pretend)
    if belongs_elsewhere(environment, here=here):
        raise Exit(
            code=forward(
                environment, "archive.school", school, date=date, depth=depth, pretend=pretend, identity=identity
            )
        )
    with open_archiver(environment, f"archive.school {tenant_id}", identity=identity) as archiver:
        tenant = tenant_to_archive(archiver, tenant_id, request.year)
        with archiver.databases.tenant_lock("school", tenant.id, tenant.shard):
            _archive(archiver, [tenant], request)


@task(positional=["customer"], help={"customer": "the customer's id", **HELP})
def customer(
    context: Context,
    customer: str,
    env: str = "",
    date: str = "",
    depth: str = "all",
    pretend: bool = False,
    identity: str = "",
    engine: str = "",
    workers: str = "",
    memory: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Archive every school of a customer that is not archived yet."""
    customer_id = parse_id(customer, "customer")
    environment = load_environment(env, yes_production=yes_production)
    request = ArchiveRequest(year=_year(environment, date), depth=parse_depth(depth), pretend=pretend)
    what: dict[str, str | bool] = {"date": date, "depth": depth, "pretend": pretend}
    who = {"engine": engine, "workers": workers, "memory": memory, "identity": identity}
    if belongs_elsewhere(environment, here=here):
        raise Exit(code=forward(environment, "archive.customer", customer, **what, **who))
    purpose = f"archive.customer {customer_id}"
    by = engine_of(environment, purpose, **who)
    with open_archiver(environment, purpose, identity=identity) as archiver, archiver.databases.exclusive_lock():
        _archive(archiver, resolve.customers_to_archive(archiver.databases, customer_id, request.year), request, by)


@task(
    name="all",
    help={
        **HELP,
        "date": "the night, YYYY-MM-DD; its depth and exclusions stand in the inventory",
        "depth": "where the inventory does not have the night: all, or students",
        "until": "when it must be over, such as 06:00; what there is no time for is left for another night",
        "exclude": "a file of schools to leave out as well: an id a line, or `customer` and an id",
        "exclude-schools": "the same as a list: 13,14",
        "exclude-customers": "the same for customers: 1234",
    },
)
def all_(
    context: Context,
    date: str = "",
    exclude: str = "",
    exclude_schools: str = "",
    exclude_customers: str = "",
    env: str = "",
    depth: str = "",
    pretend: bool = False,
    identity: str = "",
    engine: str = "",
    workers: str = "",
    memory: str = "",
    until: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Archive every school that is neither excluded nor archived yet: step 8 of the night."""
    night = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    order = order_of_night(environment, night, depth, pretend=pretend)
    order = replace(order, until=moment(environment, until) if until else None)
    what: dict[str, str | bool] = {"date": date, "depth": depth, "pretend": pretend}
    who = {"engine": engine, "workers": workers, "memory": memory, "identity": identity}
    left_out = resolve.union(
        resolve.exclusion(read_lines(exclude), exclude) if exclude else Exclude(),
        Exclude(tenants=_ids(exclude_schools, "school"), customers=_ids(exclude_customers, "customer")),
    )
    if belongs_elsewhere(environment, here=here):
        lists = {"exclude_schools": _list(left_out.tenants), "exclude_customers": _list(left_out.customers)}
        raise Exit(code=forward(environment, "archive.all", **what, **who, until=until, **lists))
    purpose = f"archive.all {night}"
    by = engine_of(environment, purpose, **who)
    with open_archiver(environment, purpose, identity=identity) as archiver, archiver.databases.exclusive_lock():
        left_out = resolve.union(left_out, excluded_at(environment, night))
        _archive(archiver, resolve.all_to_archive(archiver.databases, order.year, left_out), order, by)


def moment(environment: Environment, text: str) -> datetime.datetime:
    """The next time that a clock in the environment shows HH:MM; UsageError for anything else."""
    try:
        wanted = datetime.datetime.strptime(text, "%H:%M").time()
    except ValueError:
        raise UsageError(f"--until: expected a time, got {text!r}.", hint="Example: --until=06:00") from None
    now = datetime.datetime.now(environment.zone)
    today = now.replace(hour=wanted.hour, minute=wanted.minute, second=0, microsecond=0)
    return today if today > now else today + datetime.timedelta(days=1)


def parse_depth(text: str) -> Depth:
    """How much is deleted; UsageError for anything but all and students."""
    try:
        return Depth(text)
    except ValueError:
        raise UsageError(f"--depth: expected all or students, got {text!r}.") from None


def order_of_night(environment: Environment, night: datetime.date, depth: str, *, pretend: bool) -> ArchiveRequest:
    """What a night does; its depth is the inventory's, or that of the option where the inventory has no such night."""
    wanted = parse_depth(depth) if depth else None
    if night in environment.nights or wanted is None:
        written = environment.night(night).depth
        if wanted not in (None, written):
            raise UsageError(f"--depth={depth}: the inventory says {written.value} for the night {night}.")
        wanted = written
    return ArchiveRequest(year=environment.school_year(night), depth=wanted, night=night, pretend=pretend)


def _archive(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest, engine: Engine = IN_TURN) -> None:
    noun, alone, pretend = archiver.model.tenant.noun, len(tenants) == 1, request.pretend
    tell = result_printer(len(tenants), partial(archives.outcome_line, noun, pretend=pretend), alone=alone)
    if alone:
        outcomes = archive(archiver, tenants, request, tell)
    else:
        outcomes = archive_many(archiver, tenants, request, tell, say, engine, _progress(noun, len(tenants)))
    settle(outcomes, archives.archive_summary(noun, outcomes, pretend=pretend), alone=alone)


def _year(environment: Environment, date: str) -> int:
    day = parse_date(date) if date else datetime.datetime.now(environment.zone).date()
    return environment.school_year(day)


def _ids(text: str, noun: str) -> frozenset[int]:
    return frozenset(parse_id(part.strip(), noun) for part in text.split(",")) if text else frozenset()


def _progress(noun: str, total: int) -> Callable[[RunProgress], None]:
    return lambda done: say(archives.progress_line(noun, total, done))


def _list(ids: Iterable[int]) -> str:
    return ",".join(map(str, sorted(ids)))


namespace = Collection("archive", school, customer, all_)
for more in (archives_lists, contents, reencrypt, catalog, estimate, archives_workers, release):
    for one in more.tasks:
        namespace.add_task(one)
