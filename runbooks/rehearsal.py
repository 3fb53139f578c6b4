"""A production in miniature on this machine: the tasks under `inv rehearsal.…`."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from invoke.collection import Collection
from invoke.exceptions import Exit

from errors import CutoverError, UsageError
from formatting import clock_span
from inventory.load import load
from inventory.model import Environment
from rehearsal import lab
from rehearsal.endpoints import Endpoints
from rehearsal.layout import chosen_home
from rehearsal.status import Status
from runbooks import cutover
from runbooks.cli.environment import load_environment
from runbooks.cli.options import JSON, Option
from runbooks.cli.parse import parse_date
from runbooks.cli.tables import TextTable, show
from runbooks.cli.task import task
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import say
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.model.actions import RemoteCommand
from runbooks.night import files

ENVIRONMENT = "rehearsal"
MOST_SCHOOLS = 100_000
LONGEST = timedelta(hours=1)


def parse_schools(text: str, label: str = "--schools") -> int:
    """Return a number of schools that a lab can hold; UsageError for anything else."""
    if not (text.isascii() and text.isdigit() and lab.FEWEST_SCHOOLS <= int(text[:9]) <= MOST_SCHOOLS):
        expected = f"a whole number from {lab.FEWEST_SCHOOLS} to {MOST_SCHOOLS:,}"
        raise UsageError(f"{label}: expected {expected}, got {text or 'nothing'}.")
    return int(text)


SCHOOLS = Option(
    name="schools",
    help="how many schools the databases hold",
    parse=parse_schools,
    default=str(lab.DEFAULT_SCHOOLS),
)
ENDPOINTS = JSON.but(help="every endpoint, for a script: DSNs, SSH hosts, S3, DNS, the app")
HOST = Option(name="host", help="the host's name in inventory/rehearsal.yaml", required=True)
COMMAND = Option(name="command", help="what is typed there", required=True)
DATE = Option(
    name="date",
    help="the night, YYYY-MM-DD",
    parse=parse_date,
    unset="each of the inventory's in the checklist's year",
)
KEEP = Option(name="keep", help="leave the lab running in the end, also when the night fails", default=False)


@task("rehearsal.up", SCHOOLS)
def up(schools: int) -> None:
    """Start the lab: five databases with standbys, S3, SSH, DNS and the app. Safe to run again."""
    endpoints = bring_up(chosen_home(), schools)
    say(f"The rehearsal is up in {endpoints.home}: {len(endpoints.hosts)} hosts, {len(endpoints.databases)} databases.")


@task("rehearsal.status", ENDPOINTS)
def status(json: bool) -> None:
    """Show the parts of the lab, and their addresses. Fails if a part that should run does not."""
    home = chosen_home()
    if json:
        sys.stdout.write(f"{lab.known_endpoints(home).to_json()}\n")
        return
    state = lab.look(home)
    show(parts_of(state))
    if not state.healthy:
        raise CutoverError("The rehearsal is not up, or not complete.", hint="inv rehearsal.up")


@task("rehearsal.down")
def down() -> None:
    """End every process of the lab and remove its folder, also after a crash. Safe to run again."""
    home = chosen_home()
    lab.down(home)
    say(f"The rehearsal in {home} is down, and nothing of it is left.")


@task("rehearsal.shell", HOST, COMMAND, example='--host=control --command="system-watcher status"')
def shell(host: str, command: str) -> None:
    """Run one command on a host of the lab, as a person would; its exit code is passed on."""
    environment = load(ENVIRONMENT)
    if host not in environment.hosts:
        raise UsageError(f"--host: expected one of {', '.join(environment.hosts)}, got {host or 'nothing'}.")
    if not command.strip():
        raise UsageError("--command: expected a command, got nothing.", hint='--command="system-watcher status"')
    if not lab.look(chosen_home()).complete:
        raise UsageError(f"Reaching {host} failed: the rehearsal is not up.", hint="inv rehearsal.up")
    fleet = Fleet(environment.hosts, environment.ssh)
    try:
        output = fleet.run(RemoteCommand(host=host, command=command, timeout=LONGEST))
    finally:
        fleet.close()
    sys.stdout.write(output.text)
    sys.stderr.write(output.error)
    if output.code:
        raise Exit(code=output.code)


@task("rehearsal.run", DATE, cutover.CHECKLIST, SCHOOLS, KEEP)
def run(date: datetime.date | None, checklist: str, schools: int, keep: bool) -> None:
    """Run a year's nights for real, unattended: a fresh lab, every step by a simulated operator, the summaries."""
    environment, home = the_rehearsal(), chosen_home()
    days = (date,) if date else nights_of_a_year(environment, checklist)
    for day in days:
        cutover.plan_of(environment, day, checklist)
    files.refuse_if_at_work(environment)
    lab.down(home)
    bring_up(home, schools)
    try:
        for day in days:
            cutover.rehearse(load(ENVIRONMENT), day, checklist)
    finally:
        if not keep:
            lab.down(home)


def bring_up(home: Path, schools: int) -> Endpoints:
    """Start the lab, which takes a while, and show what it is doing."""
    clock = SystemClock()
    began = clock.now()
    return lab.up(home, schools=schools, on_progress=lambda line: say(f"  {clock_span(clock.now() - began)}  {line}"))


def nights_of_a_year(environment: Environment, checklist: str) -> tuple[datetime.date, ...]:
    """Return the inventory's nights of the first school year since a checklist's; UsageError if there is none."""
    cutover.builds_of(checklist)
    days = sorted(day for day in environment.nights if str(day.year) >= checklist)
    if not days:
        raise UsageError(f"{environment.name}: no night for the checklist of {checklist} in the inventory.")
    return tuple(day for day in days if environment.school_year(day) == environment.school_year(days[0]))


def the_rehearsal() -> Environment:
    """Return the rehearsal's environment; UsageError if CUTOVER_ENV names another."""
    environment = load_environment("")
    if environment.name != ENVIRONMENT:
        hint = "Take CUTOVER_ENV out of the environment."
        raise UsageError(f"This runs in the rehearsal only, and the environment is {environment.name}.", hint=hint)
    return environment


def parts_of(state: Status) -> Iterator[str | TextTable]:
    """Yield the parts of a lab, a row each."""
    if not state.parts:
        yield f"no rehearsal in {state.home}"
        return
    yield state.home
    yield TextTable(("part", "address", "state"), [(part.name, part.address, part.word) for part in state.parts])


namespace = Collection("rehearsal", up, status, down, shell, run)
