"""The context that steps are made from: an environment on the date of a night. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import TypeVar

from errors import UsageError
from inventory.load import load_catalog
from inventory.model import App, Database, Environment, Handover, Host, Night, Probes, Role, Warehouse
from inventory.own_step import OwnStep
from inventory.parse import unknown_key
from inventory.scope import Scope, scope_of
from runbooks.engine.model.actions import SOON, Action, Command, DetachedJob, Look, RemoteCommand
from runbooks.engine.model.step import Check, Debt, HostTask, Mark, Step

Setting = TypeVar("Setting")
PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")
BUILT_HERE = ("archiving.run", "feeds.truncate")  # steps whose command is this tool itself
WAREHOUSE = "{warehouse}"
PER_WAREHOUSE = ("warehouse.stop-etl",)  # steps whose command runs once for each warehouse


@dataclass(frozen=True, kw_only=True)
class NightContext:
    """An environment on the date of a night."""

    environment: Environment
    date: date

    @property
    def night(self) -> Night:
        """The inventory's entry for this night."""
        return self.environment.night(self.date)

    @cached_property
    def scope(self) -> Scope:
        """The scope of this night as this host has it: what is deleted, by which catalog and version."""
        return scope_of(self.environment, self.night)

    @property
    def noun(self) -> str:
        """The catalog's word for a tenant."""
        return load_catalog(self.environment.catalog).tenant.noun

    def meaning_of(self, depth: str) -> str:
        """Return the part of a school that a depth deletes, in the catalog's words; UsageError for an unknown depth."""
        return load_catalog(self.environment.catalog).rule(depth).sentence

    @property
    def year(self) -> int:
        """The school year that is archived, named by the year it began."""
        return self.environment.school_year(self.date)

    @property
    def years(self) -> str:
        """The school year as people write it: 2012-2013."""
        return f"{self.year}-{self.year + 1}"

    @property
    def warehouses(self) -> tuple[Host, ...]:
        """The hosts of both warehouses."""
        return self.environment.with_role(Role.WAREHOUSE)

    @property
    def old_warehouse(self) -> Host:
        """The host of the warehouse that is replaced."""
        return self.environment.hosts[self.warehouse.old]

    @property
    def new_warehouse(self) -> Host:
        """The host of the warehouse that replaces it."""
        return self.environment.hosts[self.warehouse.new]

    @property
    def app(self) -> App:
        """The product's address; UsageError if the inventory has none."""
        return self._needed("app", self.environment.app)

    @property
    def warehouse(self) -> Warehouse:
        """The two warehouses and the names that move; UsageError if the inventory has none."""
        return self._needed("warehouse", self.environment.warehouse)

    @property
    def probes(self) -> Probes:
        """The read-only commands that prove steps; UsageError if the inventory has none."""
        return self._needed("probes", self.environment.probes)

    @property
    def handover(self) -> Handover:
        """The settings that the 2013 checklist needs; UsageError if the inventory has none."""
        return self._needed("handover", self.environment.handover, "the 2013 checklist")

    def _needed(self, key: str, value: Setting | None, by: str = "a night") -> Setting:
        if value is None:
            hint = "inventory/example.yaml explains it."
            raise UsageError(f"{self.environment.name}: no {key} in the inventory, which {by} needs.", hint=hint)
        return value

    @property
    def own_steps(self) -> tuple[OwnStep, ...]:
        """The team's own steps for this night, in the inventory's order."""
        return tuple(own for own in self.environment.own_steps.values() if not own.nights or self.date in own.nights)

    @property
    def database_hosts(self) -> tuple[Host, ...]:
        """The servers of the product's databases."""
        return self.environment.with_role(Role.DATABASE)

    def task(
        self,
        key: str,
        host: Host,
        *,
        checks: tuple[Check, ...],
        lasts: timedelta = SOON,
        action: Action | None = None,
        needs: tuple[Check, ...] = (),
        before: Look | None = None,
        owes: Debt | None = None,
        pays: Debt | None = None,
    ) -> HostTask:
        """Return a step's task on a host: the inventory's command or instructions, and what proves it.

        `lasts` is how long the command may take; one that may take longer than a minute runs detached.
        """
        template, instructions = self._written(key)
        if template is not None and action is None:
            action = command(host, self._command(key, template, host), lasts)
        instructions = self._instructions(instructions, host)
        return HostTask(
            host=host.name,
            checks=checks,
            action=action,
            instructions=instructions,
            needs=needs,
            before=before,
            owes=owes,
            pays=pays,
        )

    def _written(self, key: str) -> tuple[str | None, str]:
        """Return the inventory's command and instructions for a step."""
        if own := next((own for own in self.own_steps if own.key == key), None):
            return own.command, own.instructions
        return self.environment.commands.get(key), self.environment.instructions.get(key, "")

    def _command(self, key: str, template: str, host: Host) -> str:
        """Return the command that is run; one for each warehouse is run for all, whichever of them fails."""
        text = self.filled(template, host)
        if key not in PER_WAREHOUSE:
            return text
        return "; ".join(text.replace(WAREHOUSE, shlex.quote(warehouse.name)) for warehouse in self.warehouses)

    def filled(self, template: str, host: Host) -> str:
        """Return a command of the inventory for a host: what stands in braces is replaced, quoted."""
        return self._filled(template, host, shlex.quote)

    def _instructions(self, text: str, host: Host) -> str:
        """Return what a person reads; in lines that are typed on a host, values are quoted as in any command."""
        lines = text.splitlines(keepends=True)
        return "".join(self._filled(line, host, shlex.quote if line.startswith("$ ") else str) for line in lines)

    def _filled(self, text: str, host: Host, quote: Callable[[str], str]) -> str:
        values = self.placeholders(host)
        return PLACEHOLDER.sub(lambda match: quote(values[match[1]]) if match[1] in values else match[0], text)

    def placeholders(self, host: Host) -> Mapping[str, str]:
        """Return what may stand in braces in a command or an instruction for this host."""
        general = {"date": self.date.isoformat(), "year": str(self.year), "years": self.years, "host": host.name}
        return general | (_of_database(self.environment.database_on(host)) if Role.DATABASE in host.roles else {})


