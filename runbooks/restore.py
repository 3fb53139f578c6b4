"""Schools back into the live databases: the tasks under `inv restore.…`."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from invoke.collection import Collection

from archiver.catalog.model import Part
from archiver.records import resolve
from archiver.records.archive_record import Record
from archiver.records.cutoff import MonthName
from archiver.records.placement_history import shard_of
from archiver.runs.context import Archiver
from archiver.runs.restore import record_to_restore, restore
from archiver.runs.settle import asking_markers
from archiver.runs.setup import archiver as open_archiver
from errors import UsageError
from formatting import with_article
from inventory.load import load_changes
from inventory.migrations import Changes
from inventory.model import Environment, Role
from runbooks.archives.restore_plan import MAPPING, plan
from runbooks.cli.call import Call
from runbooks.cli.options import (
    ACTS,
    CUSTOMER,
    IDENTITY,
    NIGHT,
    PRETEND_RESTORE,
    SCHOOL,
    WITHOUT_MONTH,
    YEAR,
    YEAR_OF_SEVERAL,
    Option,
)
from runbooks.cli.outcomes import Results
from runbooks.cli.parse import parse_key, parse_part
from runbooks.cli.task import task
from runbooks.cli.text import archives

PART = Option(
    name="part",
    help='a part of the catalog and its key, such as "student 592": only it and all it needs; the rest stays archived',
    parse=parse_part,
)
NAMED_PARTS = tuple(
    Option(name=f"only_{noun}", help=f"the same for {with_article(noun)}, by its key", parse=parse_key)
    for noun in ("classroom", "student", "user")  # of Apangea's catalog
)


def _refuse_several_parts(call: Call) -> None:
    if len(_requested(call)) > 1:
        raise UsageError("Name one part to restore: --part and --only-… take one of them at a time.")


def _requested(call: Call) -> list[tuple[str, str]]:
    """Return the parts that were named, each with the word for its key."""
    words = ((option.key.removeprefix("only_"), call.values[option.key]) for option in NAMED_PARTS)
    other = call.values[PART.key]
    return [*([other] if other else []), *((noun, word) for noun, word in words if word)]


def _part(archiver: Archiver, noun: str, word: str) -> Part:
    """Return the part that a noun and a word for its key mean; raise UsageError if the catalog has no such part."""
    table = archiver.model.table_of_part(noun).table
    return Part(noun, archiver.databases.row_typed(noun, table, word))


@task(
    "restore.school",
    *(SCHOOL, YEAR_OF_SEVERAL, PART, *NAMED_PARTS, WITHOUT_MONTH, MAPPING, PRETEND_RESTORE, IDENTITY, *ACTS),
    example="13",
    runs_on=Role.DEBUG,
    before=_refuse_several_parts,
)
def school(
    call: Call,
    environment: Environment,
    school: str,
    year: int | None,
    without_month: frozenset[MonthName] | None,
    mapping: str,
    pretend: bool,
    identity: str,
) -> None:
    """Bring one school back, or a part such as a classroom or a person: fetch, verify, load, delete the record."""
    last = load_changes(mapping) if mapping else None
    with open_archiver(environment, f"restore.school {school}", identity=identity) as archiver:
        part = next((_part(archiver, noun, word) for noun, word in _requested(call)), None)
        record = record_to_restore(archiver, archiver.databases.key_typed(school), year)
        with archiver.databases.tenant_lock(record.tenant_id, shard_of(archiver.databases, record)):
            without = [str(month) for month in without_month or ()]
            _restore(archiver, [record], pretend=pretend, last=last, only=part, without=without)


@task(
    "restore.customer",
    *(CUSTOMER, YEAR, PRETEND_RESTORE, IDENTITY, *ACTS),
    example="1234",
    runs_on=Role.DEBUG,
)
def customer(environment: Environment, customer: str, year: int | None, pretend: bool, identity: str) -> None:
    """Bring back every archived school of a customer."""
    with (
        open_archiver(environment, f"restore.customer {customer}", identity=identity) as archiver,
        archiver.databases.exclusive_lock(),
    ):
        with asking_markers(archiver):
            key = archiver.databases.customer_typed(customer)
            records = resolve.customers_to_restore(archiver.databases, key, year)
        _restore(archiver, records, pretend=pretend)


@task(
    "restore.all",
    NIGHT.but(help="the night that archived them, YYYY-MM-DD"),
    *(PRETEND_RESTORE, IDENTITY, *ACTS),
    example="--date=2014-08-15",
    runs_on=Role.DEBUG,
)
def all_(environment: Environment, date: datetime.date, pretend: bool, identity: str) -> None:
    """Bring back every school that a night archived: this undoes the archiving of a whole night."""
    with (
        open_archiver(environment, f"restore.all {date}", identity=identity) as archiver,
        archiver.databases.exclusive_lock(),
    ):
        with asking_markers(archiver):
            records = resolve.night_to_restore(archiver.databases, environment.school_year(date), date)
        _restore(archiver, records, pretend=pretend)


def _restore(
    archiver: Archiver,
    records: Sequence[Record],
    *,
    pretend: bool,
    last: Changes | None = None,
    only: Part | None = None,
    without: Sequence[str] = (),
) -> None:
    noun, alone = archiver.model.tenant.noun, len(records) == 1
    words = archives.restore_words(noun, pretend=pretend, part=str(only or ""))
    results = Results(words, len(records), items=records, alone=alone)
    outcomes = restore(
        archiver, records, pretend=pretend, on_result=results.show, mapping=last, only=only, without=without
    )
    results.settle(outcomes)


namespace = Collection("restore", school, customer, all_, plan)
