"""Backups on a database server: the tasks under `inv databases.…` that steps 5 and 6 call there."""

from __future__ import annotations

import json

from errors import CutoverError, UsageError
from inventory.load import refuse_if_down
from inventory.model import Backups, Database, Environment
from platforms.backup import newest, take
from platforms.backup_copy import newest_stored, send
from runbooks.cli.debug_host import own_name
from runbooks.cli.environment import Addresses
from runbooks.cli.options import ACTS, READS, Option
from runbooks.cli.task import task
from runbooks.engine.live.console import say
from runbooks.engine.live.interrupt import second_interrupt_exits

STORED = Option(name="stored", help="the newest stored copy, instead of the newest backup on this host", default=False)


@task("databases.backup", *ACTS)
def backup(environment: Environment) -> None:
    """Take a backup of the database on this host, and verify it; so does step 5, if the inventory has backups."""
    backups, database = _on_this_host(environment)
    with second_interrupt_exits():
        taken = take(backups, database, say)
    say(f"{database.name}: {taken.folder}, {len(taken.files):,} files, verified, SHA-256 {taken.sha256[:12]}…")


@task("databases.send-backup", *ACTS, addresses=Addresses.UNASKED)
def send_backup(environment: Environment) -> None:
    """Send the newest backup on this host to the store, with checksums; so does step 6."""
    backups, database = _on_this_host(environment)
    local = newest(database)
    if local is None:
        raise CutoverError(f"There is no backup of {database.name} to send.", hint="inv databases.backup takes one.")
    with second_interrupt_exits():
        say(f"{database.name}: {send(local, backups, say)}, SHA-256 {local.sha256[:12]}…")


@task("databases.newest-backup", STORED, *READS, addresses=Addresses.UNASKED)
def newest_backup(environment: Environment, stored: bool) -> None:
    """Show the newest backup of the database on this host, or its stored copy, and its verification, as JSON."""
    backups, database = _on_this_host(environment)
    if stored:
        say(json.dumps(newest_stored(backups, database.name)))
    else:
        local = newest(database)
        say(json.dumps(local.to_json() if local else {}))


def _on_this_host(environment: Environment) -> tuple[Backups, Database]:
    """Return the inventory's backups and the database on this host; UsageError if it has none."""
    refuse_if_down(environment)
    if environment.backups is None:
        raise UsageError(
            f"{environment.name}: no backups in the inventory.", hint="inventory/example.yaml explains them."
        )
    host = own_name(environment)
    for database in environment.databases.values():
        if database.host == host:
            return environment.backups, database
    hint = f"{environment.host_name_file} says which host this is."
    raise UsageError(f"Backups are taken on a database server, and this is {host or 'no host of it'}.", hint=hint)


tasks = (backup, send_backup, newest_backup)
