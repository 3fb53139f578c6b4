"""A production in miniature on this machine: the tasks under `inv rehearsal.…`."""

from __future__ import annotations

import datetime
import sys
from datetime import timedelta

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from errors import CutoverError, UsageError
from inventory.load import load
from inventory.model import Environment
from rehearsal import lab
from rehearsal.layout import chosen_home
from rehearsal.status import Status
from runbooks import cutover
from runbooks.cli.task import load_environment, parse_date, task
from runbooks.engine.live.console import say
from runbooks.engine.live.ssh import Fleet
from runbooks.engine.model.actions import RemoteCommand
from runbooks.night import files

ENVIRONMENT = "rehearsal"
MOST_SCHOOLS = 100_000
LONGEST = timedelta(hours=1)


@task(help={"schools": f"how many schools the databases hold; {lab.DEFAULT_SCHOOLS} if left out"})
def up(context: Context, schools: str = str(lab.DEFAULT_SCHOOLS)) -> None:
    """Start the lab: five databases with standbys, S3, SSH, DNS and the app. Harmless where it runs."""
    count = parse_schools(schools)
    endpoints = lab.up(chosen_home(), schools=count)
    say(f"The rehearsal is up in {endpoints.home}: {len(endpoints.hosts)} hosts, {len(endpoints.databases)} databases.")


@task(help={"json": "every endpoint, for a script: DSNs, SSH hosts, S3, DNS, the app"})
def status(context: Context, json: bool = False) -> None:
    """What of the lab runs, and where. Fails where something that should run does not."""
    home = chosen_home()
    if json:
        sys.stdout.write(f"{lab.known_endpoints(home).to_json()}\n")
        return
    found = lab.look(home)
    say(shown(found))
    if not found.healthy:
        raise CutoverError("The rehearsal is not up, or not whole.", hint="inv rehearsal.up")


@task
def down(context: Context) -> None:
    """End every process of the lab and remove its folder, also after a crash. Harmless where there is none."""
    home = chosen_home()
    lab.down(home)
    say(f"The rehearsal in {home} is down, and nothing of it is left.")


@task(help={"host": "the host's name in inventory/rehearsal.yaml", "command": "what is typed there"})
def shell(context: Context, host: str = "", command: str = "") -> None:
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
        said = fleet.run(RemoteCommand(host=host, command=command, timeout=LONGEST))
    finally:
        fleet.close()
    sys.stdout.write(said.text)
    sys.stderr.write(said.error)
    if said.code:
        raise Exit(code=said.code)


@task(
    help={
        "date": "the night, YYYY-MM-DD; the inventory's first one since the checklist's year if left out",
        "checklist": cutover.HELP["checklist"],
        "schools": f"how many schools the databases hold; {lab.DEFAULT_SCHOOLS} if left out",
        "keep": "leave the lab up in the end, also when the night fails",
    }
)
def run(
    context: Context,
    date: str = "",
    checklist: str = cutover.DEFAULT,
    schools: str = str(lab.DEFAULT_SCHOOLS),
    keep: bool = False,
) -> None:
    """The whole night, for real, unattended: a fresh lab, every step with a played person, the summary."""
    environment, home = the_rehearsal(), chosen_home()
    day = parse_date(date) if date else first_night(environment, checklist)
    cutover.plan_of(environment, day, checklist)
    count = parse_schools(schools)
    files.refuse_if_at_work(environment)
    lab.down(home)
    lab.up(home, schools=count)
    try:
        cutover.rehearse(load(ENVIRONMENT), day, checklist)
    finally:
        if not keep:
            lab.down(home)


def first_night(environment: Environment, checklist: str) -> datetime.date:
    """The inventory's first night that is not before the year of a checklist; UsageError where there is none."""
    cutover.builds_of(checklist)
    days = [day for day in environment.nights if str(day.year) >= checklist]
    if not days:
        raise UsageError(f"{environment.name}: no night for the checklist of {checklist} in the inventory.")
    return min(days)


def the_rehearsal() -> Environment:
    """The rehearsal's environment; UsageError where CUTOVER_ENV names another."""
    environment = load_environment("")
    if environment.name != ENVIRONMENT:
        hint = "Take CUTOVER_ENV out of the environment."
        raise UsageError(f"This runs in the rehearsal only, and the environment is {environment.name}.", hint=hint)
    return environment


def parse_schools(text: str) -> int:
    """A number of schools; UsageError for anything else."""
    if not (text.isascii() and text.isdigit() and lab.FEWEST_SCHOOLS <= int(text[:9]) <= MOST_SCHOOLS):
        expected = f"a whole number from {lab.FEWEST_SCHOOLS} to {MOST_SCHOOLS:,}"
        raise UsageError(f"--schools: expected {expected}, got {text or 'nothing'}.")
    return int(text)


def shown(found: Status) -> str:
    """The parts of a lab, a line each."""
    if not found.parts:
        return f"no rehearsal in {found.home}"
    widths = [max(len(getattr(part, key)) for part in found.parts) for key in ("name", "address")]
    lines = (f"{part.name:{widths[0]}}  {part.address:{widths[1]}}  {part.word}" for part in found.parts)
    return "\n".join([found.home, *lines])


namespace = Collection("rehearsal", up, status, down, shell, run)
