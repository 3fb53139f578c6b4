"""The command line that starts this tool on a host."""

from __future__ import annotations

import shlex

from inventory.model import Environment


def tool_command(environment: Environment, task: str, *words: str, **options: str | bool) -> str:
    """Return the quoted command line of a task; options that are empty or False are omitted."""
    flags = [_flag(name, value) for name, value in {"env": environment.name, **options}.items() if value]
    return shlex.join([*shlex.split(environment.tool), task, *words, *flags])


def _flag(name: str, value: str | bool) -> str:
    name = name.replace("_", "-")
    return f"--{name}" if value is True else f"--{name}={value}"
