"""The edge of every task: words parsed, errors told in a sentence, exit codes as documented."""

from __future__ import annotations

import functools
import inspect
import logging
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from enum import Enum
from typing import Any, NoReturn

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from errors import CutoverError, ExitCode, UsageError
from inventory.load import load
from inventory.model import Environment
from inventory.parse import as_date, as_span
from platforms.heroku import with_databases
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.model.redactor import redactor_for

DEFAULT_ENVIRONMENT = "rehearsal"
ENV = "environment (inventory/*.yaml); rehearsal unless CUTOVER_ENV says otherwise"  # the option's help
UNITS = {"MiB": 1 << 20, "GiB": 1 << 30}
HELP_WORDS = ("--help", "-h")
LONGEST_ID = 18  # digits; what always fits PostgreSQL's bigint


class _OwnTask(Task[Callable[..., None]]):
    """A task equal only to itself: Invoke compares names and code, and would run only one of two alike."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__
    instead: Mapping[str, str] = {}  # a positional word, and the option that can stand in for it

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """The options; Invoke forgets their help once it was told."""
        words = dict(self.help)
        try:
            found = super().get_arguments(ignore_unknown_help)
        finally:
            self.help = words
        named = {str(argument.name): argument for argument in found}
        return [
            _Replaceable(argument, named[self.instead[name]]) if name in self.instead else argument
            for name, argument in named.items()
        ]


class _Replaceable(Argument):
    """A positional word that need not be there where another option is given: a school, or `--all`."""

    def __init__(self, word: Argument, other: Argument) -> None:
        super().__init__(names=word.names, help=word.help, positional=True)
        self.other = other

    @property
    def value(self) -> Any:
        """The word; empty where the other option is given, none where one of the two is still wanted."""
        return "" if self._value is None and self.other.value else self._value

    @value.setter
    def value(self, word: str) -> None:
        self.set_value(word)


def task(
    *args: Any,
    positional: Iterable[str] = (),
    instead: Mapping[str, str] | None = None,
    auto_shortflags: bool = False,
    help: Mapping[str, str] | None = None,  # noqa: A002 - Invoke's word
    **options: Any,
) -> Any:
    """Invoke's `@task` that takes options by their full names only, and ends with a documented exit code.

    `help` may be shared between tasks: each takes the words for its own options. `instead` names, for a positional
    word, the option that can stand in for it.
    """
    names = tuple(positional)

    def decorate(body: Callable[..., None]) -> Any:
        words = _help_of(body, help or {})
        make = invoke_task(
            klass=_OwnTask, positional=list(names), auto_shortflags=auto_shortflags, help=words, **options
        )
        made = make(_guarded(body, names))
        made.instead = instead or {}
        return made

    return decorate(args[0]) if args else decorate


def parse_date(text: str, option: str = "--date") -> date:
    """A day of the calendar written YYYY-MM-DD; UsageError for anything else."""
    day = as_date(text)
    if day is None:
        expected = _expected("a day written YYYY-MM-DD", text)
        raise UsageError(f"{option}: {expected}.", hint=f"Example: {option}=2014-08-15")
    return day


def parse_id(text: str, noun: str) -> int:
    """The id of a `noun`, or of an option, in ASCII digits; UsageError for anything but a positive whole number."""
    if not _positive(text):
        example = f"{noun}=13" if noun.startswith("--") else f"{noun} 13"
        raise UsageError(f"{noun}: {_expected('an id (a positive whole number)', text)}.", hint=f"Example: {example}")
    return int(text)


def parse_count(text: str, option: str, example: int) -> int:
    """A positive whole number in ASCII digits; UsageError for anything else."""
    if not _positive(text):
        raise UsageError(
            f"{option}: {_expected('a positive whole number', text)}.", hint=f"Example: {option}={example}"
        )
    return int(text)


def parse_year(text: str) -> int | None:
    """The school year of --year, none where it is left out; UsageError for anything but a number."""
    return parse_count(text, "--year", 2013) if text else None


def parse_size(text: str, option: str) -> int:
    """Bytes, written with a unit: 512MiB; UsageError for anything else."""
    for unit, factor in UNITS.items():
        number = text.removesuffix(unit)
        if number != text and number.isascii() and number.isdigit() and int(number):
            return int(number) * factor
    raise UsageError(f"{option}: {_expected('a size in MiB or GiB', text)}.", hint=f"Example: {option}=512MiB, or 2GiB")


def parse_span(text: str, option: str) -> timedelta:
    """A time span, written with a unit: 30m, 26h, 7d; UsageError for anything else."""
    span = as_span(text)
    if span is None:
        raise UsageError(f"{option}: {_expected('a time span', text)}.", hint=f"Example: {option}=26h, or 7d")
    return span


class Addresses(Enum):
    """What a task makes of the addresses of databases that a platform has to tell."""

    NEEDED = "needed"  # without them it does nothing
    WELCOME = "welcome"  # without them it goes on, and what asks a database can't tell
    UNASKED = "unasked"  # it asks no database


def load_environment(
    env: str, *, yes_production: bool = False, read_only: bool = False, addresses: Addresses = Addresses.NEEDED
) -> Environment:
    """The environment of that name; without one that of CUTOVER_ENV, else the rehearsal.

    Production is opened for acting only with the explicit word; what only reads sets `read_only`. Where a platform says
    where the databases are, it is asked now. Raises UsageError, and CutoverError where addresses are needed and the
    platform does not tell them.
    """
    environment = load(env or os.environ.get("CUTOVER_ENV") or DEFAULT_ENVIRONMENT)
    if environment.production and not (yes_production or read_only):
        hint = "If you mean it, add the explicit word: --yes-production"
        raise UsageError(f"{environment.name} is a production environment, and this would act on it.", hint=hint)
    return environment if addresses is Addresses.UNASKED else _addressed(environment, addresses)


def _addressed(environment: Environment, addresses: Addresses) -> Environment:
    try:
        return with_databases(environment, _wait_aloud)
    except CutoverError as error:
        if addresses is Addresses.NEEDED:
            raise
        sys.stderr.write(f"{error}\nGoing on all the same; what asks a database will not be able to tell.\n")
        return environment


def _wait_aloud(pause: timedelta, why: str) -> None:
    """Waits, and says so beside the task's own output, which may be somebody's input."""
    sys.stderr.write(f"{why}; trying again in {pause.total_seconds():.0f} s.\n")
    SystemClock().wait(pause)


def _help_of(body: Callable[..., None], words: Mapping[str, str]) -> dict[str, str]:
    options = {name.strip("_").replace("_", "-") for name in inspect.signature(body).parameters}
    return {name: text for name, text in words.items() if name in options}


def _positive(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= LONGEST_ID and int(text) > 0


def _expected(what: str, text: str) -> str:
    return f"expected {what}, got {text!r}" if text else f"expected {what}, got nothing"


def _guarded(body: Callable[..., None], positional: tuple[str, ...]) -> Callable[..., None]:
    @functools.wraps(body)
    def guarded(context: Context, *args: Any, **kwargs: Any) -> None:
        # Invoke gives a required positional the next word, whatever it is: also --help.
        if any(kwargs.get(name) in HELP_WORDS for name in positional):
            _show_help(body.__name__)
        try:
            _refuse_half_measures(context)
            body(context, *args, **kwargs)
        except Exit:
            raise
        except BaseException as error:
            _leave(error)

    return guarded


def _refuse_half_measures(context: Context) -> None:
    run = context.config.run
    if run.dry:
        hint = "Where a dry run is possible the task has an option of its own: --dry-run or --pretend."
        raise UsageError("inv --dry (or run.dry) would stop only some of the acts of this tool.", hint=hint)
    if run.warn:
        hint = "Take it out of the flags, INVOKE_RUN_WARN and invoke.yaml."
        raise UsageError("inv --warn-only (or run.warn) would let a failure pass for success.", hint=hint)


def _show_help(name: str) -> NoReturn:
    words = [word for word in sys.argv[1:] if word.replace("_", "-").split(".")[-1] == name.replace("_", "-")]
    Program().run(["inv", "--help", *words[:1]], exit=False)
    raise Exit(code=ExitCode.DONE)


def _leave(error: BaseException) -> NoReturn:
    """Ends the task the way the table of exit codes says."""
    clean = redactor_for().clean
    if _debugging():
        sys.stderr.write(clean("".join(traceback.format_exception(error))))
    if isinstance(error, CutoverError):
        raise Exit(clean("\n".join([str(error), *_hint(error.hint)])), code=error.exit_code) from None
    if isinstance(error, KeyboardInterrupt):
        raise Exit("Interrupted.", code=ExitCode.INTERRUPTED) from None
    if isinstance(error, BrokenPipeError):
        _let_stdout_go()
        raise Exit(code=ExitCode.FAILED) from None
    if not isinstance(error, Exception):
        raise error
    message = f"This should not have happened: {type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    hint = "Run it again with CUTOVER_DEBUG=1 to see where."
    raise Exit(clean("\n".join([message, *_hint(hint)])), code=ExitCode.FAILED) from None


def _hint(text: str) -> list[str]:
    return [f"hint: {text}"] if text else []


def _debugging() -> bool:
    # `inv --debug` and INVOKE_DEBUG leave no other trace than the level of the root logger.
    return bool(os.environ.get("CUTOVER_DEBUG")) or logging.getLogger().isEnabledFor(logging.DEBUG)


def _let_stdout_go() -> None:
    """Whoever read our output is gone: the interpreter's last flush must not complain about it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
