"""VACUUM FULL: gives the space of the deleted rows back to the disk."""

from __future__ import annotations

from datetime import datetime, timedelta

from formatting import in_minutes, size
from inventory.model import Host, Role
from runbooks.engine.model.actions import ProbeOutput, SqlQuery
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import past_moment
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds, unseen
from runbooks.steps.context import NightContext, builds
from runbooks.steps.earlier_steps import done_earlier

SIZE = "SELECT pg_database_size(current_database())"
# Before PostgreSQL 19, VACUUM FULL leaves no trace in the statistics but that of its ANALYZE.
STATE = """
SELECT pg_database_size(current_database()), schemaname || '.' || relname, last_analyze
  FROM pg_stat_user_tables
 ORDER BY last_analyze NULLS FIRST, 2
"""
# While they last, both block VACUUM FULL or keep it from returning space.
PREPARED = "SELECT gid, owner FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared"
OLD = timedelta(minutes=5)  # as in OPEN
OPEN = """
SELECT me.sees_all, other.pid, other.usename, other.application_name, extract(epoch FROM now() - other.xact_start)::int
  FROM (SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all) me
  LEFT JOIN pg_stat_activity other
    ON other.datname = current_database() AND other.backend_type = 'client backend'
   AND other.xact_start < now() - interval '5 minutes'
 ORDER BY other.xact_start
"""


@builds("vacuum.full")
def full(night: NightContext, key: str) -> Step:
    """Vacuum full on every database server."""
    lasts = timedelta(hours=12)
    tasks = [
        night.task(
            key,
            host,
            checks=(vacuumed(night, host),),
            lasts=lasts,
            needs=(archived(night), none_prepared(night, host), none_old(night, host)),
            before=_size(night, host),
        )
        for host in night.database_hosts
    ]
    return Step(key=key, title="Vacuum full", mark=Mark.AUTOMATE, tasks=tuple(tasks), estimate=timedelta(minutes=30))


def archived(night: NightContext) -> Check:
    """Return the check that archiving has ended in this night: the vacuum is proven by being later."""
    debug = night.environment.only(Role.DEBUG).name
    return done_earlier("archiving has ended in this night", ("archiving.run", debug))


def vacuumed(night: NightContext, host: Host) -> Check:
    """Return the check that every table was analyzed after archiving ended; its proof is the size before and after."""
    debug = night.environment.only(Role.DEBUG).name
    look = SqlQuery(database=_database(night, host), name="size, and when each table was analysed", statement=STATE)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        archived = facts.finished("archiving.run", debug)
        if archived is None:
            return fails("archiving has not ended in this run, so nothing was vacuumed after it")
        rows = outputs[0].rows
        late = [
            str(table)
            for _, table, analyzed in rows
            if not (isinstance(analyzed, datetime) and past_moment(analyzed, facts.now) > archived)
        ]
        if late or not rows:
            return fails(f"not yet vacuumed: {len(late)} of {len(rows)} tables, such as {', '.join(late[:1])}")
        before, after = facts.before("vacuum.full", host.name), int(str(rows[0][0]))
        was = int(before[0][0]) if before else None
        sizes = f"{size(was)} → {size(after)}" if was is not None else f"{size(after)} now, unknown before"
        return holds(f"{sizes}, {len(rows)} tables", before=was, after=after)

    return Check(title="every table analysed after archiving; bytes before and after", looks=(look,), judge=judge)


def none_prepared(night: NightContext, host: Host) -> Check:
    """Return the check that no prepared transaction is waiting to be finished."""
    look = SqlQuery(database=_database(night, host), name="prepared transactions", statement=PREPARED)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        names = [f"{name} of {owner}" for name, owner in outputs[0].rows]
        return (
            fails(f"prepared transactions are waiting: {', '.join(names)}")
            if names
            else holds("no prepared transaction")
        )

    return Check(title="no prepared transaction", looks=(look,), judge=judge)


def none_old(night: NightContext, host: Host) -> Check:
    """Return the check that no transaction has been open for long, as far as the role sees others'."""
    look = SqlQuery(database=_database(night, host), name="open transactions", statement=OPEN)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        rows = outputs[0].rows
        old = [_transaction(row) for row in rows if row[1] is not None]
        if old:
            return fails(f"transactions have been open for long: {'; '.join(old)}")
        if not all(row[0] for row in rows):
            return unseen("the role sees only its own transactions: it is not a member of pg_read_all_stats")
        return holds(f"no transaction older than {in_minutes(OLD)}")

    return Check(title=f"no transaction older than {in_minutes(OLD)}", looks=(look,), judge=judge)


def _transaction(row: tuple[object, ...]) -> str:
    _, pid, role, program, seconds = row
    return f"pid {pid} of {role} ({program or 'no name'}) for {in_minutes(timedelta(seconds=int(str(seconds))))}"


def _size(night: NightContext, host: Host) -> SqlQuery:
    return SqlQuery(database=_database(night, host), name="size", statement=SIZE)


def _database(night: NightContext, host: Host) -> str:
    return night.environment.database_on(host).name
