"""`standby terminate|activate`: the streaming standby of this database server."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.blueprint import Blueprint, LabDatabase
from rehearsal.hosts.command import Here, alone, main
from rehearsal.postgres_server import Cluster, clone, remove
from rehearsal.waiting import await_condition

PATIENCE = 60  # seconds
STREAMING = "streaming"


def terminate(here: Here, words: Sequence[str]) -> str:
    """Stops the standby and removes its data; harmless where there is none."""
    alone(words)
    primary, standby = here.lab.primary(here.database), here.lab.standby(here.database)
    remove(standby)
    await_condition(lambda: not state(primary, standby), doing=f"Terminating {standby.name}", seconds=PATIENCE)
    return ""


def activate(here: Here, words: Sequence[str]) -> str:
    """Makes a new standby, unless one streams."""
    alone(words)
    begin(here.lab, here.database)
    return ""


def begin(lab: Blueprint, database: LabDatabase) -> None:
    """Makes a standby and waits until it streams; what is left of a broken one is removed."""
    primary, standby = lab.primary(database), lab.standby(database)
    if standby.running and state(primary, standby) == STREAMING:
        return
    remove(standby)
    clone(primary, standby)
    doing = f"Activating {standby.name}"
    await_condition(lambda: state(primary, standby) == STREAMING, doing=doing, seconds=PATIENCE)


def state(primary: Cluster, standby: Cluster) -> str:
    """What the primary says of its standby; nothing where it knows none."""
    return primary.sql(f"SELECT state FROM pg_stat_replication WHERE application_name = '{standby.name}'")  # noqa: S608


if __name__ == "__main__":
    main("standby", {"terminate": terminate, "activate": activate})
