"""The front door: every collection in one namespace."""

from __future__ import annotations

from invoke.collection import Collection

from runbooks import activity, archive, check, cutover, databases, rehearsal, restore, shards, users

namespace = Collection(
    cutover.namespace,
    *cutover.areas,
    archive.namespace,
    restore.namespace,
    activity.namespace,
    shards.namespace,
    check.namespace,
    databases.namespace,
    users.namespace,
    rehearsal.namespace,
)
