"""Archives encrypted to today's recipients: the task `inv archive.reencrypt`."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from invoke.context import Context
from invoke.exceptions import Exit

from archiver.records import resolve
from archiver.records.placement_history import shard_of
from archiver.records.resolve import Archived
from archiver.runs.context import Archiver
from archiver.runs.reencrypt import reencrypt as encrypt_anew
from archiver.runs.setup import archiver as open_archiver
from errors import UsageError
from runbooks.cli.debug_host import IDENTITY, belongs_elsewhere, forward
from runbooks.cli.outcomes import result_printer, settle
from runbooks.cli.task import ENV, load_environment, parse_id, parse_year, task
from runbooks.cli.text import archives

HELP = {
    "school": "the school's id",
    "all": "every archive, of all years unless --year says one; also past months' and purges'",
    "year": "only this school year, such as 2013",
    "identity": IDENTITY,
    "env": ENV,
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(positional=["school"], instead={"school": "all"}, help=HELP)
def reencrypt(
    context: Context,
    school: str,
    all: bool = False,  # noqa: A002 - the option's name
    year: str = "",
    identity: str = "",
    env: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Encrypt archives to the inventory's recipients of today; what lies in the store already stays there."""
    if school and all:
        raise UsageError("Name a school, or --all; not both.")
    tenant_id, of_year = 0 if all else parse_id(school, "school"), parse_year(year)
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        words = () if all else (school,)
        raise Exit(code=forward(environment, "archive.reencrypt", *words, all=all, year=year, identity=identity))
    with open_archiver(environment, f"archive.reencrypt {school or '--all'}", identity=identity) as archiver:
        if all:
            _rewrap_all(archiver, of_year)
        else:
            _rewrap_one(archiver, tenant_id, of_year)


def _rewrap_all(archiver: Archiver, year: int | None) -> None:
    with archiver.databases.exclusive_lock():
        _rewrap(archiver, resolve.all_to_reencrypt(archiver.databases, year))


def _rewrap_one(archiver: Archiver, tenant_id: int, year: int | None) -> None:
    record = resolve.one_to_restore(archiver.databases, tenant_id, year)
    with archiver.databases.tenant_lock("school", tenant_id, shard_of(archiver.databases, record)):
        _rewrap(archiver, [record])


def _rewrap(archiver: Archiver, records: Sequence[Archived]) -> None:
    noun, alone = archiver.model.tenant.noun, len(records) == 1
    outcomes = encrypt_anew(
        archiver, records, result_printer(len(records), partial(archives.reencrypted_line, noun), alone=alone)
    )
    settle(outcomes, archives.reencrypt_summary(outcomes), alone=alone)


tasks = (reencrypt,)
