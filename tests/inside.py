"""The tool's words in this process, where a test is about what they come to: to start Python takes a second."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from invoke.program import Program

import tasks


@dataclass(frozen=True)
class Said:
    """How a command ended."""

    code: int
    out: str
    err: str


def inv_inside(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    """What `inv` with these words says."""
    capsys.readouterr()
    try:
        Program(namespace=tasks.namespace).run(["inv", *words])
    except SystemExit as left:
        return Said(int(left.code or 0), *capsys.readouterr())
    return Said(0, *capsys.readouterr())
