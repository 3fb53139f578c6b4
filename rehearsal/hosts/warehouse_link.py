"""`warehouse-link on|off|status`: whether the warehouse reads from the main database."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.hosts.command import ThisHost, main, no_arguments
from rehearsal.hosts.switches import LINKED, UNLINKED, look, put


def on(host: ThisHost, words: Sequence[str]) -> str:
    """Link the warehouse to the main database."""
    no_arguments(words)
    return put(host.lab.layout.warehouse_link, LINKED)


def off(host: ThisHost, words: Sequence[str]) -> str:
    """Unlink it."""
    no_arguments(words)
    return put(host.lab.layout.warehouse_link, UNLINKED)


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return `linked` or `unlinked`."""
    no_arguments(words)
    return look(host.lab.layout.warehouse_link)


if __name__ == "__main__":
    main("warehouse-link", {"on": on, "off": off, "status": status})
