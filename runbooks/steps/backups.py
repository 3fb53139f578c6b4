"""Backups of the five database servers: the schedule, this night's dump, and its stored copy."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta

from formatting import in_minutes
from inventory.model import Host, Role
from runbooks.cli.self_command import tool_command
from runbooks.engine.model.actions import Action, ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import not_before, past_moment, record, word
from runbooks.engine.model.step import Check, Debt, HostTask, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds, command
from runbooks.steps.earlier_steps import done_earlier

ENABLED, DISABLED = "enabled", "disabled"
LONGEST = timedelta(hours=12)
OF_NOTHING = hashlib.sha256().hexdigest()


@builds("backups.disable")
def disable(night: NightContext, key: str) -> Step:
    """Disable auto-backup on every database server."""
    tasks = [
        night.task(key, host, checks=(schedule_is(night, host, DISABLED),), owes=_debt(host))
        for host in night.database_hosts
    ]
    return Step(
        key=key,
        title="Disable auto-backup",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(seconds=10),
        estimate=timedelta(minutes=10),
    )


@builds("backups.dump")
def dump(night: NightContext, key: str) -> Step:
    """DB backup on every database server."""
    return Step(
        key=key,
        title="DB backup",
        mark=Mark.MANUAL,
        tasks=_on_servers(night, key, backed_up, "databases.backup", lambda host: _closed(night)),
        required=True,
        gate="backups verified",
        warning=loss(night),
        estimate=timedelta(hours=1),
    )


@builds("backups.transfer")
def transfer(night: NightContext, key: str) -> Step:
    """Transfer DB backup of every database server."""
    return Step(
        key=key,
        title="Transfer DB backup",
        mark=Mark.MANUAL,
        tasks=_on_servers(night, key, stored, "databases.send-backup", lambda host: (backed_up(night, host),)),
        required=True,
        gate="backups transferred",
        estimate=timedelta(minutes=30),
    )


@builds("backups.enable")
def enable(night: NightContext, key: str) -> Step:
    """Enable auto-backup on every database server."""
    tasks = [
        night.task(key, host, checks=(schedule_is(night, host, ENABLED),), pays=_debt(host))
        for host in night.database_hosts
    ]
    return Step(
        key=key,
        title="Enable auto-backup",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(seconds=10),
        estimate=timedelta(minutes=10),
    )


def by_tool(night: NightContext, host: Host, task: str) -> Action | None:
    """Return how this tool does the step on the server; None if the inventory configures no backups."""
    environment = night.environment
    if environment.backups is None:
        return None
    return command(host, tool_command(environment, task, yes_production=environment.production), LONGEST)


def probes(night: NightContext) -> tuple[str, str]:
    """Return the commands that show a server's newest backup, and its stored copy."""
    environment = night.environment
    if environment.backups is None:
        return night.probes.backup, night.probes.backup_copy
    task = "databases.newest-backup"
    return tool_command(environment, task), tool_command(environment, task, stored=True)


def loss(night: NightContext) -> tuple[str, ...]:
    """Return a warning if a backup may be older than maintenance mode; nothing if it may not."""
    age = night.night.backup_max_age
    if age is None:
        return ()
    return (f"Backups may be up to {in_minutes(age)} old: what was written since then could be lost.",)


def schedule_is(night: NightContext, host: Host, expected: str) -> Check:
    """Return the check that the backup schedule of a server is enabled, or disabled."""
    look = RemoteCommand(host=host.name, command=night.probes.auto_backup)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        state = word(outputs[0], (ENABLED, DISABLED))
        sentence = f"auto-backup is {state}"
        return holds(sentence) if state == expected else fails(f"{sentence}, expected {expected}")

    return Check(title=f"auto-backup is {expected}", looks=(look,), judge=judge)


def backed_up(night: NightContext, host: Host) -> Check:
    """Return the check for a verified backup that is recent enough."""
    look = RemoteCommand(host=host.name, command=probes(night)[0])
    control = night.environment.only(Role.CONTROL).name
    oldest = night.night.backup_max_age

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        backup = record(outputs[0])
        if not backup:
            return fails("there is no backup")
        finished = past_moment(backup.get("finished_at"), facts.now)
        sentence = f"{backup.get('path')} of {finished:%Y-%m-%d %H:%M:%S} UTC"
        # A backup recent enough when the night began stays so: it must not become too old on the way to step 8.
        since = facts.history.began or facts.now
        limit = _no_older_than(facts, since - oldest) if oldest else facts.finished("maintenance.on", control)
        if limit is None:
            return fails(f"{sentence}; maintenance mode was not switched on in this run, so nothing is younger")
        if not not_before(finished, limit):
            return fails(f"{sentence} is older than {limit:%Y-%m-%d %H:%M:%S} UTC")
        if backup.get("verified") is not True:
            return fails(f"{sentence} is not verified")
        if backup.get("sha256") == OF_NOTHING:
            return fails(f"{sentence} is empty: its SHA-256 is that of no byte at all")
        lost = f"; what was written in the {in_minutes(facts.now - finished)} since could be lost" if oldest else ""
        return holds(f"{sentence}, verified{lost}", sha256=backup.get("sha256"), finished_at=finished.isoformat())

    age = f"is at most {in_minutes(oldest)} old" if oldest else "is younger than maintenance mode"
    return Check(title=f"a verified backup {age}", looks=(look,), judge=judge)


def _no_older_than(facts: Facts, limit: datetime) -> datetime:
    """Return the later of a limit and of the last archiving: an older backup holds schools that are archived since."""
    return max(limit, facts.history.archived_before or limit)


def stored(night: NightContext, host: Host) -> Check:
    """Return the check that the stored copy of the backup has the server's checksum."""
    backup_look, copy_look = (RemoteCommand(host=host.name, command=probe) for probe in probes(night))

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        copy, backup = (record(output) for output in outputs)
        copy_digest, server_digest = (str(state.get("sha256") or "") for state in (copy, backup))
        if not (copy_digest and server_digest):
            return fails("there is no stored copy" if server_digest else "there is no backup")
        if OF_NOTHING in (copy_digest, server_digest):
            return fails("the stored copy is empty" if copy_digest == OF_NOTHING else "the backup is empty")
        if copy_digest != server_digest:
            return fails(f"{copy.get('location')} has SHA-256 {copy_digest[:12]}…, the server {server_digest[:12]}…")
        return holds(f"{copy.get('location')}, SHA-256 {copy_digest[:12]}… as on the server")

    return Check(
        title="the stored copy has the checksum of the server's backup", looks=(copy_look, backup_look), judge=judge
    )


def _closed(night: NightContext) -> tuple[Check, ...]:
    """Return the check that maintenance mode was switched on in this night, unless a backup may be older than that."""
    if night.night.backup_max_age is not None:
        return ()
    control = night.environment.only(Role.CONTROL).name
    return (done_earlier("maintenance mode was switched on in this night", ("maintenance.on", control)),)


def _on_servers(
    night: NightContext,
    key: str,
    check: Callable[[NightContext, Host], Check],
    task: str,
    needs: Callable[[Host], tuple[Check, ...]],
) -> tuple[HostTask, ...]:
    """Return a task for every server; this tool performs it if the inventory configures backups."""
    return tuple(
        night.task(
            key, host, checks=(check(night, host),), lasts=LONGEST, action=by_tool(night, host, task), needs=needs(host)
        )
        for host in night.database_hosts
    )


def _debt(host: Host) -> Debt:
    return Debt(what="auto-backup", where=host.name)
