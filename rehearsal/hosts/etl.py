"""`etl on|off|status`: the ETL of this warehouse."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.hosts.command import ThisHost, main, no_arguments
from rehearsal.hosts.switches import DISABLED, ENABLED, look, put


def on(host: ThisHost, words: Sequence[str]) -> str:
    """Enable the ETL."""
    no_arguments(words)
    return put(host.lab.layout.etl(host.name), ENABLED)


def off(host: ThisHost, words: Sequence[str]) -> str:
    """Disable the ETL."""
    no_arguments(words)
    return put(host.lab.layout.etl(host.name), DISABLED)


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return `enabled` or `disabled`."""
    no_arguments(words)
    return look(host.lab.layout.etl(host.name))


if __name__ == "__main__":
    main("etl", {"on": on, "off": off, "status": status})
