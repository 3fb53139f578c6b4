"""How this tool is started on a host."""

from __future__ import annotations

import shlex

from inventory.model import Environment


def tool_command(environment: Environment, task: str, *words: str, **options: str | bool) -> str:
    """The command line of a task there, quoted; options that are empty or False are left out."""
    given = {"env": environment.name, **options}
    flags = [_flag(name, value) for name, value in given.items() if value]
    return shlex.join([*shlex.split(environment.tool), task, *words, *flags])


def _flag(name: str, value: str | bool) -> str:
    name = name.replace("_", "-")
    return f"--{name}" if value is True else f"--{name}={value}"
