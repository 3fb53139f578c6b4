"""Disk space of a database server: for its backup, and for VACUUM FULL of its largest table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from formatting import size
from inventory.model import Database, Host
from runbooks.engine.model.actions import Look, ProbeOutput, RemoteCommand, SqlQuery
from runbooks.engine.model.df import df, mounts
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.step import Check, Truth, Verdict, fails, holds, unseen
from runbooks.steps.context import NightContext

# VACUUM FULL writes a new copy of a table and its indexes first; a base backup holds every database.
SIZES = """
SELECT (SELECT coalesce(max(pg_total_relation_size(oid)), 0) FROM pg_class WHERE relkind IN ('r', 'm')),
       (SELECT sum(pg_database_size(oid)) FROM pg_database WHERE has_database_privilege(oid, 'CONNECT'))::bigint
"""
SPARE = 1_000_000_000  # bytes
Needs = Mapping[str, str]  # what needs space: in which directory


def room(night: NightContext, host: Host) -> Precondition:
    """Return the check of the free disk for both; if they share a disk, for both together."""
    database = night.environment.database_on(host)
    directories, unsaid = _directories(database)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        if not directories:
            return unseen(f"the inventory does not say {unsaid}")
        needed = dict(zip(("VACUUM FULL", "a backup"), map(_bytes, outputs[0].rows[0]), strict=True))
        verdict = _judged(directories, needed, outputs[1])
        return unseen(f"{verdict.proof}; the inventory does not say {unsaid}") if verdict.holds and unsaid else verdict

    check = Check(title="free disk for a backup and for VACUUM FULL", looks=_looks(database, directories), judge=judge)
    advice = f"Make room there; the paths are databases/{database.name} in the inventory."
    return Precondition(check=check, advice=advice, stops=(Truth.FAILS,))


def has_room(night: NightContext) -> Iterator[Check]:
    """Yield what is watched while a step lasts, for each database server of which the inventory names a directory."""
    for host in night.database_hosts:
        directories, _ = _directories(night.environment.database_on(host))
        if directories:
            yield _spare(host, directories)


def _spare(host: Host, directories: Needs) -> Check:
    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        free = dict(mounts(outputs[0], len(directories)))
        short = [f"{size(max(left, 0))} free on {mount} of {host.name}" for mount, left in free.items() if left < SPARE]
        return fails("; ".join(short)) if short else holds(f"{host.name} has room")

    looks = (RemoteCommand(host=host.name, command=df(directories.values())),)
    return Check(title=f"at least {size(SPARE)} free on the disks of {host.name}", looks=looks, judge=judge)


def _directories(database: Database) -> tuple[Needs, str]:
    """Return the directories in the inventory, and the keys that it does not have."""
    paths = {"VACUUM FULL": database.data_directory, "a backup": database.backup_directory}
    keys = {"VACUUM FULL": "data_directory", "a backup": "backup_directory"}
    given = {what: path for what, path in paths.items() if path is not None}
    return given, " and ".join(key for what, key in keys.items() if what not in given)


def _looks(database: Database, directories: Needs) -> tuple[Look, ...]:
    if not directories:
        return ()
    return (
        SqlQuery(database=database.name, name="its size, and its largest table with indexes", statement=SIZES),
        RemoteCommand(host=database.host, command=df(directories.values())),
    )


def _judged(directories: Needs, needed: Mapping[str, int], df_output: ProbeOutput) -> Verdict:
    free: dict[str, int] = {}
    needs: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for what, (mount, left) in zip(directories, mounts(df_output, len(directories)), strict=True):
        free[mount] = left
        needs[mount][what] = needed[what]
    sentences = {mount: _sentence(mount, free[mount], needs[mount]) for mount in needs}
    short = [sentences[mount] for mount in needs if free[mount] < sum(needs[mount].values())]
    return fails("; ".join(short)) if short else holds("; ".join(sentences.values()))


def _sentence(mount: str, free: int, needs: Mapping[str, int]) -> str:
    needed = " and ".join(f"{size(count)} for {what}" for what, count in needs.items())
    return f"{size(max(free, 0))} free on {mount}, needed {needed}"


def _bytes(value: object) -> int:
    return int(str(value))
