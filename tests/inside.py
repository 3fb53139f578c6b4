"""The tool's commands in this process, for tests of their effect: a start of Python takes a second."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from invoke.program import Program

import tasks


@dataclass(frozen=True)
class Said:
    """The end of a command."""

    code: int
    out: str
    err: str


def inv_inside(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """Run `inv` with these arguments, and return its exit code and output."""
    capsys.readouterr()
    try:
        Program(namespace=tasks.namespace).run(["inv", *words])
    except SystemExit as left:
        return Said(int(left.code or 0), *capsys.readouterr())
    return Said(0, *capsys.readouterr())
