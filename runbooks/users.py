"""People of old out of master, and back: the tasks under `inv users.…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, time

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.load.load import Loaded
from archiver.records import purge_record
from archiver.runs import purge
from archiver.runs.purge import Purged
from archiver.runs.purge_candidates import LegacyUser, legacy_users
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from formatting import size
from inventory.model import Environment
from runbooks.cli.confirm import CONFIRM, confirmed
from runbooks.cli.debug_host import IDENTITY, belongs_elsewhere, forward
from runbooks.cli.task import ENV, load_environment, parse_date, parse_id, task
from runbooks.cli.text.archives import counts
from runbooks.cli.text.records import purge_line
from runbooks.engine.live.console import clean, say

PURGE = "users.purge-legacy"
ACT = "purge these people"
HELP = {
    "env": ENV,
    "before": "who was last seen before this day, YYYY-MM-DD",
    "dry-run": "show who would go and who stays, with rows and bytes; archive and delete nothing",
    "identity": f"where the archive is encrypted: {IDENTITY}",
    "confirm": CONFIRM,
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(name="purge-legacy", help=HELP)
def purge_legacy(
    context: Context,
    before: str = "",
    dry_run: bool = False,
    env: str = "",
    confirm: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Archive super users and admins whom nobody saw since a day, and delete them; whom a live row names, stays."""
    day = parse_date(before, "--before")
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run)
    if belongs_elsewhere(environment, here=here):
        raise Exit(code=_forwarded(environment, before, confirm, dry_run=dry_run))
    moment = datetime.combine(day, time(), environment.zone)
    if dry_run:
        with databases_of(environment, PURGE) as databases:
            _show(purge.group_of(databases, ids_of(found := legacy_users(databases, moment))), found)
        return
    with open_archiver(environment, PURGE) as archiver, archiver.databases.exclusive_lock():
        group = purge.group_of(archiver.databases, ids_of(found := legacy_users(archiver.databases, moment)))
        _show(group, found)
        if group.ids:
            confirmed(environment, confirm, ACT)
            year = environment.school_year(datetime.now(environment.zone).date())
            say("\n".join(purged_lines(purge.purge(archiver, group, moment, year))))


def _forwarded(environment: Environment, before: str, confirm: str, *, dry_run: bool) -> int:
    """Does it on the debug host, where no terminal is: in production it is shown first, and confirmed here."""
    if environment.production and not dry_run and not confirm:
        if code := forward(environment, PURGE, before=before, dry_run=True):
            return code
        confirmed(environment, confirm, ACT)
    word = environment.name if environment.production and not dry_run else ""
    return forward(environment, PURGE, before=before, dry_run=dry_run, confirm=confirm or word)


@task(positional=["number"], name="restore-legacy", help={**HELP, "number": "the purge's number"})
def restore_legacy(
    context: Context, number: str, env: str = "", identity: str = "", here: bool = False, yes_production: bool = False
) -> None:
    """Bring the people of a purge back, with all that went with them."""
    wanted = parse_id(number, "number")
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        raise Exit(code=forward(environment, "users.restore-legacy", number, identity=identity))
    with (
        open_archiver(environment, "users.restore-legacy", identity=identity) as archiver,
        archiver.databases.exclusive_lock(),
    ):
        say(restored_line(wanted, purge.restore(archiver, wanted)))


@task(help=HELP)
def purges(context: Context, env: str = "") -> None:
    """List the purges: who went when, where they lie, and which came back."""
    with databases_of(load_environment(env, read_only=True), "users.purges") as databases:
        found = purge_record.every(databases.master)
    say("\n".join(map(purge_line, found)) or "Nobody was ever purged.")


def ids_of(found: Sequence[LegacyUser]) -> list[int]:
    """Those whom nobody would miss."""
    return [person.id for person in found if not person.referenced_by]


def _show(group: purge.LegacyGroup, found: Sequence[LegacyUser]) -> None:
    for line in found_lines(group, found):
        say(clean(line))


def found_lines(group: purge.LegacyGroup, found: Sequence[LegacyUser]) -> Iterator[str]:
    """Who goes and who stays, and how much that is."""
    for person in found:
        line = f"{person.role} {person.id} ({person.title or 'no name'}), last seen {person.seen:%Y-%m-%d}"
        yield line + (f"; STAYS, named by {', '.join(person.referenced_by)}" if person.referenced_by else "")
    sizes = purge.sizes(group)
    if not found:
        yield "Nobody to purge: no super user and no admin of old was last seen before that day."
        return
    rows = counts({table: count for table, (count, _) in sizes.items() if count})
    total = sum(bytes_ for _, bytes_ in sizes.values())
    yield f"{len(group.ids)} of {len(found)} would go: {rows or 'no rows'}; {size(total)}"


def purged_lines(done: Purged) -> Iterator[str]:
    """What a purge came to."""
    one = done.purge
    yield f"purge {one.id}: {len(one.ids)} people gone, {one.rows:,} rows in {one.location} ({size(one.size or 0)})"
    for number, by in done.late.items():
        yield f"CAME LATER and names {number}, who is gone: {', '.join(by)}; inv users.restore-legacy {one.id}"


def restored_line(number: int, tables: dict[str, Loaded]) -> str:
    """What came back."""
    inserted = sum(loaded.inserted for loaded in tables.values())
    there, differing = (sum(getattr(loaded, key) for loaded in tables.values()) for key in ("there", "differing"))
    line = f"purge {number}: restored, {inserted:,} rows"
    line += f"; {there:,} were live already" if there else ""
    return line + (f"; {differing:,} are live with other content, and stay" if differing else "")


namespace = Collection("users", purge_legacy, restore_legacy, purges)
