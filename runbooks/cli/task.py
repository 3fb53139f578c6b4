"""The declaration of a task: its options, the host it runs on, its help, and its exit codes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit

from errors import UsageError
from inventory.model import Role
from inventory.scope import Scope
from runbooks.cli.call import Call, Texts, apart_from_nights
from runbooks.cli.due_work import refuse_overdue, show_due_work
from runbooks.cli.environment import Addresses
from runbooks.cli.leave import leave
from runbooks.cli.options import HERE, SCOPE, Option
from runbooks.cli.own_task import CommandWord, OwnTask, own_task
from runbooks.engine.live.keyboard import any_text_is_written


class DeclaredTask(OwnTask):
    """A task with all that its declaration says."""

    options: tuple[Option, ...]
    runs_on: Role | None
    example: str  # a command line that works, in the help and in docs/tasks.md


def task(
    name: str,
    *options: Option,
    example: str = "",
    runs_on: Role | None = None,
    before: Callable[..., Texts | None] | None = None,
    anywhere: Callable[..., bool] | None = None,
    addresses: Addresses = Addresses.NEEDED,
    scope: Callable[..., Scope] = apart_from_nights,
) -> Callable[[Callable[..., None]], Any]:
    """Declare a task of that full name, such as archive.school, with Invoke.

    The body's parameters name the options, whose parsed values it is called with; `environment` and `call` are passed
    to a body that names them. `example` is what follows the name in an example of its use.

    A task that `runs_on` a role's host is sent there with all its options, unless it is started there or with --here.
    `before` runs first, wherever the task is started, and returns texts of options to change: what must be checked, or
    is only there, on the operator's machine. `anywhere` returns True if this call only reads, which any machine does.
    `scope` returns this host's scope of the call, which is sent along; a host with another scope refuses the call.
    """
    declared = _Declared(
        name=name,
        options=(*options, HERE, SCOPE) if runs_on else options,
        example=example,
        runs_on=runs_on,
        before=before,
        anywhere=anywhere,
        addresses=addresses,
        scope=scope,
    )
    return declared.made


@dataclass(frozen=True, kw_only=True)
class _Declared:
    """All that is said of a task beside its body; see `task`."""

    name: str
    options: tuple[Option, ...]
    example: str
    runs_on: Role | None
    before: Callable[..., Texts | None] | None
    anywhere: Callable[..., bool] | None
    addresses: Addresses
    scope: Callable[..., Scope]

    def made(self, body: Callable[..., None]) -> DeclaredTask:
        """Return Invoke's task with that body."""

        def run(context: Context, **given: str | bool) -> None:
            any_text_is_written()
            try:
                self._run(context, given, body)
            except Exit:
                raise
            except BaseException as error:
                leave(error)

        text = _help_text(self.name, body.__doc__ or "", self.options, self.example)
        words = [_word_of(option) for option in self.options]
        made = own_task(DeclaredTask, self.name, body.__module__, text, words, run)
        made.options, made.runs_on = self.options, self.runs_on
        made.example = f"inv {self.name} {self.example}".strip()
        return made

    def _run(self, context: Context, given: Texts, body: Callable[..., None]) -> None:
        texts = {option.name: given.get(option.name, option.default) for option in self.options}
        _refuse_half_measures(context)
        call = Call(task=self.name, options=self.options, texts=texts, addresses=self.addresses, scope=self.scope)
        call.refuse_bad_values()
        if self.before:
            call = call.changed(call.pass_to(self.before) or {})
        call.refuse_other_scope()
        _show_due_work(call)
        self._perform(call, body)

    def _perform(self, call: Call, body: Callable[..., None]) -> None:
        """Run the body here, or the task on the debug host."""
        if self.anywhere and call.only_reading().pass_to(self.anywhere):
            call = call.only_reading()
            call.pass_to(body)
        elif self.runs_on and call.elsewhere:
            _forward(call)
        else:
            call.pass_to(body)
        _refuse_overdue(call)


def _forward(call: Call) -> None:
    """Run the task on the debug host; raise Exit with its exit code unless it is done."""
    if code := call.forward():
        raise Exit(code=code)


def _show_due_work(call: Call) -> None:
    if call.by_a_person:
        show_due_work(call.environment, ask_store=not call.offline)


def _refuse_overdue(call: Call) -> None:
    """Raise OverdueError if a task that is done leaves deferred work of a night overdue."""
    if call.by_a_person:
        refuse_overdue(call.environment, ask_store=not call.offline)


def _word_of(option: Option) -> CommandWord:
    return CommandWord(
        name=option.name,
        help=option.text,
        default=option.default,
        positional=option.positional,
        instead=option.instead,
    )


def _help_text(name: str, text: str, options: Sequence[Option], example: str) -> str:
    """Return a task's documentation: its sentence first, which `inv --list` shows, then how it is typed."""
    words = [_shown(option) for option in options if option.positional]
    words += [f"{option.label}=…" for option in options if option.required and not option.positional]
    usage = " ".join(["Usage:  ", "inv", name, *words, "[--options]"])
    lines = [inspect.cleandoc(text), "", usage, f"Example: inv {name} {example}".rstrip()]
    return "\n".join(lines)


def _shown(option: Option) -> str:
    return f"({option.key.upper()} | --{option.instead})" if option.instead else option.key.upper()


def _refuse_half_measures(context: Context) -> None:
    run = context.config.run
    if run.dry:
        hint = "Where a dry run is possible the task has an option of its own: --dry-run or --pretend."
        raise UsageError("inv --dry (or run.dry) would stop only some of the acts of this tool.", hint=hint)
    if run.warn:
        hint = "Take it out of the flags, INVOKE_RUN_WARN and invoke.yaml."
        raise UsageError("inv --warn-only (or run.warn) would let a failure pass for success.", hint=hint)