@dataclass(frozen=True)
class Build:
    """A function that makes a step for a night, with the step's key in journals, inventories and `inv`."""

    key: str
    make: Callable[[NightContext, str], Step]
    applies: Callable[[NightContext], bool]  # False: the inventory leaves it out

    def __call__(self, night: NightContext) -> Step:
        """Return the step, under its key."""
        return self.make(night, self.key)

    @property
    def summary(self) -> str:
        """A sentence that says what the step does."""
        return (self.make.__doc__ or "").strip()


def always(night: NightContext) -> bool:
    """Return True: every night has the step."""
    return True


def builds(
    key: str, *, applies: Callable[[NightContext], bool] = always
) -> Callable[[Callable[[NightContext, str], Step]], Build]:
    """Decorate the function that makes a step with the step's key, which is written nowhere else."""
    return lambda make: Build(key, make, applies)


def command(host: Host, text: str, lasts: timedelta) -> Command:
    """Return the action that runs a command on a host, detached if it may take long."""
    if lasts > SOON:
        return DetachedJob(host=host.name, command=text, timeout=lasts)
    return RemoteCommand(host=host.name, command=text)


def inventory_mistakes(night: NightContext, steps: Iterable[Step], others: Collection[str]) -> Iterator[str]:
    """Yield what is missing or superfluous in the inventory's commands and instructions, each with its path.

    `others` are the keys of steps that other checklists have.
    """
    own = {step.key: step for step in steps}
    environment = night.environment
    for part, texts in (("commands", environment.commands), ("instructions", environment.instructions)):
        for key, text in texts.items():
            if key not in own and key not in others:
                yield f"{part}/{key}: {unknown_key(key, {*own, *others})}"
            elif key in BUILT_HERE:
                yield f"{part}/{key}: expected nothing, because this tool builds that command itself"
            elif key in own:
                per_warehouse = part == "commands" and key in PER_WAREHOUSE
                hosts = [environment.hosts[task.host] for task in own[key].tasks]
                yield from unknown_placeholders(
                    night, f"{part}/{key}", text.replace(WAREHOUSE, "") if per_warehouse else text, hosts
                )
                if per_warehouse and WAREHOUSE not in text:
                    why = "on a later night of the year the ETL runs on the new warehouse"
                    yield f"{part}/{key}: expected {WAREHOUSE}, because {why}, got {text}"
    for step in own.values():
        if step.mark is Mark.AUTOMATE and not step.automatic:
            yield f"commands/{step.key}: expected the command of a step marked AUTOMATE, got nothing"
        if not step.automatic and step.mark is Mark.MANUAL and step.key not in environment.instructions:
            yield f"instructions/{step.key}: expected what a person does, got nothing"


def unknown_placeholders(night: NightContext, path: str, text: str, hosts: Iterable[Host]) -> Iterator[str]:
    """Yield each word in braces that has no value for one of the hosts, with its path."""
    for name in sorted(set(PLACEHOLDER.findall(text))):
        for host in hosts:
            values = night.placeholders(host)
            if name not in values:
                why = "; its database's connection says no dbname" if name == "dbname" else ""
                yield f"{path}: expected one of {_braced(values)} for {host.name}, got {{{name}}}{why}"


def _of_database(database: Database) -> dict[str, str]:
    # A service file or a config var may name the database too, but can't be read here and now.
    name = None if database.config_var else database.connection.get("dbname")
    return {"database": database.name} | ({"dbname": name} if name else {})


def _braced(names: Iterable[str]) -> str:
    return " ".join(f"{{{name}}}" for name in names)
