"""Binary snapshots of the five database servers, taken after the vacuum: in Scalr, or by EC2's API."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

from inventory.model import Host, Role
from runbooks.engine.model.actions import Action, ProbeOutput, RemoteCommand, SnapshotList, TakeSnapshots
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import moment, not_before, past_moment, record
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds
from runbooks.steps.earlier_steps import done_earlier

LONGEST = timedelta(hours=6)
_Snapshot = tuple[str, str, str, str]  # when it was begun, its id, its state, and EC2's text
TITLE = "a completed snapshot is younger than the vacuum"


@builds("snapshots.create")
def create(night: NightContext, key: str) -> Step:
    """Binary snapshot of every database server."""
    tasks = [
        night.task(
            key,
            host,
            checks=(taken(night, host),),
            lasts=LONGEST,
            action=by_api(night, host),
            needs=(done_earlier("archiving has ended in this night", *_outdating(night, host)),),
        )
        for host in night.database_hosts
    ]
    return Step(
        key=key,
        title="Binary snapshot",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(minutes=10),
        estimate=timedelta(minutes=20),
    )


def by_api(night: NightContext, host: Host) -> Action | None:
    """Return how EC2 takes the snapshots; None if the inventory names no instance."""
    instance = _instance(night, host)
    if instance is None:
        return None
    database = night.environment.database_on(host).name
    tags = {"environment": night.environment.name, "night": night.date.isoformat(), "database": database}
    return TakeSnapshots(host=host.name, instance=instance, tags={"Name": host.name, **tags}, timeout=LONGEST)


def taken(night: NightContext, host: Host) -> Check:
    """Return the check for a completed snapshot that is younger than the vacuum, or than archiving without one."""
    instance = _instance(night, host)
    return found_by_probe(night, host) if instance is None else found_at_ec2(night, host, instance)


def found_by_probe(night: NightContext, host: Host) -> Check:
    """Return the check by the inventory's probe on the host."""
    look = RemoteCommand(host=host.name, command=night.probes.snapshot)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        snapshot = record(outputs[0])
        if not snapshot:
            return fails("there is no snapshot")
        name = f"snapshot {snapshot.get('id')}"
        if snapshot.get("state") != "completed":
            return fails(f"{name} is {snapshot.get('state')}")
        finished = past_moment(snapshot.get("finished_at"), facts.now)
        limit = _oldest(night, host, facts)
        if limit is None or not not_before(finished, limit):
            return fails(f"{name} of {finished:%Y-%m-%d %H:%M:%S} UTC is older than the vacuum")
        return holds(f"{name}, completed {finished:%H:%M:%S} UTC", snapshot=snapshot.get("id"))

    return Check(title=TITLE, looks=(look,), judge=judge)


def found_at_ec2(night: NightContext, host: Host, instance: str) -> Check:
    """Return the check of EC2, for each of the instance's volumes; a snapshot's age counts from its begin."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        limit, volumes = _oldest(night, host, facts), defaultdict[str, list[_Snapshot]](list)
        for volume, snapshot, state, begun, sentence in outputs[0].rows:
            volumes[str(volume)].append((str(begun), str(snapshot), str(state), str(sentence)))
        if limit is None:
            return fails("nothing was vacuumed or archived in this run, so no snapshot is younger")
        good = {volume: _good(taken, limit, facts.now) for volume, taken in volumes.items()}
        for volume, ids in good.items():
            if not ids:
                return fails(_lacking(volume, max(volumes[volume]), limit))
        snapshots = sorted(ids[-1] for ids in good.values())
        return holds(f"{', '.join(snapshots)} of {', '.join(sorted(good))} completed", snapshots=snapshots)

    return Check(title=f"{TITLE}, of every volume", looks=(SnapshotList(instance=instance),), judge=judge)


def _good(taken: Sequence[_Snapshot], limit: datetime, now: datetime) -> list[str]:
    """Return the ids of completed snapshots that are recent enough, the newest last; Unreadable for one of tomorrow."""
    return [
        snapshot
        for begun, snapshot, state, _ in sorted(taken)
        if state == "completed" and not_before(past_moment(begun, now), limit)
    ]


def _lacking(volume: str, newest: _Snapshot, limit: datetime) -> str:
    begun, snapshot, state, sentence = newest
    if not snapshot:
        return f"there is no snapshot of {volume}"
    if state != "completed":
        return sentence
    return f"{snapshot} of {volume}, begun {moment(begun):%Y-%m-%d %H:%M:%S} UTC, is older than the vacuum"


def _oldest(night: NightContext, host: Host, facts: Facts) -> datetime | None:
    """Return the time before which a snapshot still holds rows that have since been archived or vacuumed away."""
    times = (facts.finished(step, where) for step, where in _outdating(night, host))
    return next((time for time in times if time), None)


def _outdating(night: NightContext, host: Host) -> tuple[tuple[str, str], ...]:
    """Return the steps, each with its host, after which an earlier snapshot holds too much; the last one counts."""
    return (("vacuum.full", host.name), ("archiving.run", night.environment.only(Role.DEBUG).name))


def _instance(night: NightContext, host: Host) -> str | None:
    aws = night.environment.aws
    return aws.instances.get(host.name) if aws else None
