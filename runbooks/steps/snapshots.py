"""Binary snapshots of the five database servers, taken of what is left after the vacuum."""

from __future__ import annotations

from datetime import timedelta

from inventory.model import Host, Role
from runbooks.engine.actions import Reading, RemoteCommand
from runbooks.engine.history import Facts
from runbooks.engine.readings import moment, not_before, record
from runbooks.engine.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.tonight import Tonight


def create(tonight: Tonight) -> Step:
    """Binary snapshot of every database server."""
    key = "snapshots.create"
    lasts = timedelta(hours=6)
    tasks = [tonight.task(key, host, checks=(taken(tonight, host),), lasts=lasts) for host in tonight.database_hosts]
    return Step(
        key=key,
        title="Binary snapshot",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(minutes=10),
        estimate=timedelta(minutes=20),
    )


def taken(tonight: Tonight, host: Host) -> Check:
    """A completed snapshot that is younger than the vacuum there, or than archiving where the vacuum was skipped."""
    debug = tonight.environment.only(Role.DEBUG).name
    look = RemoteCommand(host=host.name, command=tonight.environment.probes.snapshot)

    def judge(readings: tuple[Reading, ...], facts: Facts) -> Verdict:
        snapshot = record(readings[0])
        if not snapshot:
            return fails("there is no snapshot")
        name = f"snapshot {snapshot.get('id')}"
        if snapshot.get("state") != "completed":
            return fails(f"{name} is {snapshot.get('state')}")
        finished = moment(snapshot.get("finished_at"))
        limit = facts.finished("vacuum.full", host.name) or facts.finished("archiving.run", debug)
        if limit is None or not not_before(finished, limit):
            return fails(f"{name} of {finished:%Y-%m-%d %H:%M:%S} UTC is older than the vacuum")
        return holds(f"{name}, completed {finished:%H:%M:%S} UTC", snapshot=snapshot.get("id"))

    return Check(title="a completed snapshot is younger than the vacuum", looks=(look,), judge=judge)
