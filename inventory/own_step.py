"""A team's own step: one that the inventory adds to the checklists."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

PREFIX = "own."  # of the keys of such steps in journals


@dataclass(frozen=True, kw_only=True)
class OwnStep:
    """A step before or after one of a checklist, done and proven like any other; `example.yaml` explains each field."""

    name: str = ""  # from the inventory's key
    title: str
    before: str | None = None  # the key of the step that it precedes
    after: str | None = None  # or of the one that it follows
    nights: tuple[date, ...] = ()  # empty: every night
    hosts: tuple[str, ...] = ()  # names in the inventory
    role: str | None = None  # or all hosts of a role
    command: str | None = None  # None: a person does it
    instructions: str = ""
    lasts: timedelta = timedelta(minutes=1)  # how long the command may take
    probe: str | None = None  # a read-only command, which proves it
    expect: str | None = None  # the word that the probe prints once it is done
    owes: str | None = None  # what it switches off
    pays: str | None = None  # what another own step has switched off
    required: bool = False  # True: never skipped
    estimate: timedelta | None = None

    @property
    def key(self) -> str:
        """Its key in journals, such as `own.unlink-warehouse`."""
        return f"{PREFIX}{self.name}"
