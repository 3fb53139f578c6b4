"""A night of archiving by itself, `inv archive.all`: what its options mean together with the inventory's night."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace

from archiver.postgres.tenants import Exclude, Include, TenantFilter
from archiver.records.archive_request import ArchiveRequest
from archiver.records.tenant_lists import exclusion, inclusion, union
from errors import UsageError
from inventory.files import read_numbered_lines
from inventory.keys import Key, key_order, listed
from inventory.load import load_catalog
from inventory.model import Environment, Night
from inventory.scope import Scope, scope_of
from runbooks.archives.night_filter import filter_at
from runbooks.cli.options import Option
from runbooks.cli.parse import QUOTED, each_once, parse_clock, parse_listed, parse_reasons

UNTIL = Option(
    name="until",
    help="when it must be over, such as 06:00; what there is no time for is left for another night",
    parse=parse_clock,
    unset="no limit",
)
EXCLUDE = Option(
    name="exclude",
    help=(
        "a file of schools to leave out as well: an id a line, or `customer` and an id, written as in "
        "--exclude-schools; on this machine"
    ),
)
SCHOOLS = Option(
    name="schools",
    help="the digest of the schools that the date was typed for, as inv archive.scope prints it: others are refused",
    unset="not compared",
)
EXCLUDE_SCHOOLS = Option(
    name="exclude_schools", help=f"the same as a list: 13,14{QUOTED}", parse=each_once(parse_listed, "13,14")
)
EXCLUDE_CUSTOMERS = Option(
    name="exclude_customers", help="the same for customers: 1234", parse=each_once(parse_listed, "1234")
)
ONLY = Option(
    name="only",
    help=(
        "a file of the only schools to archive: `13: reason` or `customer 1234: reason` a line, the id written as in "
        "--exclude-schools; on this machine"
    ),
    unset="the night's list in the inventory, else every school",
)
ONLY_LISTED = Option(
    name="only_listed",
    help='the same as JSON: {"customer 1234": "will not renew, OPS-510"}',
    parse=parse_reasons,
)


def refuse_unknown_depth(environment: Environment, depth: str) -> None:
    """Raise UsageError if a depth is none of the catalog's."""
    load_catalog(environment.catalog).rule(depth)


def files_as_lists(
    environment: Environment,
    date: datetime.date,
    depth: str,
    pretend: bool,
    exclude: str,
    exclude_schools: frozenset[Key] | None,
    exclude_customers: frozenset[Key] | None,
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
    customers = {f"customer {listed(key)}": reason for key, reason in only.customers.items()}
    reasons = {**customers, **{listed(key): reason for key, reason in only.tenants.items()}}
    return {"only": "", "only_listed": json.dumps(reasons, ensure_ascii=False)}


def scope_of_call(environment: Environment, date: datetime.date, depth: str) -> Scope:
    """Return this host's scope of a night; the depth is the option's if the inventory has no such night."""
    if date not in environment.nights and depth:
        return scope_of(environment, Night(depth=depth))
    return scope_of(environment, environment.night(date))


def chosen_schools(
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
    return replace(written, exclude=union(left_out, written.exclude), only=only)


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


def _list(ids: Iterable[Key]) -> str:
    return ",".join(map(listed, sorted(ids, key=key_order)))
