"""Row versions: xmin says whether a row was written after a snapshot, on the server process that gave the snapshot.

A server that was set back, or is a copy of another one, gives the same transaction ids out again. So a snapshot's text
names its server process; on any other, or if the text does not name it, the content of the rows decides.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from archiver.postgres.session import Session


def snapshot_text(session: Session) -> str:
    """Return the current snapshot as text: the oldest transaction id that it sees as running, and the server process.

    An id as rows hold it in xmin: without the number of rounds.
    """
    query = "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::bigint::text"
    return f"{session.row(query, doing='reading the snapshot')[0]} {_server_process(session)}".strip()


def oldest_trusted(session: Session, snapshots: Collection[str]) -> str | None:
    """Return the oldest transaction id of these snapshots; None unless this server process gave all of them."""
    process, texts = _server_process(session), [snapshot.split(" ", 1) for snapshot in set(snapshots)]
    if not process or not texts or any(text[1:] != [process] for text in texts):
        return None
    query = "SELECT x, age(x::xid) FROM unnest(%s::text[]) x ORDER BY 2 DESC"
    ages = session.rows(query, ([text[0] for text in texts],), doing="reading the snapshots")
    return None if ages[-1][1] < 0 else str(ages[0][0])


def trusted(sessions: Mapping[str, Session], snapshots: Mapping[str, str]) -> dict[str, str]:
    """Return the transaction id of each database's snapshot; databases on another server process are left out."""
    ids = {name: oldest_trusted(session, [snapshots.get(name, "")]) for name, session in sessions.items()}
    return {name: number for name, number in ids.items() if number is not None}


def _server_process(session: Session) -> str:
    """Return the server process as text, without spaces; empty if this role may not read the system identifier.

    A base backup has the identifier of the server that it came from, so its start time counts too. After a crash a
    server goes on with its old start time, and may give ids out again; but its statistics begin anew.
    """
    readable, started = session.row(_STARTED, doing="reading the server's start time")
    if not readable:
        return ""
    identifier = session.row("SELECT system_identifier FROM pg_control_system()", doing="reading the server's id")[0]
    return f"{identifier}/{started}"


_STARTED = """
SELECT pg_catalog.has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE'),
       pg_catalog.concat_ws('/', extract(epoch FROM pg_catalog.pg_postmaster_start_time()),
                            extract(epoch FROM (SELECT stats_reset FROM pg_catalog.pg_stat_bgwriter)))
"""
