"""The check that a host has the same scope as this machine, from the host's own files and databases."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

from formatting import first_few, many, plural
from inventory.figures import Figures
from inventory.keys import word_of_json
from inventory.model import Environment, Host, Role
from inventory.scope import inventory_digests, parse_scope
from runbooks.cli.self_command import tool_command
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import Unreadable, complaint, record
from runbooks.engine.model.step import Check, Verdict, fails, holds
from runbooks.steps.context import NightContext

PATIENCE = timedelta(minutes=15)  # to count by sequential scans
SCHOOLS = ("taken", "excluded", "schools", "problems", "figures")  # said by a host that asks the databases


def counted_on_debug(environment: Environment, day: date) -> Check:
    """Return the check that the debug host has our scope; its verdict has the night's figures."""
    night = NightContext(environment=environment, date=day)
    return same_scope(night, environment.only(Role.DEBUG), files=False)


def same_scope(night: NightContext, host: Host, *, files: bool) -> Check:
    """Return the check that the host's scope and inventory are ours; without `files`, it also counts the schools."""
    day = night.date.isoformat()
    command = tool_command(night.environment, "archive.scope", date=day, files=files, count=not files, json=True)
    look = RemoteCommand(host=host.name, command=command, timeout=PATIENCE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (output,) = outputs
        if output.code != 0:
            said = output.error.strip() or complaint(str(look), output)
            return fails("; ".join(line.strip() for line in said.splitlines()))
        seen = record(output, "scope", "inventory", *(() if files else SCHOOLS))
        if differences := _differences(night, seen):
            return fails(f"another scope than this machine's: {'; '.join(differences)}")
        if seen.get("problems"):
            return fails("; ".join(seen["problems"]))
        return holds(f"scope {night.scope.digest}") if files else _with_schools(night, seen)

    return Check(title="the scope is the same as here", looks=(look,), judge=judge)


def _differences(night: NightContext, seen: Mapping[str, Any]) -> list[str]:
    """Return what differs: fields of the scope, and keys of the inventory."""
    ours = inventory_digests(night.environment)
    keys = [key for key in ours if seen["inventory"].get(key) != ours[key]]
    inventory = [f"inventory: {', '.join(keys)}"] if keys else []
    return [*night.scope.differences(parse_scope(seen["scope"]), "there"), *inventory]


def _with_schools(night: NightContext, seen: Mapping[str, Any]) -> Verdict:
    noun, excluded = night.noun, [word_of_json(key) for key in seen["excluded"]]
    sentence = f"{many(seen['taken'], noun)} taken in, {many(len(excluded), noun)} excluded"
    named = f" ({first_few(excluded)})" if excluded else ""
    try:
        figures = Figures.from_json(seen["figures"])
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable(f"expected the night's figures, got {seen['figures']!r}") from error
    proof = f"scope {night.scope.digest}: {sentence}{named}; {plural(noun)} {seen['schools']}"
    return holds(proof, schools=seen["schools"], figures=figures)
