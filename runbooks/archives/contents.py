"""Archives read, verified again, or dropped: tasks under `inv archive.…` that go to the store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from archiver.format import encryption, layout
from archiver.format.bundle import Archive
from archiver.kinds import registry
from archiver.records import audit_log, resolve
from archiver.records.cutoff import MonthName
from archiver.records.log_heads import head_stored
from archiver.runs import inspect
from archiver.runs.context import Archiver
from archiver.runs.drop import DroppedMonths, refuse_unless_named
from archiver.runs.kind import ArchiveOfKind
from archiver.runs.reverify import longest_unverified, reverify
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of, scratch, spool_folder
from archiver.store.bucket import Bucket
from errors import UsageError
from formatting import many
from inventory.model import Environment, Role
from runbooks.cli.call import Call
from runbooks.cli.options import (
    ACTS,
    ARCHIVE,
    ARCHIVE_OR_ALL,
    IDENTITY,
    READS,
    WITHOUT_MONTH,
    YEAR,
    YEAR_OF_SEVERAL,
    Option,
)
from runbooks.cli.outcomes import Results
from runbooks.cli.parse import count
from runbooks.cli.tables import show
from runbooks.cli.task import task
from runbooks.cli.text import archives
from runbooks.cli.text.archives import reverify_words
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console, raw_output, say

TABLE = Option(name="table", help="a table of the archive", positional=True, required=True)
QUERY = Option(name="query", help="one SELECT over the archive's tables, in quotes", positional=True, required=True)
DATABASE = Option(name="database", help="master or shard, if both have a table of that name")
OPENS = IDENTITY.but(help="a file that holds the age identity", unset="CUTOVER_IDENTITY")
ALL = Option(name="all", help="every archive", default=False)
SAMPLE = Option(
    name="sample", help="with --all: only so many, those verified the longest ago", parse=count(20), unset="all of them"
)
TARBALL = Option(
    name="tarball", help="the tarball's name, such as 2013_school_13.tar.gz, where no terminal can ask for it"
)
LEFT = WITHOUT_MONTH.but(help="months that keep the school's rows, because their object is lost; all else is dropped")


@task(
    "archive.cat",
    *(ARCHIVE, TABLE, YEAR_OF_SEVERAL, DATABASE, OPENS),
    *(Option(name="header", help="write the names of the columns first", default=False), *READS),
    example="13 students",
)
def cat(
    environment: Environment, school: str, table: str, year: int | None, database: str, identity: str, header: bool
) -> None:
    """Write a table's archived rows to standard output, as COPY text; no database is loaded."""
    asked = {"table": table, "database": database}
    with _opened(environment, "cat", asked, school, year, identity) as archive, raw_output() as out:
        inspect.cat(archive, inspect.table_in(archive.manifest, table, database), out, header=header)


@task(
    "archive.query",
    *(ARCHIVE, QUERY, YEAR_OF_SEVERAL, OPENS, *READS),
    DATABASE.but(help="load only the tables of master, or only those of the shard"),
    example='13 "SELECT …"',
)
def query(environment: Environment, school: str, query: str, year: int | None, identity: str, database: str) -> None:
    """Query an archive: load it into the scratch database for one SELECT, and write the rows as CSV."""
    with (
        _opened(environment, "query", {"database": database}, school, year, identity) as archive,
        scratch(environment, f"archive.query {school}") as session,
        raw_output() as out,
    ):
        inspect.query(archive, query, session, out, database)


def _refuse_sample_of_one(sample: int | None, all_: bool) -> None:
    if sample and not all_:
        raise UsageError("--sample chooses among all archives: add --all.")


@task(
    "archive.verify",
    *(ARCHIVE_OR_ALL, ALL, SAMPLE, YEAR.but(help="the school year of the archive, such as 2013"), IDENTITY, *ACTS),
    example="13",
    runs_on=Role.DEBUG,
    before=_refuse_sample_of_one,
)
def verify(environment: Environment, school: str | None, sample: int | None, year: int | None, identity: str) -> None:
    """Re-verify an archive by test-restoring it: fetch, restore into the scratch database, compare, record the date."""
    with open_archiver(environment, f"archive.verify {school or '--all'}", identity=identity) as archiver:
        if school is None:
            everything = registry.openable(archiver.databases.master, year)
            _reverify(archiver, longest_unverified(everything, sample), alone=False)
        else:
            archive = registry.chosen(archiver.databases, school, year, resolve.one_to_restore)
            _reverify(archiver, [archive], alone=True)


