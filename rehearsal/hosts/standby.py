"""`standby terminate|activate`: the streaming standby of this database server."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal.blueprint import Blueprint, LabDatabase
from rehearsal.hosts.command import ThisHost, main, no_arguments
from rehearsal.postgres_server import Cluster, clone, remove
from rehearsal.waiting import await_condition

PATIENCE = 60  # seconds
STREAMING = "streaming"


def terminate(host: ThisHost, words: Sequence[str]) -> str:
    """Stop the standby and remove its data; harmless if there is none."""
    no_arguments(words)
    primary, standby = host.lab.primary(host.database), host.lab.standby(host.database)
    remove(standby)
    await_condition(lambda: not state(primary, standby), doing=f"Terminating {standby.name}", seconds=PATIENCE)
    return ""


def activate(host: ThisHost, words: Sequence[str]) -> str:
    """Create a new standby, unless one is streaming."""
    no_arguments(words)
    begin(host.lab, host.database)
    return ""


def begin(lab: Blueprint, database: LabDatabase) -> None:
    """Create a standby and wait until it streams; remove what is left of a broken one first."""
    primary, standby = lab.primary(database), lab.standby(database)
    if standby.running and state(primary, standby) == STREAMING:
        return
    remove(standby)
    clone(primary, standby)
    doing = f"Activating {standby.name}"
    await_condition(lambda: state(primary, standby) == STREAMING, doing=doing, seconds=PATIENCE)


def state(primary: Cluster, standby: Cluster) -> str:
    """Return the standby's state as the primary reports it; empty if it reports none."""
    return primary.sql(f"SELECT state FROM pg_stat_replication WHERE application_name = '{standby.name}'")  # noqa: S608


if __name__ == "__main__":
    main("standby", {"terminate": terminate, "activate": activate})
