"""`heroku VERB`, on a warehouse: stands for the platform's tool, as far as this warehouse's farm goes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from errors import UsageError
from rehearsal.hosts.command import Here, alone, main
from rehearsal.hosts.switches import DISABLED, ENABLED, look, put

PROCESS = "etl_job"


def rename(here: Here, words: Sequence[str]) -> str:
    """Gives the farm another name."""
    if len(words) != 1 or not re.fullmatch(r"[a-z][a-z0-9-]*", words[0]):
        raise UsageError(f"Expected a name, got {' '.join(words) or 'nothing'}.")
    return put(here.lab.layout.farm_name(here.name), words[0])


def name(here: Here, words: Sequence[str]) -> str:
    """What the farm is called."""
    alone(words)
    return look(here.lab.layout.farm_name(here.name))


def scale(here: Here, words: Sequence[str]) -> str:
    """Gives the ETL so many dynos: it is enabled while it has any."""
    found = re.fullmatch(rf"{PROCESS}=(\d+)", words[0]) if len(words) == 1 else None
    if found is None:
        raise UsageError(f"Expected {PROCESS}=NUMBER, got {' '.join(words) or 'nothing'}.")
    put(here.lab.layout.dynos(here.name), found[1])
    return put(here.lab.layout.etl(here.name), ENABLED if int(found[1]) else DISABLED)


def count(here: Here, words: Sequence[str]) -> str:
    """How many dynos the ETL has."""
    if list(words) != [PROCESS]:
        raise UsageError(f"Expected {PROCESS}, got {' '.join(words) or 'nothing'}.")
    return look(here.lab.layout.dynos(here.name))


if __name__ == "__main__":
    main("heroku", {"apps:rename": rename, "apps:name": name, "ps:scale": scale, "ps:count": count})
