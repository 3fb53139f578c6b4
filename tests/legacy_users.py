"""Legacy users out of a world and back, as `inv users.purge` does it."""

from __future__ import annotations

from datetime import UTC, datetime

from archiver.runs import purge
from archiver.runs.context import Archiver
from archiver.runs.purge import Purged
from archiver.runs.purge_candidates import legacy_users
from runbooks.users import ids_of

BEFORE = datetime(2012, 1, 1, tzinfo=UTC)
OLD = "SELECT id FROM users WHERE role IN ('super user', 'legacy admin') AND last_sign_in_at < '2012-01-01'"


def purged(archiver: Archiver) -> Purged:
    """Purge every user who may be deleted, as the task does."""
    with archiver.databases.exclusive_lock():
        group = purge.group_of(archiver.databases, ids_of(legacy_users(archiver.databases, BEFORE)))
        return purge.purge(archiver, group, BEFORE, 2013)
