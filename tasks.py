"""The front door: every collection in one namespace; of a task that is run, only what declares it is imported."""

from __future__ import annotations

from collections.abc import Iterator

from invoke.collection import Collection

from runbooks.cli.listing import listed


def declared() -> Iterator[Collection]:
    """Import and yield all collections; that of the cutover comes with one for each area of its steps."""
    from runbooks import activity, archive, check, cutover, databases, rehearsal, restore, shards, users

    yield from (cutover.namespace, *cutover.areas)
    for module in (archive, restore, activity, shards, check, databases, users, rehearsal):
        yield module.namespace


namespace = Collection(*listed(declared))
