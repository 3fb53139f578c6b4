"""The inventory itself, written and checked: the tasks under `inv inventory.…`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from pathlib import Path

from invoke.collection import Collection

from errors import Problems, UsageError
from inventory import load
from inventory.files import read_text
from inventory.model import Environment
from runbooks.cli.environment import Addresses
from runbooks.cli.findings import settle, show, to_plain
from runbooks.cli.options import JSON, READS, Option
from runbooks.cli.parse import parse_date
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json
from runbooks.cutover import plan_of
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import say, say_wrapped
from runbooks.engine.model.step import Step
from runbooks.night.looking import looked_at
from runbooks.preflight.apart_from_nights import subjects, with_scratch
from runbooks.steps.context import NightContext

TEMPLATES = load.FOLDER / "templates"
WITHOUT_HOST, WITH_HOST = "master: {connection:", "master: {host: db-master, connection:"


def parse_name(text: str, label: str) -> str:
    """Return the name of a new environment: lower case, and no other file of the inventory's folder."""
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,39}", text) or text == "example" or load.is_catalog(text):
        raise UsageError(
            f"{label}: expected a name in lower case that is not example and does not end with catalog, got {text!r}.",
            hint="Example: inv inventory.new shop",
        )
    return text


NAME = Option(name="name", help="the name of the environment", parse=parse_name, positional=True, required=True)
FIRST_NIGHT = Option(
    name="night", help="a night to write too, YYYY-MM-DD", parse=parse_date, unset="it only archives and restores"
)


@task("inventory.new", NAME, FIRST_NIGHT, example="shop")
def new(name: str, night: date | None) -> None:
    """Write a commented inventory to fill in, for archives alone or with a night; never over a file."""
    path = load.FOLDER / f"{name}.yaml"
    write_new(path, template(name, night))
    say(f"Wrote inventory/{path.name}. Next:")
    for number, (sentence, command) in enumerate(next_steps(name, night), start=1):
        say_wrapped(f"  {number}. {sentence}")
        if command:  # never wrapped: it is typed as it stands
            say(f"     {command}")


def template(name: str, night: date | None) -> str:
    """Return the text of a new inventory, with a night of its own if a date is given."""
    text = read_text(TEMPLATES / "archiver.yaml")
    if night:
        text = text.replace(WITHOUT_HOST, WITH_HOST) + read_text(TEMPLATES / "night.yaml")
    return text.replace("NAME", name).replace("DAY", str(night))


def write_new(path: Path, text: str) -> None:
    """Write a file that is not there yet; UsageError if it is, or can't be written."""
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        hint = f"inv inventory.check --env={path.stem} looks at it; to begin anew, move it away."
        raise UsageError(f"inventory/{path.name} is there already; nothing was written.", hint=hint) from None
    except OSError as error:
        raise UsageError(f"Writing inventory/{path.name} failed: {error.strerror}.") from error


def next_steps(name: str, night: date | None) -> tuple[tuple[str, str], ...]:
    """Return what to do with a new inventory, each a sentence with the command that does it, if there is one."""
    planned = (("See the checklist:", f"inv cutover.plan --date={night} --env={name}"),) if night else ()
    draft = f"inv archive.catalog-draft --root=TABLE --env={name} > inventory/{name}-catalog.yaml"
    return (
        ("Enter your databases, your scratch database and your bucket in that file.", ""),
        ("Draft the catalog of your tables:", draft),
        ("Check both, and what they name:", f"inv inventory.check --env={name}"),
        *planned,
    )


@task("inventory.check", *READS, JSON, addresses=Addresses.WELCOME)
def check(environment: Environment, json: bool) -> None:
    """Look at all that an inventory names: hosts, probes, databases with their grants, store and catalog."""
    load.refuse_if_down(environment)
    latest = max(environment.nights, default=SystemClock().now().date())
    night = NightContext(environment=environment, date=latest)
    opened = replace(environment, databases=with_scratch(environment))
    findings = looked_at(opened, subjects(night, steps_of(environment)))
    if json:
        say(to_json({"findings": to_plain(findings)}))
    else:
        show(findings)
    settle(findings, summary=not json)


def steps_of(environment: Environment) -> tuple[Step, ...]:
    """Return the steps of the latest night, none without one; Problems with every mistake of every night."""
    mistakes: dict[str, None] = {}
    steps: tuple[Step, ...] = ()
    for day in sorted(environment.nights):
        try:
            steps = plan_of(environment, day).steps
        except Problems as error:
            mistakes |= dict.fromkeys(error.problems)
    if mistakes:
        raise Problems(f"The inventory {environment.name}.yaml does not fit its nights:", list(mistakes))
    return steps


namespace = Collection("inventory", new, check)
