"""The standbys ("slaves") of the five database servers."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from formatting import size
from inventory.model import Host
from runbooks.engine.model.actions import ProbeOutput, SqlQuery
from runbooks.engine.model.history import Facts
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds

# A subscriber's sender is none of a standby's: it reads a logical slot.
_SENDERS = """
  FROM pg_stat_replication sender
 WHERE NOT EXISTS (SELECT FROM pg_replication_slots WHERE slot_type = 'logical' AND active_pid = sender.pid)
"""
STANDBYS = f"""
SELECT application_name, coalesce(client_addr::text, 'local'), state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
{_SENDERS}
 ORDER BY 1, 2
"""
# Who receives WAL only to keep it, as pg_receivewal does, replays none.
BEFORE = f"""
SELECT coalesce(json_agg(application_name ORDER BY application_name)::text, '[]'),
       current_setting('synchronous_standby_names')
{_SENDERS}
   AND state = 'streaming' AND replay_lsn IS NOT NULL
"""
# Only a primary knows its WAL position; on a standby an earlier precondition fails before this query runs.
SLOTS = """
SELECT slot_name, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint
  FROM pg_replication_slots
 WHERE NOT active
 ORDER BY 1
"""
SYNCHRONOUS = """
SELECT current_setting('synchronous_standby_names'), count(*) FILTER (WHERE sync_state IN ('sync', 'quorum'))
  FROM pg_stat_replication
"""
ALONE = "ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();"
_COUNT = re.compile(r"\s*(?:FIRST\s+|ANY\s+)?(\d+)\s*\(", re.IGNORECASE)  # of the standbys that a commit waits for


@builds("replicas.terminate")
def terminate(night: NightContext, key: str) -> Step:
    """Terminate slaves of every database server."""
    tasks = [
        night.task(
            key,
            host,
            checks=(none_left(night, host), no_idle_slot(night, host), commits_alone(night, host)),
            before=_query(night, host, "standbys before", BEFORE),
            owes=_debt(host),
        )
        for host in night.database_hosts
    ]
    return Step(
        key=key,
        title="Terminate slaves",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(minutes=2),
        estimate=timedelta(minutes=10),
    )


@builds("replicas.activate")
def activate(night: NightContext, key: str) -> Step:
    """Activate slaves of every database server."""
    lasts = timedelta(hours=12)
    tasks = [
        night.task(
            key,
            host,
            checks=(streams(night, host), no_idle_slot(night, host), acknowledged_as_before(night, host)),
            lasts=lasts,
            pays=_debt(host),
        )
        for host in night.database_hosts
    ]
    return Step(
        key=key,
        title="Activate slaves",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(minutes=10),
        estimate=timedelta(hours=1),
    )


def none_left(night: NightContext, host: Host) -> Check:
    """Return the check that no standby replicates from a server."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        names = [f"{row[0]} ({row[1]}, {row[2]})" for row in outputs[0].rows]
        if names:
            return fails(f"pg_stat_replication shows {', '.join(names)}")
        return holds("pg_stat_replication is empty, but for subscribers")

    look = _query(night, host, "pg_stat_replication", STANDBYS)
    return Check(title="pg_stat_replication is empty, but for subscribers", looks=(look,), judge=judge)


def streams(night: NightContext, host: Host) -> Check:
    """Return the check that a standby streams from a server and does not lag: after step 7, those from before it."""
    limit = night.environment.max_lag

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        standbys = [(str(row[0]), row[3]) for row in outputs[0].rows if row[2] == "streaming"]
        if not standbys:
            return fails(f"no standby streams ({len(outputs[0].rows)} connected)")
        name, lag = min(standbys, key=lambda standby: _bytes(standby[1], limit))
        sentence = f"{name} streams, lag {'unknown' if lag is None else size(int(str(lag)))}"
        if _bytes(lag, limit) > limit:
            return fails(f"{sentence}, allowed {size(limit)}")
        near = Counter(name for name, lag in standbys if _bytes(lag, limit) <= limit)
        if missing := Counter(_before(facts, host)[0]) - near:
            return fails(f"{sentence}; not back since step 7, or behind: {', '.join(sorted(missing.elements()))}")
        return holds(sentence)

    look = _query(night, host, "pg_stat_replication", STANDBYS)
    return Check(title=f"a standby streams, lag at most {size(limit)}", looks=(look,), judge=judge)


