"""The front door: every collection in one namespace; of a task that is named, only what holds it is imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

from invoke.collection import Collection

MODULES = ("cutover", "archive", "restore", "activity", "shards", "check", "databases", "users", "rehearsal")
ALONE: Mapping[str, tuple[str, ...]] = {  # modules of `archive` that need little of the rest, and their tasks
    "lists": ("audit", "status", "list", "show", "find"),
    "log": ("log", "accept"),
    "catalog": ("check-catalog", "catalog-draft", "check-stored"),
    "scope": ("scope",),
    "stragglers": ("stragglers",),
}


def every_collection() -> Iterator[Collection]:
    """Import and yield all collections; that of the cutover comes with one for each area of its steps."""
    from runbooks import activity, archive, check, cutover, databases, rehearsal, restore, shards, users

    yield from (cutover.namespace, *cutover.areas)
    for module in (archive, restore, activity, shards, check, databases, users, rehearsal):
        yield module.namespace


def named_collections(words: Sequence[str]) -> Iterator[Collection]:
    """Import and yield what holds the one task that a command line names; all collections if that is not certain.

    Importing them all takes longer than most tasks that a night starts.
    """
    names = [word for word in words if "." in word and not word.startswith("-")]
    collection, _, task = names[0].partition(".") if len(names) == 1 else ("", "", "")
    alone = [module for module, tasks in ALONE.items() if collection == "archive" and task in tasks]
    if alone:
        yield Collection(collection, *import_module(f"runbooks.archives.{alone[0]}").tasks)
    elif collection in MODULES:
        yield import_module(f"runbooks.{collection}").namespace
    else:
        yield from every_collection()


namespace = Collection(*named_collections(sys.argv[1:]))