def _ask_for_tarball(
    call: Call, school: str, year: int | None, without_month: frozenset[MonthName] | None, tarball: str
) -> dict[str, str | bool]:
    """Show what goes and have the tarball's name typed, on the operator's machine, before anything is asked of another.

    Without a terminal the name is an option, and what goes is shown all the same.
    """
    with databases_of(call.environment, f"archive.drop-archive {school}") as databases:
        archive = registry.chosen(databases, school, year, resolve.one_to_drop)
        noun = databases.model.tenant.noun
        months = archive.kind.goes_with(databases.master, noun, archive.record, [*map(str, without_month or ())])
    for line in archives.dropped_with(noun, archive, months):
        say(line)
    typed = tarball or _asked(noun, archive, months)
    refuse_unless_named(archive.record, typed)
    return {"year": str(archive.record.year), "tarball": typed}


@task(
    "archive.drop-archive",
    *(ARCHIVE, YEAR_OF_SEVERAL, LEFT, TARBALL, *ACTS),
    example="13",
    runs_on=Role.DEBUG,
    before=_ask_for_tarball,
)
def drop_archive(
    environment: Environment, school: str, year: int, without_month: frozenset[MonthName] | None, tarball: str
) -> None:
    """Delete an archive for good, with its rows in that year's months, once its name is typed. The log stays."""
    with open_archiver(environment, f"archive.drop-archive {school}") as archiver:
        archive = registry.chosen(archiver.databases, school, year, resolve.one_to_drop)
        refuse_unless_named(archive.record, tarball)
        with archiver.databases.exclusive_lock():
            dropped = archive.kind.drop(archiver, archive.record, [*map(str, without_month or ())])
    for line in archives.dropped_lines(archiver.model.tenant.noun, archive, dropped.months):
        say(line)
    if dropped.versions_stay:
        say(f"Versions of objects stay in the store, or may: {dropped.versions_stay}")
    if dropped.unreferenced:
        say("Other objects with rows of it stay in the store, which no record names; delete them there:")
        show(f"  {stored.location}" for stored in dropped.unreferenced)
    if dropped.months_left:
        left = many(dropped.months_left, "archive")
        say(f"Its rows in {left} of past months are retained: inv activity.list shows them.")


@contextmanager
def _opened(
    environment: Environment, act: str, asked: Mapping[str, str], school: str, year: int | None, identity: str
) -> Iterator[Archive]:
    """Yield a school's archive, once the log has an entry of this act; of the databases only master is used."""
    keys = encryption.keys(environment.store.recipients, identity)
    with databases_of(environment, f"archive.{act} {school}") as databases:
        chosen = registry.chosen(databases, school, year, resolve.one_to_restore)
        inspect.refuse_several(chosen)
        record = chosen.record
        details = {name: value for name, value in asked.items() if value}
        bucket = Bucket(environment.store)
        with head_stored(bucket, databases.master):
            audit_log.log_reading(databases.master, act, [record], {**details, "sha256": record.sha256})
    with inspect.fetched(bucket, record, keys, spool_folder()) as archive:
        yield archive


def _asked(noun: str, archive: ArchiveOfKind, months: DroppedMonths) -> str:
    """Return the tarball's name as the operator types it; empty if there is no terminal."""
    console = Console(clock=SystemClock())
    if not console.interactive:
        return ""
    record, name = archive.record, layout.file_name(archive.record.location)
    rows = record.rows or sum(each.deleted_rows for each in months.slices)
    contents = f"{rows:,} rows of {archive.label(noun)} ({record.state.value})"
    console.warn(f"{name} holds {contents}: once it is dropped, they cannot be restored from it.")
    return console.typed(f"  Type the tarball's name ({name}) to drop it: ")


def _reverify(archiver: Archiver, archives: Sequence[ArchiveOfKind], *, alone: bool) -> None:
    words = reverify_words(archiver.model.tenant.noun)
    results = Results(words, len(archives), items=archives, alone=alone)
    results.settle(reverify(archiver, archives, results.show))


tasks = (cat, query, verify, drop_archive)
