"""`auto-backup on|off|status`: the backup schedule of this database server."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rehearsal.hosts.command import ThisHost, main, no_arguments
from rehearsal.hosts.switches import DISABLED, ENABLED, look, put


def schedule(home: Path) -> Path:
    """Return the file of a host's schedule."""
    return home / "backup-schedule"


def on(host: ThisHost, words: Sequence[str]) -> str:
    """Enable the schedule."""
    no_arguments(words)
    return put(schedule(host.home), ENABLED)


def off(host: ThisHost, words: Sequence[str]) -> str:
    """Disable the schedule."""
    no_arguments(words)
    return put(schedule(host.home), DISABLED)


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return `enabled` or `disabled`."""
    no_arguments(words)
    return look(schedule(host.home))


if __name__ == "__main__":
    main("auto-backup", {"on": on, "off": off, "status": status})
