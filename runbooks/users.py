"""Legacy users out of master, and back: the tasks under `inv users.…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, time

from invoke.collection import Collection
from invoke.exceptions import Exit

from archiver.load.load import Loaded
from archiver.records import purge_record
from archiver.runs import purge
from archiver.runs.purge import Purged
from archiver.runs.purge_candidates import LegacyUser, legacy_users
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from formatting import many, size
from inventory.model import Environment, Role
from runbooks.cli.call import Call
from runbooks.cli.confirm import confirmed
from runbooks.cli.options import ACTS, CONFIRM, DRY_RUN, IDENTITY, READS, Option
from runbooks.cli.parse import parse_date, parse_id
from runbooks.cli.task import task
from runbooks.cli.text.archives import counts
from runbooks.cli.text.records import purge_line
from runbooks.engine.live.console import clean, say

PURGE = "users.purge-legacy"
ACT = "purge these users"
BEFORE = Option(
    name="before",
    help="users who were last seen before this day, YYYY-MM-DD",
    parse=parse_date,
    required=True,
)
NUMBER = Option(name="number", help="the purge's number", parse=parse_id, positional=True, required=True)


def _confirm_for_debug_host(call: Call, dry_run: bool, confirm: str) -> dict[str, str | bool]:
    """On the debug host no terminal can ask: in production, show the users first, and have the purge confirmed here."""
    if not call.elsewhere or not call.environment.production or dry_run:
        return {}
    if not confirm and (code := call.changed({"dry_run": True}).forward()):
        raise Exit(code=code)
    confirmed(call.environment, confirm, ACT)
    return {"confirm": confirm or call.environment.name}


@task(
    PURGE,
    BEFORE,
    DRY_RUN.but(
        help="show which users would be purged and which stay, with rows and bytes; archive and delete nothing"
    ),
    *(CONFIRM, *ACTS),
    example="--before=2012-01-01",
    runs_on=Role.DEBUG,
    before=_confirm_for_debug_host,
)
def purge_legacy(environment: Environment, before: date, dry_run: bool, confirm: str) -> None:
    """Archive and delete super users and admins not seen since a date; keep anyone still referenced by a live row."""
    moment = datetime.combine(before, time(), environment.zone)
    if dry_run:
        with databases_of(environment, PURGE) as databases:
            _show(purge.group_of(databases, ids_of(users := legacy_users(databases, moment))), users)
        return
    with open_archiver(environment, PURGE) as archiver, archiver.databases.exclusive_lock():
        group = purge.group_of(archiver.databases, ids_of(users := legacy_users(archiver.databases, moment)))
        _show(group, users)
        if group.ids:
            confirmed(environment, confirm, ACT)
            year = environment.school_year(datetime.now(environment.zone).date())
            say("\n".join(purged_lines(purge.purge(archiver, group, moment, year))))


@task(
    "users.restore-legacy",
    *(NUMBER, IDENTITY.but(help=f"{IDENTITY.help}, where the archive is encrypted"), *ACTS),
    example="7",
    runs_on=Role.DEBUG,
)
def restore_legacy(environment: Environment, number: int, identity: str) -> None:
    """Bring the users of a purge back, with all rows that were deleted with them."""
    with (
        open_archiver(environment, "users.restore-legacy", identity=identity) as archiver,
        archiver.databases.exclusive_lock(),
    ):
        say(restored_line(number, purge.restore(archiver, number)))


@task("users.purges", *READS)
def purges(environment: Environment) -> None:
    """List the purges: users, times, locations, and which were restored."""
    with databases_of(environment, "users.purges") as databases:
        records = purge_record.every(databases.master)
    say("\n".join(map(purge_line, records)) or "There was no purge yet.")


def ids_of(users: Sequence[LegacyUser]) -> list[int]:
    """Return the ids of the users that no live row references."""
    return [user.id for user in users if not user.referenced_by]


def _show(group: purge.LegacyGroup, users: Sequence[LegacyUser]) -> None:
    for line in found_lines(group, users):
        say(clean(line))


def found_lines(group: purge.LegacyGroup, users: Sequence[LegacyUser]) -> Iterator[str]:
    """Yield a line for each legacy user, whether purged or referenced, then the number of rows and bytes."""
    for user in users:
        line = f"{user.role} {user.id} ({user.title or 'no name'}), last seen {user.seen:%Y-%m-%d}"
        yield line + (f"; STAYS, referenced by {', '.join(user.referenced_by)}" if user.referenced_by else "")
    sizes = purge.sizes(group)
    if not users:
        yield "No legacy users: every super user and admin was seen since that day."
        return
    rows = counts({table: count for table, (count, _) in sizes.items() if count})
    total = sum(bytes_ for _, bytes_ in sizes.values())
    yield f"{len(group.ids)} of {len(users)} would be purged: {rows or 'no rows'}; {size(total)}"


def purged_lines(done: Purged) -> Iterator[str]:
    """Yield the result of a purge, then the rows added meanwhile that reference a purged user."""
    record = done.purge
    users, rows = many(len(record.ids), "user"), f"{record.rows:,} rows in {record.location}"
    yield f"purge {record.id}: {users} purged, {rows} ({size(record.size or 0)})"
    for number, by in done.late.items():
        yield f"ADDED MEANWHILE, references purged user {number}: {', '.join(by)}; inv users.restore-legacy {record.id}"


def restored_line(number: int, tables: dict[str, Loaded]) -> str:
    """Return the result of a purge's restore, in a line."""
    total = sum(tables.values(), Loaded())
    line = f"purge {number}: restored, {total.inserted:,} rows"
    line += f"; {total.there:,} were live already" if total.there else ""
    return line + (f"; {total.differing:,} are live with other content, and stay" if total.differing else "")


namespace = Collection("users", purge_legacy, restore_legacy, purges)
