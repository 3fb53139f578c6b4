"""One call of a task: what was typed, what it means, and where it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from errors import UsageError
from inventory.model import Environment
from inventory.scope import Scope, scope_of
from runbooks.cli.debug_host import belongs_elsewhere, forward
from runbooks.cli.environment import Addresses, load_environment
from runbooks.cli.options import ENV, HERE, JSON, SCOPE, YES_PRODUCTION, Option

Texts = Mapping[str, str | bool]
NOT_FORWARDED = (ENV, HERE, YES_PRODUCTION, SCOPE)  # said anew for the other side


def apart_from_nights(environment: Environment) -> Scope:
    """Return the scope of a task that belongs to no night: this host's catalog and version."""
    return scope_of(environment)


@dataclass(frozen=True, kw_only=True)
class Call:
    """A task's name, its options, and what was typed for each."""

    task: str  # archive.school
    options: tuple[Option, ...]
    texts: Texts  # by an option's name, as typed
    addresses: Addresses = Addresses.NEEDED
    only_reads: bool = False
    scope: Callable[..., Scope] = apart_from_nights  # takes values as the body does

    @cached_property
    def values(self) -> dict[str, Any]:
        """The parsed values by the options' keys; UsageError for the first that is wrong."""
        for option in self.options:
            if option.instead and self.texts[option.name] and self.texts[option.instead]:
                raise UsageError(f"Name a {option.key}, or --{option.instead}; not both.")
        return {option.key: option.value(self.texts[option.name]) for option in self.options}

    def refuse_bad_values(self) -> None:
        """Parse every option before anything else happens; UsageError for the first that is wrong."""
        _ = self.values

    @cached_property
    def environment(self) -> Environment:
        """The environment, opened for acting where the task acts; the errors of `load_environment`."""
        given = [option for option in self.options if self.texts[option.name] is True]
        return load_environment(
            str(self.texts.get(ENV.name, "")),
            yes_production=YES_PRODUCTION in given,
            read_only=self.only_reads or YES_PRODUCTION not in self.options or any(option.reads for option in given),
            addresses=Addresses.UNASKED if self.offline else self.addresses,
        )

    @property
    def by_a_person(self) -> bool:
        """True if it works on an environment, and neither another machine nor a program that reads JSON started it."""
        asked = {option.name for option in self.options if self.texts[option.name]}
        return ENV in self.options and not asked & {HERE.name, SCOPE.name, JSON.name}

    @property
    def offline(self) -> bool:
        """True if it asks no database and no store."""
        return any(option.offline and self.texts[option.name] is True for option in self.options)

    @property
    def elsewhere(self) -> bool:
        """True if this machine is not the debug host, and the task is not asked to run on it all the same."""
        return belongs_elsewhere(self.environment, here=bool(self.texts.get(HERE.name)))

    def changed(self, changes: Texts) -> Call:
        """Return the same call with other texts."""
        return replace(self, texts={**self.texts, **changes})

    def only_reading(self) -> Call:
        """Return the same call for a task that only reads this time."""
        return replace(self, only_reads=True)

    def refuse_other_scope(self) -> None:
        """Raise RefusedError if the machine that sent this call has another scope than this host."""
        if sent := self.values.get(SCOPE.key):
            self.pass_to(self.scope).refuse_other(sent, self.task)

    def forward(self) -> int:
        """Run the task with all its options on the debug host, and return its exit code."""
        sent = [option for option in self.options if option.name not in {other.name for other in NOT_FORWARDED}]
        words = [str(self.texts[option.name]) for option in sent if option.positional and self.texts[option.name]]
        flags = {option.key: self.texts[option.name] for option in sent if not option.positional}
        scope: Scope = self.pass_to(self.scope)
        return forward(self.environment, self.task, *words, **flags, scope=scope.text)

    def pass_to(self, function: Callable[..., Any]) -> Any:
        """Call a function with the values that its parameters name; `environment` and `call` are values, too."""
        return function(**{name: self._argument(name) for name in parameters(function)})

    def _argument(self, name: str) -> Any:
        if name == "call":
            return self
        return self.environment if name == "environment" else self.values[name.strip("_")]


def parameters(function: Callable[..., Any]) -> Iterable[str]:
    """Return the names of a function's parameters."""
    return inspect.signature(function).parameters
