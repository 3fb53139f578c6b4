"""`etl on|off|status`: the ETL of this warehouse."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.hosts.command import Here, alone, main
from rehearsal.hosts.switches import DISABLED, ENABLED, look, put


def on(here: Here, words: Sequence[str]) -> str:
    """Enables it."""
    alone(words)
    return put(here.lab.layout.etl(here.name), ENABLED)


def off(here: Here, words: Sequence[str]) -> str:
    """Disables it."""
    alone(words)
    return put(here.lab.layout.etl(here.name), DISABLED)


def status(here: Here, words: Sequence[str]) -> str:
    """`enabled` or `disabled`."""
    alone(words)
    return look(here.lab.layout.etl(here.name))


if __name__ == "__main__":
    main("etl", {"on": on, "off": off, "status": status})
