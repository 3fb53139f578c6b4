"""Archives opened, proved again, or given up: tasks under `inv archive.…` that go to the store."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from invoke.context import Context
from invoke.exceptions import Exit

from archiver.format import encryption
from archiver.format.bundle import Archive
from archiver.records import resolve, slice_record
from archiver.records.archive_record import Record
from archiver.records.placement_history import shard_of
from archiver.records.resolve import Archived
from archiver.runs import inspect
from archiver.runs.context import Archiver
from archiver.runs.drop import drop as give_up
from archiver.runs.drop import refuse_unless_named
from archiver.runs.reverify import longest_unverified, reverify
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of, scratch, spool_folder
from archiver.store.bucket import Bucket
from errors import UsageError
from inventory.model import Environment
from runbooks.cli.debug_host import IDENTITY, belongs_elsewhere, forward
from runbooks.cli.outcomes import result_printer, settle
from runbooks.cli.task import ENV, load_environment, parse_count, parse_id, parse_year, task
from runbooks.cli.text import records
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console, raw_output, say

HELP = {
    "school": "the school's id",
    "env": ENV,
    "year": "where there are several",
    "database": "master or shard, where both have a table of that name",
    "identity": "a file that holds the age identity; without it CUTOVER_IDENTITY",
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(
    positional=["school", "table"],
    help={**HELP, "table": "a table of the archive", "header": "the names of the columns first"},
)
def cat(
    context: Context,
    school: str,
    table: str,
    env: str = "",
    year: str = "",
    database: str = "",
    identity: str = "",
    header: bool = False,
) -> None:
    """Write a table's archived rows to standard output, as COPY text; no database is loaded."""
    tenant_id, of_year = parse_id(school, "school"), parse_year(year)
    environment = load_environment(env, read_only=True)
    with _opened(environment, "archive.cat", tenant_id, of_year, identity) as archive, raw_output() as out:
        inspect.cat(archive, inspect.table_in(archive.manifest, table, database), out, header=header)


@task(
    positional=["school", "query"],
    help={
        **HELP,
        "query": "one SELECT over the archive's tables, in quotes",
        "database": "load only the tables of master, or only those of the shard",
    },
)
def query(
    context: Context,
    school: str,
    query: str,
    env: str = "",
    year: str = "",
    database: str = "",
    identity: str = "",
) -> None:
    """Ask an archive: it is loaded into the scratch database for one SELECT, whose answer is written as CSV."""
    tenant_id, of_year = parse_id(school, "school"), parse_year(year)
    environment = load_environment(env, read_only=True)
    with (
        _opened(environment, "archive.query", tenant_id, of_year, identity) as archive,
        scratch(environment, f"archive.query {tenant_id}") as session,
        raw_output() as out,
    ):
        inspect.query(archive, query, session, out, database)


@task(
    positional=["school"],
    instead={"school": "all"},
    help={
        **HELP,
        "all": "every archive",
        "identity": IDENTITY,
        "sample": "of all, only so many: those whose last proof is the longest ago",
        "year": "the school year of the archive, such as 2013",
    },
)
def verify(
    context: Context,
    school: str,
    all: bool = False,  # noqa: A002 - the word that is typed
    sample: str = "",
    env: str = "",
    year: str = "",
    identity: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Prove an archive again: fetch it, restore it into the scratch database, compare; the record gets the date."""
    if sample and not all:
        raise UsageError("--sample chooses among all archives: add --all.")
    if school and all:
        raise UsageError("Name a school, or --all; not both.")
    tenant_id, of_year = None if all else parse_id(school, "school"), parse_year(year)
    number = parse_count(sample, "--sample", 20) if sample else None
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        words, options = [] if all else [school], {"sample": sample, "year": year, "identity": identity}
        raise Exit(code=forward(environment, "archive.verify", *words, all=all, **options))
    with open_archiver(environment, f"archive.verify {school or '--all'}", identity=identity) as archiver:
        if tenant_id is None:
            _prove(
                archiver, longest_unverified(resolve.all_to_reverify(archiver.databases, of_year), number), alone=False
            )
        else:
            _prove(archiver, [resolve.one_to_restore(archiver.databases, tenant_id, of_year)], alone=True)


@task(
    name="drop-archive",
    positional=["school"],
    help={**HELP, "tarball": "the tarball's name, such as 2013_school_13.tar.gz, where no terminal can ask for it"},
)
def drop_archive(
    context: Context,
    school: str,
    env: str = "",
    year: str = "",
    tarball: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Delete an archive for good, tarball and record; only with the tarball's name typed. The log keeps what it was."""
    tenant_id, of_year = parse_id(school, "school"), parse_year(year)
    environment = load_environment(env, yes_production=yes_production)
    with databases_of(environment, f"archive.drop-archive {tenant_id}") as databases:
        record = resolve.one_to_drop(databases, tenant_id, of_year)
    typed = tarball or _asked(record)
    refuse_unless_named(record, typed)
    if belongs_elsewhere(environment, here=here):
        raise Exit(code=forward(environment, "archive.drop-archive", school, year=str(record.year), tarball=typed))
    with (
        open_archiver(environment, f"archive.drop-archive {tenant_id}") as archiver,
        archiver.databases.tenant_lock("school", tenant_id, shard_of(archiver.databases, record)),
    ):
        give_up(archiver, record)
        task_state = slice_record.of_tenant(archiver.databases.master, tenant_id)
    say(f"school {tenant_id} of {record.year}: {record.location} and its record are gone; inv archive.log keeps them.")
    if task_state:
        say(f"Its rows in {len(task_state)} archives of past months are still there: inv activity.list shows where.")


@contextmanager
def _opened(environment: Environment, name: str, tenant_id: int, year: int | None, identity: str) -> Iterator[Archive]:
    """A school's archive for a task of that name; no database but master is asked, and only for the record."""
    keys = encryption.keys(environment.store.recipients, identity)
    with databases_of(environment, f"{name} {tenant_id}") as databases:
        record = resolve.one_to_restore(databases, tenant_id, year)
    with inspect.fetched(Bucket(environment.store), record, keys, spool_folder()) as archive:
        yield archive


def _asked(record: Record) -> str:
    """The tarball's name as the operator types it; empty where nobody can be asked."""
    console = Console(clock=SystemClock())
    if not console.interactive:
        return ""
    held = f"{record.rows:,} rows of school {record.tenant_id} of {record.year} ({record.state.value})"
    console.warn(f"{record.tarball} holds {held}: once it is dropped, nothing brings them back from it.")
    return console.typed(f"  Type the tarball's name ({record.tarball}) to drop it: ")


def _prove(archiver: Archiver, wanted: Sequence[Archived], *, alone: bool) -> None:
    line = partial(records.reverified_line, archiver.model.tenant.noun)
    outcomes = reverify(archiver, wanted, result_printer(len(wanted), line, alone=alone))
    settle(outcomes, records.reverify_summary(outcomes), alone=alone)


tasks = (cat, query, verify, drop_archive)
