"""A shell on the host takes any value of the inventory for one word."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.model import Database, Environment
from inventory.scope import scope_of
from runbooks.cutover import plan_of
from runbooks.engine.model.actions import Command
from runbooks.steps.archiving import run as archiving
from runbooks.steps.context import NightContext
from tests.fakes import NIGHT, rehearsal

SAY = "printf '<%s>'"  # each word of its own
HOSTILE = ["a b", "o'brien", 'say "hi"', "x; touch owned", "$(touch owned)", "`touch owned`", "*", "-n", "é ☕\nnext"]


def said(command: str, home: Path) -> str:
    ended = subprocess.run(["sh", "-c", command], cwd=home, capture_output=True, check=True)
    assert not (home / "owned").exists()
    return ended.stdout.decode()


def with_dbname(name: str, **parts: object) -> Environment:
    environment = rehearsal()
    master = environment.master
    database = Database(name="master", host=master.host, connection={**master.connection, "dbname": name})
    return replace(environment, databases={**environment.databases, "master": database}, **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_placeholder_in_a_command_or_a_typed_line_is_one_word(tmp_path: Path, value: str) -> None:
    commands = {**rehearsal().commands, "vacuum.full": f"{SAY} {{dbname}} end"}
    instructions = {**rehearsal().instructions, "backups.dump": f"Dump {{dbname}}.\n$ {SAY} {{dbname}} end"}
    plan = plan_of(with_dbname(value, commands=commands, instructions=instructions), NIGHT)
    vacuum, dump = (plan.step(key).tasks[0] for key in ("vacuum.full", "backups.dump"))

    assert isinstance(vacuum.action, Command) and said(vacuum.action.command, tmp_path) == f"<{value}><end>"
    told, typed = dump.instructions.split("$ ", 1)
    assert told == f"Dump {value}.\n"
    assert said(typed, tmp_path) == f"<{value}><end>"


@pytest.mark.parametrize("value", HOSTILE)
def test_an_argument_of_this_tools_own_command_is_one_word(tmp_path: Path, value: str) -> None:
    environment = replace(rehearsal(), environment=value, tool="printf <%s>")
    action = archiving(NightContext(environment=environment, date=NIGHT)).tasks[0].action
    scope = scope_of(environment, environment.night(NIGHT)).text
    assert isinstance(action, Command)
    words = f"<archive.all><--env={value}><--date=2014-08-15><--here><--scope={scope}>"
    assert said(action.command, tmp_path) == words
