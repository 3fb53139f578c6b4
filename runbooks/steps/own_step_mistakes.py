"""Mistakes in a team's own steps of the inventory: all at once, each with its path."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from inventory.model import Host, Role
from inventory.own_step import OwnStep
from runbooks.steps.context import NightContext, unknown_placeholders

NAME = re.compile(r"[a-z][a-z0-9-]*")
Keys = Sequence[str]  # of the steps of a checklist, in its order


@dataclass(frozen=True)
class OwnStepCheck:
    """One own step, and what it is compared with."""

    own: OwnStep
    night: NightContext
    checklists: Mapping[str, Keys]
    debts: Container[str]  # what the checklists' own steps switch off

    @property
    def mistakes(self) -> tuple[str, ...]:
        """Every mistake of the step, with its path."""
        parts: tuple[Callable[[], Iterable[str]], ...] = (
            self._words,
            self._place,
            self._nights,
            self._hosts,
            self._placeholders,
            self._owed,
            self._paid,
        )
        return tuple(f"own_steps/{self.own.name}{mistake}" for part in parts for mistake in part())

    @property
    def hosts(self) -> tuple[Host, ...]:
        """The hosts of the step that the inventory has."""
        environment = self.night.environment
        named = [environment.hosts[name] for name in self.own.hosts if name in environment.hosts]
        return (*named, *(host for host in environment.hosts.values() if self.own.role in _values(host.roles)))

    def _words(self) -> Iterator[str]:
        own = self.own
        if not NAME.fullmatch(own.name):
            yield f": expected a name of lower-case letters, digits and hyphens, got {own.name!r}"
        if not own.title.strip():
            yield "/title: expected a title, got an empty one"
        if not (own.command or own.instructions.strip()):
            yield ": expected command or instructions, got neither"
        if not own.probe:
            yield "/probe: expected a read-only command that proves the step, got nothing"
        expect = own.expect or ""
        if not expect or expect != expect.strip() or "\n" in expect:
            yield f"/expect: expected the word that the probe prints once the step is done, got {expect or 'nothing'}"

    def _place(self) -> Iterator[str]:
        own, step_keys = self.own, {key for keys in self.checklists.values() for key in keys}
        if bool(own.before) == bool(own.after):
            yield f": expected before or after, got {'both' if own.before else 'neither'}"
        for side, key in (("before", own.before), ("after", own.after)):
            if key and key not in step_keys:
                yield f"/{side}: expected one of {', '.join(sorted(step_keys))}, got {key!r}"

    def _nights(self) -> Iterator[str]:
        for number, day in enumerate(self.own.nights, start=1):
            if day not in self.night.environment.nights:
                yield f"/nights/{number}: expected a night of this inventory, got {day}"

    def _hosts(self) -> Iterator[str]:
        own, environment = self.own, self.night.environment
        if bool(own.hosts) == bool(own.role):
            yield f": expected hosts or role, got {'both' if own.role else 'neither'}"
        if own.role and own.role not in _values(Role):
            yield f"/role: expected one of {', '.join(_values(Role))}, got {own.role!r}"
        for number, name in enumerate(own.hosts, start=1):
            if name not in environment.hosts:
                yield f"/hosts/{number}: expected one of {', '.join(environment.hosts)}, got {name!r}"
            elif name in own.hosts[: number - 1]:
                yield f"/hosts/{number}: expected each host once, got {name!r} again"

    def _placeholders(self) -> Iterator[str]:
        for part in ("command", "instructions", "probe"):
            yield from unknown_placeholders(self.night, f"/{part}", getattr(self.own, part) or "", self.hosts)

    def _owed(self) -> Iterator[str]:
        """Yield what this step switches off and no later own step on the same hosts, of the same nights, pays."""
        own, every = self.own, self.night.environment.own_steps.values()
        if own.owes in self.debts:
            yield f"/owes: expected another word than that of a step of the checklist, got {own.owes!r}"
        elif own.owes:
            payers = [other for other in every if other.pays == own.owes and self._covers(other)]
            for checklist in self._without(payers):
                expected = f"a later own step that pays {own.owes!r} on the same hosts and nights"
                yield f"/owes: expected {expected}, by the checklist of {checklist}; got none"

    def _covers(self, payer: OwnStep) -> bool:
        hosts = {host.name for host in self.hosts}
        paid = {host.name for host in OwnStepCheck(payer, self.night, self.checklists, self.debts).hosts}
        nights = not payer.nights or bool(self.own.nights and {*self.own.nights} <= {*payer.nights})
        return hosts <= paid and nights

    def _without(self, payers: Iterable[OwnStep]) -> Iterator[str]:
        """Yield each checklist that has this step, and none of the payers after it."""
        for checklist, keys in self.checklists.items():
            order = _in_order(self.night.environment.own_steps.values(), keys)
            if self.own in order and not any(payer in order[order.index(self.own) :] for payer in payers):
                yield checklist

    def _paid(self) -> Iterator[str]:
        own = self.own
        owed = {other.owes for other in self.night.environment.own_steps.values() if other.name != own.name}
        if own.pays and own.pays not in owed:
            yield f"/pays: expected what another own step owes, got {own.pays!r}"


def own_step_mistakes(night: NightContext, checklists: Mapping[str, Keys], debts: Container[str]) -> Iterator[str]:
    """Yield every mistake of the inventory's own steps, of all nights; `debts` are those of the checklists' steps."""
    for own in night.environment.own_steps.values():
        yield from OwnStepCheck(own, night, checklists, debts).mistakes


def _in_order(own_steps: Iterable[OwnStep], keys: Keys) -> list[OwnStep]:
    """Return the own steps of a checklist in their order in it."""
    every = list(own_steps)
    sides = [[own for own in every if getattr(own, side) == key] for key in keys for side in ("before", "after")]
    return [own for side in sides for own in side]


def _values(roles: Iterable[Role]) -> list[str]:
    return [role.value for role in roles]
