"""The standbys ("slaves") of the five database servers."""

from __future__ import annotations

from datetime import timedelta

from formatting import size
from inventory.model import Host
from runbooks.engine.model.actions import ProbeOutput, SqlQuery
from runbooks.engine.model.history import Facts
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds

STANDBYS = """
SELECT application_name, coalesce(client_addr::text, 'local'), state,
       pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint
  FROM pg_stat_replication
 ORDER BY 1, 2
"""


@builds("replicas.terminate")
def terminate(night: NightContext, key: str) -> Step:
    """Terminate slaves of every database server."""
    tasks = [night.task(key, host, checks=(none_left(night, host),), owes=_debt(host)) for host in night.database_hosts]
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
        night.task(key, host, checks=(streams(night, host),), lasts=lasts, pays=_debt(host))
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
        return (
            fails(f"pg_stat_replication shows {', '.join(names)}") if names else holds("pg_stat_replication is empty")
        )

    return Check(title="pg_stat_replication is empty", looks=(_look(night, host),), judge=judge)


def streams(night: NightContext, host: Host) -> Check:
    """Return the check that a standby streams from a server and does not lag."""
    limit = night.environment.max_lag

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        standbys = {str(row[0]): row[3] for row in outputs[0].rows if row[2] == "streaming"}
        if not standbys:
            return fails(f"no standby streams ({len(outputs[0].rows)} connected)")
        name, lag = min(standbys.items(), key=lambda item: _bytes(item[1], limit))
        sentence = f"{name} streams, lag {'unknown' if lag is None else size(int(str(lag)))}"
        return holds(sentence) if _bytes(lag, limit) <= limit else fails(f"{sentence}, allowed {size(limit)}")

    return Check(title=f"a standby streams, lag at most {size(limit)}", looks=(_look(night, host),), judge=judge)


def _bytes(lag: object, limit: int) -> int:
    """Return a lag in bytes; one that the server can't tell yet counts as too large."""
    return limit + 1 if lag is None else int(str(lag))


def _look(night: NightContext, host: Host) -> SqlQuery:
    database = night.environment.database_on(host)
    return SqlQuery(database=database.name, name="pg_stat_replication", statement=STANDBYS)


def _debt(host: Host) -> Debt:
    return Debt(what="standby", where=host.name)
