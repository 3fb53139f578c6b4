"""`heroku VERB` on a warehouse: replaces the platform's tool, for this warehouse's farm."""

from __future__ import annotations

import re
from collections.abc import Sequence

from errors import UsageError
from rehearsal.hosts.command import ThisHost, main, no_arguments
from rehearsal.hosts.switches import DISABLED, ENABLED, look, put

PROCESS = "etl_job"


def rename(host: ThisHost, words: Sequence[str]) -> str:
    """Give the farm another name."""
    if len(words) != 1 or not re.fullmatch(r"[a-z][a-z0-9-]*", words[0]):
        raise UsageError(f"Expected a name, got {' '.join(words) or 'nothing'}.")
    return put(host.lab.layout.farm_name(host.name), words[0])


def name(host: ThisHost, words: Sequence[str]) -> str:
    """Return the farm's name."""
    no_arguments(words)
    return look(host.lab.layout.farm_name(host.name))


def scale(host: ThisHost, words: Sequence[str]) -> str:
    """Give the ETL that many dynos: it is enabled while it has any."""
    match = re.fullmatch(rf"{PROCESS}=(\d+)", words[0]) if len(words) == 1 else None
    if match is None:
        raise UsageError(f"Expected {PROCESS}=NUMBER, got {' '.join(words) or 'nothing'}.")
    put(host.lab.layout.dynos(host.name), match[1])
    return put(host.lab.layout.etl(host.name), ENABLED if int(match[1]) else DISABLED)


def count(host: ThisHost, words: Sequence[str]) -> str:
    """Return the number of dynos of the ETL."""
    if list(words) != [PROCESS]:
        raise UsageError(f"Expected {PROCESS}, got {' '.join(words) or 'nothing'}.")
    return look(host.lab.layout.dynos(host.name))


if __name__ == "__main__":
    main("heroku", {"apps:rename": rename, "apps:name": name, "ps:scale": scale, "ps:count": count})
