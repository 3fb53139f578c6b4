"""Each database server: the right one, a primary of a supported version, with a standby and no leftovers."""

from __future__ import annotations

from inventory.model import Database, Host
from runbooks.engine.model.actions import ProbeOutput, SqlQuery
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.step import Check, Truth, Verdict, fails, holds
from runbooks.steps import replicas, vacuum
from runbooks.steps.context import NightContext

IDENTITY = """
SELECT system_identifier, pg_is_in_recovery(), current_setting('server_version_num')::int FROM pg_control_system()
"""
MEMBERSHIP = "SELECT current_user, pg_has_role(current_user, 'pg_monitor', 'USAGE')"
COUNTING = "SELECT current_setting('track_counts')"
OLDEST, NEWEST = 13, 18  # major versions


def subject(night: NightContext, host: Host) -> Subject:
    """Return everything that must hold of a database server."""
    database = night.environment.database_on(host)
    return Subject(
        name=f"{database.name} on {host.name}",
        preconditions=(
            *of_archiver(database),
            Precondition(
                check=replicas.streams(night, host), advice="Start its standby, or find out why it does not stream."
            ),
            Precondition(check=replicas.no_idle_slot(night, host), advice="Drop the unused ones: they retain WAL."),
            _commits_wait(night, host),
            Precondition(
                check=vacuum.none_prepared(night, host), advice="Have their owner commit them or roll them back."
            ),
            _none_old(night, host),
        ),
    )


def of_archiver(database: Database) -> tuple[Precondition, ...]:
    """Return what must hold of a server to archive anything from it, in a night or not."""
    counted = "ALTER SYSTEM SET track_counts TO on, and reload: deletions are held to what the server counts."
    return (
        Precondition(check=right_server(database), advice=_where(database), all_night=True),
        Precondition(check=sees_others(database), advice="It needs: GRANT pg_monitor TO that role."),
        Precondition(check=counts_changes(database), advice=counted),
    )


def right_server(database: Database) -> Check:
    """Return the check that it is the inventory's server, a primary, of a supported version."""
    inventory_identifier = database.system_identifier

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((identifier, in_recovery, version),) = outputs[0].rows
        major, minor = divmod(int(str(version)), 10_000)
        wrong = []
        if inventory_identifier is not None and identifier != inventory_identifier:
            wrong.append(f"its system identifier is {identifier}, expected {inventory_identifier}")
        if in_recovery:
            wrong.append("it is in recovery: a standby, expected the primary")
        if not OLDEST <= major <= NEWEST:
            wrong.append(f"it is PostgreSQL {major}.{minor}, expected {OLDEST} to {NEWEST}")
        if wrong:
            return fails("; ".join(wrong))
        unproven = "" if inventory_identifier else " (the inventory names none)"
        return holds(f"primary, PostgreSQL {major}.{minor}, system identifier {identifier}{unproven}")

    look = SqlQuery(
        database=database.name, name="system identifier, recovery, version", statement=IDENTITY, own_session=True
    )
    expected = f"system identifier {inventory_identifier}" if inventory_identifier else "any system identifier"
    title = f"a primary with {expected}, PostgreSQL {OLDEST} to {NEWEST}"
    return Check(title=title, looks=(look,), judge=judge)


def sees_others(database: Database) -> Check:
    """Return the check that the role sees standbys, locks and transactions of other roles."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((role, sees),) = outputs[0].rows
        return holds(f"{role} sees them") if sees else fails(f"{role} is no member of pg_monitor")

    look = SqlQuery(database=database.name, name="membership in pg_monitor", statement=MEMBERSHIP)
    return Check(title="a role with pg_monitor", looks=(look,), judge=judge)


def counts_changes(database: Database) -> Check:
    """Return the check that the server counts the rows that a transaction changes."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        ((setting,),) = outputs[0].rows
        return holds("track_counts is on") if setting == "on" else fails(f"track_counts is {setting}")

    look = SqlQuery(database=database.name, name="track_counts", statement=COUNTING)
    return Check(title="changes of rows are counted", looks=(look,), judge=judge)


def _where(database: Database) -> str:
    return f"Look at databases/{database.name} in the inventory: connection, pooler, system_identifier."


def _commits_wait(night: NightContext, host: Host) -> Precondition:
    """Return the check that warns where step 7 will have to switch off what commits wait for, and step 11 on."""
    advice = (
        f"Step 7 terminates those standbys, and wants before its proof: {replicas.ALONE} Step 11 wants it as it was."
    )
    return Precondition(check=replicas.synchronous_by_day(night, host), advice=advice, stops=(Truth.UNSEEN,))


def _none_old(night: NightContext, host: Host) -> Precondition:
    """Return the check for long transactions; while the product runs they may still end before step 9 checks again."""
    advice = "VACUUM FULL refuses to run while it lasts; a role that can't see it needs GRANT pg_monitor."
    return Precondition(check=vacuum.none_old(night, host), advice=advice, stops=(Truth.UNSEEN,))
