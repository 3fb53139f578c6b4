"""Legacy users out of master, and back: the tasks under `inv users.…`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import partial

from invoke.collection import Collection
from invoke.exceptions import Exit

from archiver.load.load import Loaded
from archiver.records import purge_record
from archiver.runs import purge
from archiver.runs.context import Archiver
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.monthly_slices import done_loading
from archiver.runs.purge import LegacyGroup, Purged
from archiver.runs.purge_candidates import LegacyUser, legacy_users
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from formatting import many, size
from inventory.model import Environment, Role
from runbooks.cli.call import Call
from runbooks.cli.confirm import confirmed
from runbooks.cli.options import ACTS, CONFIRM, DRY_RUN, IDENTITY, READS, Option
from runbooks.cli.outcomes import Results, Words
from runbooks.cli.parse import parse_date, parse_id
from runbooks.cli.task import task
from runbooks.cli.text.archives import counts, restored_besides
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
    """Archive and delete legacy users: super users and admins not seen since a date, unless still referenced."""
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
            results = Results(PurgeWords(), 1, alone=True)
            results.settle(for_each([group], lambda group: _purge(archiver, group, moment, year), results.show))


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
        results = Results(PurgeRestoreWords(), 1, alone=True)
        results.settle(for_each([number], partial(_restore, archiver), results.show))


@task("users.purges", *READS)
def purges(environment: Environment) -> None:
    """List the purges: users, times, locations, and which were restored."""
    with databases_of(environment, "users.purges") as databases:
        records = purge_record.every(databases.master)
    say("\n".join(map(purge_line, records)) or "There was no purge yet.")


def _purge(archiver: Archiver, group: LegacyGroup, before: datetime, year: int) -> Done[Purged]:
    purged = purge.purge(archiver, group, before, year)
    return Done(rows=purged.purge.rows, size=purged.purge.size or 0, detail=purged)


def _restore(archiver: Archiver, number: int) -> Done[Mapping[str, Loaded]]:
    return done_loading(purge.restore(archiver, number), 0)


def ids_of(users: Sequence[LegacyUser]) -> list[int]:
    """Return the ids of the users that no live row references."""
    return [user.id for user in users if not user.referenced_by]


def _show(group: LegacyGroup, users: Sequence[LegacyUser]) -> None:
    for line in found_lines(group, users):
        say(clean(line))


def found_lines(group: LegacyGroup, users: Sequence[LegacyUser]) -> Iterator[str]:
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


@dataclass(frozen=True, kw_only=True)
class PurgeWords(Words[LegacyGroup, Purged]):
    """The words for legacy users that are purged together."""

    noun: str = "purge"
    verb: str = "purged"

    def line(self, outcome: Outcome[LegacyGroup, Purged]) -> str:
        """Return the result of a purge, then the rows added meanwhile that reference a purged user."""
        purged, record = outcome.result(), outcome.result().purge
        users = many(len(record.ids), "user")
        lines = [f"{self.noun} {record.id}: {users} {self.done(outcome)}; in {record.location}"]
        for number, by in purged.late.items():
            late = f"ADDED MEANWHILE, references purged user {number}: {', '.join(by)}"
            lines.append(f"{late}; inv users.restore-legacy {record.id}")
        return "\n".join(lines)


@dataclass(frozen=True, kw_only=True)
class PurgeRestoreWords(Words[int, Mapping[str, Loaded]]):
    """The words for a purge that is restored."""

    noun: str = "purge"
    verb: str = "restored"

    def more(self, outcome: Outcome[int, Mapping[str, Loaded]]) -> Iterator[str]:
        """Yield what was live."""
        return restored_besides(outcome.result())


namespace = Collection("users", purge_legacy, restore_legacy, purges)
