"""VACUUM FULL: gives the space of the deleted rows back to the disk."""

from __future__ import annotations

from datetime import datetime, timedelta

from inventory.model import Host, Role
from runbooks.engine.actions import Reading, SqlQuery
from runbooks.engine.history import Facts
from runbooks.engine.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.tonight import Tonight
from runbooks.units import size

SIZE = "SELECT pg_database_size(current_database())"
# Counting what was analysed is all that statistics tell of VACUUM FULL before PostgreSQL 19.
STATE = """
SELECT pg_database_size(current_database()), schemaname || '.' || relname, last_analyze
  FROM pg_stat_user_tables
 ORDER BY last_analyze NULLS FIRST, 2
"""


def full(tonight: Tonight) -> Step:
    """Vacuum full on every database server."""
    key = "vacuum.full"
    lasts = timedelta(hours=12)
    tasks = [
        tonight.task(key, host, checks=(vacuumed(tonight, host),), lasts=lasts, before=_size(tonight, host))
        for host in tonight.database_hosts
    ]
    return Step(key=key, title="Vacuum full", mark=Mark.AUTOMATE, tasks=tuple(tasks), estimate=timedelta(minutes=30))


def vacuumed(tonight: Tonight, host: Host) -> Check:
    """Every table was analysed after archiving ended; the proof is the size before and after."""
    debug = tonight.environment.only(Role.DEBUG).name
    look = SqlQuery(database=_database(tonight, host), name="size, and when each table was analysed", statement=STATE)

    def judge(readings: tuple[Reading, ...], facts: Facts) -> Verdict:
        archived = facts.finished("archiving.run", debug)
        if archived is None:
            return fails("archiving has not ended in this run, so nothing was vacuumed after it")
        rows = readings[0].rows
        late = [
            str(table) for _, table, analysed in rows if not (isinstance(analysed, datetime) and analysed > archived)
        ]
        if late or not rows:
            return fails(f"not yet vacuumed: {len(late)} of {len(rows)} tables, such as {', '.join(late[:1])}")
        before, after = facts.before("vacuum.full", host.name), int(str(rows[0][0]))
        was = int(before[0][0]) if before else None
        shown = f"{size(was)} → {size(after)}" if was is not None else f"{size(after)} now, unknown before"
        return holds(f"{shown}, {len(rows)} tables", before=was, after=after)

    return Check(title="every table analysed after step 8; bytes before and after", looks=(look,), judge=judge)


def _size(tonight: Tonight, host: Host) -> SqlQuery:
    return SqlQuery(database=_database(tonight, host), name="size", statement=SIZE)


def _database(tonight: Tonight, host: Host) -> str:
    return tonight.environment.database_on(host).name
