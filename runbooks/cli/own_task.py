"""A task as Invoke has it: made of a name, its help, its words, and what it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, TypeVar, cast

from invoke.context import Context
from invoke.exceptions import Exit
from invoke.parser.argument import Argument
from invoke.program import Program
from invoke.tasks import Task
from invoke.tasks import task as invoke_task

from errors import ExitCode

HELP_WORDS = ("--help", "-h")


@dataclass(frozen=True, kw_only=True)
class CommandWord:
    """An option or a positional word, as far as the command line is concerned."""

    name: str  # as in Python: only_classroom
    help: str
    default: str | bool
    positional: bool
    instead: str  # of a positional word: the option that can stand in for it


class OwnTask(Task[Callable[..., None]]):
    """A task equal only to itself: Invoke compares names and code, and would run only one of two alike."""

    __eq__ = object.__eq__
    __hash__ = object.__hash__
    full_name: str  # archive.school
    module: str  # that declares it
    words: Sequence[CommandWord]

    def __deepcopy__(self, memo: object) -> OwnTask:
        """Return the task itself: Invoke copies whole collections, and no copy would be equal to its task."""
        return self

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        """Return the options; Invoke takes the help out of the task when it reads it, so it is put back."""
        words = dict(self.help)
        try:
            arguments = super().get_arguments(ignore_unknown_help)
        finally:
            self.help = words
        by_name = {str(argument.name): argument for argument in arguments}
        for word in self.words:
            if word.instead:
                by_name[word.name] = _Replaceable(by_name[word.name], by_name[word.instead])
        return list(by_name.values())


class _Replaceable(Argument):
    """A positional word that another option can stand in for: a school, or `--all`."""

    def __init__(self, word: Argument, other: Argument) -> None:
        super().__init__(names=word.names, help=word.help, positional=True)
        self.other = other

    @property
    def value(self) -> Any:
        """The word; empty if the other option is given, None while one of the two is missing."""
        return "" if self._value is None and self.other.value else self._value

    @value.setter
    def value(self, word: str) -> None:
        self.set_value(word)


Made = TypeVar("Made", bound=OwnTask)


def own_task(
    kind: type[Made], full_name: str, module: str, text: str, words: Sequence[CommandWord], run: Callable[..., None]
) -> Made:
    """Return the task of that name, with its help, which calls `run` with the values of its words by their names."""

    def body(context: Context, **values: str | bool) -> None:
        # Invoke gives a required positional the next word, whatever it is: also --help.
        if any(values.get(word.name) in HELP_WORDS for word in words if word.positional):
            Program().run(["inv", "--help", full_name], exit=False)
            raise Exit(code=ExitCode.DONE)
        run(context, **values)

    name = full_name.split(".")[-1]
    body.__doc__, body.__name__ = text, name.replace("-", "_")
    body.__signature__ = _signature(words)  # type: ignore[attr-defined]
    made = cast(
        Made,
        invoke_task(
            klass=kind,
            name=name,
            positional=[word.name for word in words if word.positional],
            auto_shortflags=False,
            help={word.name.strip("_"): word.help for word in words},
        )(body),
    )
    made.full_name, made.module, made.words = full_name, module, tuple(words)
    return made


def _signature(words: Sequence[CommandWord]) -> inspect.Signature:
    """Return the signature that Invoke makes its command line from; a positional word has no default there."""
    parameters = [Parameter("context", Parameter.POSITIONAL_OR_KEYWORD)]
    for word in words:
        default = Parameter.empty if word.positional else word.default
        parameters.append(Parameter(word.name, Parameter.KEYWORD_ONLY, default=default))
    return inspect.Signature(parameters)
