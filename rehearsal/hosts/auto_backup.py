"""`auto-backup on|off|status`: the backup schedule of this database server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rehearsal.hosts.command import Here, alone, main
from rehearsal.hosts.switches import DISABLED, ENABLED, look, put


def schedule(home: Path) -> Path:
    """Where a host's schedule stands."""
    return home / "backup-schedule"


def on(here: Here, words: Sequence[str]) -> str:
    """Puts the schedule in."""
    alone(words)
    return put(schedule(here.home), ENABLED)


def off(here: Here, words: Sequence[str]) -> str:
    """Takes the schedule out."""
    alone(words)
    return put(schedule(here.home), DISABLED)


def status(here: Here, words: Sequence[str]) -> str:
    """`enabled` or `disabled`."""
    alone(words)
    return look(schedule(here.home))


if __name__ == "__main__":
    main("auto-backup", {"on": on, "off": off, "status": status})
