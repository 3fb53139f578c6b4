"""Options of tasks: each with its name, help, default and parser; what several tasks share stands here once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from archiver.records.cutoff import parse_month
from inventory.catalog import DEFAULT_DEPTH
from inventory.scope import parse_scope
from runbooks.cli.parse import (
    count,
    each_once,
    one_of,
    parse_date,
    parse_identity,
    parse_key,
    parse_size,
    parse_year,
)

PROCESSES, CELERY = "processes", "celery"


@dataclass(frozen=True, kw_only=True)
class Option:
    """An option of a task, or a positional word."""

    name: str  # as in Python: only_classroom
    help: str
    parse: Callable[[str, str], Any] | None = None  # takes the text and the label, raises UsageError
    default: str | bool = ""
    unset: str = ""  # the meaning of an option that is not given, for the help: today
    required: bool = False
    positional: bool = False
    instead: str = ""  # of a positional word: the option that can stand in for it
    reads: bool = False  # if given, the task changes nothing, and production needs no further word
    offline: bool = False  # if given, the task needs no database

    def but(self, **changes: Any) -> Option:
        """Return the same option with other help, default …"""
        return replace(self, **changes)

    @property
    def key(self) -> str:
        """The name without the underscore that keeps it apart from a word of Python: from, all."""
        return self.name.strip("_")

    @property
    def label(self) -> str:
        """The option as it is typed: --only-classroom; of a positional word its name."""
        return self.key if self.positional else f"--{self.key.replace('_', '-')}"

    @property
    def text(self) -> str:
        """The help of the option, with what is required and what is the default."""
        default = self.unset or (self.default if isinstance(self.default, str) else "")
        kind = ", ".join(["positional"] * self.positional + ["required"] * self.required)
        return (f"{kind}: " if kind else "") + self.help + (f" (default: {default})" if default else "")

    def value(self, given: str | bool) -> Any:
        """Return the parsed value; None for an option with a parser that is not given. Raises UsageError."""
        if self.parse is None or isinstance(given, bool):
            return given
        return self.parse(given, self.label) if given or self.required or self.default else None


ENV = Option(name="env", help="the environment, a file of inventory/", unset="CUTOVER_ENV, else rehearsal")
YES_PRODUCTION = Option(name="yes_production", help="required for production", default=False)
HERE = Option(name="here", help="run on this machine, not on the debug host", default=False)
SCOPE = Option(
    name="scope",
    help="the scope of the machine that sends this task, as inv archive.scope prints it: another one here is refused",
    parse=parse_scope,
    unset="this host's own",
)
READS = (ENV,)  # a task that changes nothing
ACTS = (ENV, YES_PRODUCTION)

SCHOOL = Option(name="school", help="the school's id", parse=parse_key, positional=True, required=True)
SCHOOL_OR_ALL = SCHOOL.but(instead="all", required=False)
ARCHIVE = SCHOOL.but(help="the school's id; of any other archive its location, s3://…")
ARCHIVE_OR_ALL = ARCHIVE.but(instead="all", required=False)
CUSTOMER = Option(name="customer", help="the customer's id", parse=parse_key, positional=True, required=True)
NIGHT = Option(name="date", help="the night, YYYY-MM-DD", parse=parse_date, required=True)
YEAR = Option(name="year", help="only this school year, such as 2013", parse=parse_year)
YEAR_OF_SEVERAL = YEAR.but(help="the school year of the archive, where there are several")
WITHOUT_MONTH = Option(
    name="without_month",
    help="months to leave archived, such as 2014-09, because their object is lost; all else comes back",
    parse=each_once(parse_month, "2014-07,2014-09"),
    unset="none",
)
DEPTH = Option(
    name="depth",
    help="how much is deleted, by a name of the catalog's depths; inv archive.check-catalog lists them",
    default=DEFAULT_DEPTH,
)
PRETEND = Option(name="pretend", help="archive up to the verification; store, delete and record nothing", default=False)
ACCEPT_ORPHANS = Option(
    name="accept_orphans",
    help="delete rows, too, that refer to rows that are not there; their foreign keys would not take them back",
    default=False,
)
PRETEND_RESTORE = PRETEND.but(help="fetch and verify, show what would be loaded; load nothing")
DRY_RUN = Option(name="dry_run", help="only show what would be done", default=False, reads=True)
IDENTITY = Option(  # a file: the identity itself goes over no link and onto no command line
    name="identity",
    help="a file on the debug host that holds the age identity",
    parse=parse_identity,
    unset="CUTOVER_IDENTITY there",
)
WORKERS = (
    Option(
        name="engine",
        help="processes of one machine, or celery: workers started by inv archive.worker anywhere",
        parse=one_of((PROCESSES, CELERY)),
        unset=PROCESSES,
    ),
    Option(name="workers", help="how many prepare archives", parse=count(4), unset="one for each core"),
    Option(name="memory", help="the most that each of them may take, such as 512MiB", parse=parse_size, unset="1GiB"),
)
JSON = Option(name="json", help="one line of JSON", default=False)
JSON_LINES = JSON.but(help="one JSON object a line")
CONFIRM = Option(name="confirm", help="the environment's name, where no terminal can ask for it")