def no_idle_slot(night: NightContext, host: Host) -> Check:
    """Return the check that every replication slot has a reader: a standby that is terminated may leave its own."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        slots = [f"{name} (retains {_wal(retained)})" for name, retained in outputs[0].rows]
        if slots:
            return fails(
                f"inactive replication slots: {', '.join(slots)}; SELECT pg_drop_replication_slot(…) drops one"
            )
        return holds("no inactive slot")

    look = _query(night, host, "inactive replication slots", SLOTS)
    return Check(title="no inactive replication slot", looks=(look,), judge=judge)


def commits_alone(night: NightContext, host: Host) -> Check:
    """Return the check that no commit waits for a standby that is not there."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((names, streaming),) = outputs[0].rows
        count = _COUNT.match(str(names))
        needed = int(count[1]) if count else 1
        if names and int(str(streaming)) < needed:
            what = f"synchronous_standby_names is {names!r}, and {streaming} of {needed} such standbys stream"
            return fails(f"{what}: every commit waits for them. Until they are back: {ALONE}")
        return holds(f"commits wait for {streaming} synchronous standbys" if names else "commits wait for no standby")

    return Check(
        title="no commit waits for a standby that is not there", looks=(_synchronous(night, host),), judge=judge
    )


def synchronous_by_day(night: NightContext, host: Host) -> Check:
    """Return the check that commits will wait for no standby once step 7 has terminated them."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((names, _),) = outputs[0].rows
        return fails(f"synchronous_standby_names is {names!r}") if names else holds("commits wait for no standby")

    return Check(title="commits wait for no other server", looks=(_synchronous(night, host),), judge=judge)


def acknowledged_as_before(night: NightContext, host: Host) -> Check:
    """Return the check that commits wait for standbys again where they did before step 7."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((names, _),) = outputs[0].rows
        _, then = _before(facts, host)
        if then and names != then:
            return fails(f"synchronous_standby_names is {names!r}, and was {then!r} before step 7")
        return holds(f"commits wait for {names!r}, as before" if names else "commits wait for no standby")

    return Check(title="commits wait as before step 7", looks=(_synchronous(night, host),), judge=judge)


def nothing_left_over(night: NightContext) -> tuple[Check, ...]:
    """Return the checks that no terminated standby holds up a commit of a server, or its WAL."""
    return tuple(_quiet(check(night, host)) for host in night.database_hosts for check in (commits_alone, no_idle_slot))


def _quiet(check: Check) -> Check:
    """Return a check that says nothing where it holds: a prompt has better things to show."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        verdict = check.judge(outputs, facts)
        return holds("") if verdict.holds else verdict

    return replace(check, judge=judge)


def _before(facts: Facts, host: Host) -> tuple[list[str], str]:
    """Return what was read before step 7: the names of the standbys, and synchronous_standby_names."""
    rows = facts.before(terminate.key, host.name)
    return (json.loads(rows[0][0]), rows[0][1]) if rows and len(rows[0]) == 2 else ([], "")


def _bytes(lag: object, limit: int) -> int:
    """Return a lag in bytes; one that the server can't tell yet counts as too large."""
    return limit + 1 if lag is None else int(str(lag))


def _wal(count: object) -> str:
    return "no WAL" if count is None else f"{size(int(str(count)))} of WAL"


def _synchronous(night: NightContext, host: Host) -> SqlQuery:
    return _query(night, host, "synchronous standbys", SYNCHRONOUS)


def _query(night: NightContext, host: Host, name: str, statement: str) -> SqlQuery:
    return SqlQuery(database=night.environment.database_on(host).name, name=name, statement=statement)


def _debt(host: Host) -> Debt:
    return Debt(what="standby", where=host.name)
