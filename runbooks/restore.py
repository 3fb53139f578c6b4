"""Schools back into the live databases: the tasks under `inv restore.…`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.catalog.model import Part
from archiver.records import resolve
from archiver.records.archive_record import Record
from archiver.records.placement_history import shard_of
from archiver.runs.context import Archiver
from archiver.runs.restore import restore
from archiver.runs.setup import archiver as open_archiver
from inventory.load import load_changes
from inventory.migrations import Changes
from runbooks.archives.restore_plan import MAPPING, plan
from runbooks.cli.debug_host import IDENTITY, belongs_elsewhere, forward
from runbooks.cli.outcomes import result_printer, settle
from runbooks.cli.task import ENV, load_environment, parse_date, parse_id, parse_year, task
from runbooks.cli.text import archives

HELP = {
    "env": ENV,
    "year": "the school year of the archive, such as 2013",
    "pretend": "fetch and verify, show what would be loaded; load nothing",
    "identity": IDENTITY,
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(
    positional=["school"],
    help={
        "school": "the school's id",
        **HELP,
        "year": "where there are several",
        "only-classroom": "a classroom's id: only it and all it needs; the rest stays archived",
        "mapping": MAPPING,
    },
)
def school(
    context: Context,
    school: str,
    env: str = "",
    year: str = "",
    only_classroom: str = "",
    mapping: str = "",
    pretend: bool = False,
    identity: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Bring one school back, or one classroom of it: fetch, verify, load shard and master, delete the record."""
    tenant_id, of_year = parse_id(school, "school"), parse_year(year)
    only = Part("classroom", parse_id(only_classroom, "--only-classroom")) if only_classroom else None
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        words = {"year": year, "only_classroom": only_classroom, "mapping": mapping, "identity": identity}
        raise Exit(code=forward(environment, "restore.school", school, **words, pretend=pretend))
    last = load_changes(mapping) if mapping else None
    with open_archiver(environment, f"restore.school {tenant_id}", identity=identity) as archiver:
        record = resolve.one_to_restore(archiver.databases, tenant_id, of_year)
        with archiver.databases.tenant_lock("school", tenant_id, shard_of(archiver.databases, record)):
            _restore(archiver, [record], pretend=pretend, last=last, only=only)


@task(positional=["customer"], help={"customer": "the customer's id", **HELP})
def customer(
    context: Context,
    customer: str,
    env: str = "",
    year: str = "",
    pretend: bool = False,
    identity: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Bring back every archived school of a customer."""
    customer_id, of_year = parse_id(customer, "customer"), parse_year(year)
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        raise Exit(
            code=forward(environment, "restore.customer", customer, year=year, pretend=pretend, identity=identity)
        )
    with (
        open_archiver(environment, f"restore.customer {customer_id}", identity=identity) as archiver,
        archiver.databases.exclusive_lock(),
    ):
        _restore(archiver, resolve.customers_to_restore(archiver.databases, customer_id, of_year), pretend=pretend)


@task(name="all", help={**HELP, "date": "the night that archived them, YYYY-MM-DD"})
def all_(
    context: Context,
    date: str = "",
    env: str = "",
    pretend: bool = False,
    identity: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Bring back every school that a night archived: the way back of a whole night."""
    night = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        raise Exit(code=forward(environment, "restore.all", date=date, pretend=pretend, identity=identity))
    with (
        open_archiver(environment, f"restore.all {night}", identity=identity) as archiver,
        archiver.databases.exclusive_lock(),
    ):
        found = resolve.night_to_restore(archiver.databases, environment.school_year(night), night)
        _restore(archiver, found, pretend=pretend)


def _restore(
    archiver: Archiver,
    records: Sequence[Record],
    *,
    pretend: bool,
    last: Changes | None = None,
    only: Part | None = None,
) -> None:
    noun, alone = archiver.model.tenant.noun, len(records) == 1
    tell = result_printer(len(records), partial(archives.restored_line, noun, pretend=pretend), alone=alone)
    outcomes = restore(archiver, records, pretend=pretend, on_result=tell, mapping=last, only=only)
    settle(outcomes, archives.restore_summary(noun, outcomes, pretend=pretend), alone=alone)


namespace = Collection("restore", school, customer, all_, plan)
