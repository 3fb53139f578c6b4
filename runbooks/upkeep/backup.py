"""Backups on a database server: the tasks under `inv databases.…` that steps 5 and 6 call there."""

from __future__ import annotations

import json

from invoke.context import Context

from errors import CutoverError, UsageError
from inventory.load import refuse_if_down
from inventory.model import Backups, Database, Environment
from platforms.backup import newest, take
from platforms.backup_copy import newest_stored, send
from runbooks.cli.debug_host import own_name
from runbooks.cli.task import ENV, Addresses, load_environment, task
from runbooks.engine.live.console import say
from runbooks.engine.live.interrupt import second_interrupt_exits

HELP = {
    "env": ENV,
    "stored": "of the newest stored copy, not of the newest backup here",
    "yes-production": "say it where the environment is production",
}


@task(help=HELP)
def backup(context: Context, env: str = "", yes_production: bool = False) -> None:
    """Take a backup of the database on this host, and verify it; so does step 5, where the inventory has backups."""
    environment = load_environment(env, yes_production=yes_production)
    backups, database = _here(environment)
    with second_interrupt_exits():
        taken = take(backups, database, say)
    say(f"{database.name}: {taken.folder}, {len(taken.files):,} files, verified, SHA-256 {taken.sha256[:12]}…")


@task(name="send-backup", help=HELP)
def send_backup(context: Context, env: str = "", yes_production: bool = False) -> None:
    """Send the newest backup of the database on this host to the store, with checksums; so does step 6."""
    environment = load_environment(env, yes_production=yes_production, addresses=Addresses.UNASKED)
    backups, database = _here(environment)
    found = newest(database)
    if found is None:
        raise CutoverError(f"There is no backup of {database.name} to send.", hint="inv databases.backup takes one.")
    with second_interrupt_exits():
        say(f"{database.name}: {send(found, backups, say)}, SHA-256 {found.sha256[:12]}…")


@task(name="newest-backup", help=HELP)
def newest_backup(context: Context, stored: bool = False, env: str = "") -> None:
    """Say of the newest backup of the database on this host, or of its stored copy, what proves it, as JSON."""
    environment = load_environment(env, read_only=True, addresses=Addresses.UNASKED)
    backups, database = _here(environment)
    if stored:
        say(json.dumps(newest_stored(backups, database.name)))
    else:
        found = newest(database)
        say(json.dumps(found.to_json() if found else {}))


def _here(environment: Environment) -> tuple[Backups, Database]:
    """What the inventory says of backups, and the database on this host; UsageError anywhere else."""
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
