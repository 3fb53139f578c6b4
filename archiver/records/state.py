"""The life cycle of an archive, whatever its kind: its states, and which may follow which. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum


class Kind(Enum):
    """The kinds of archives. The ledger numbers and finds them by kind."""

    TENANT = "tenant"  # all rows of a tenant in a year
    MONTH = "month"  # past months' activity of a shard: a slice for each tenant
    PURGE = "purge"  # legacy users
    MOVE = "move"  # a tenant's rows of a shard, on their way to another


class State(Enum):
    """The states of an archive. Each is written before the act it names, or with it."""

    EXTRACTING = "extracting"  # rows are being read; nothing is stored
    STORED = "stored"  # the object is in the store
    VERIFIED = "verified"  # it was fetched, restored and compared
    DELETING = "deleting"  # the live rows are being deleted
    ARCHIVED = "archived"  # the live rows are deleted
    RESTORING = "restoring"  # rows are being loaded; at the end the record is deleted
    RESTORED = "restored"  # of a purge: the rows are live again, and the record stays
    PLANNED = "planned"  # of a move: rows are read, stored and verified; both shards are unchanged
    LOADING = "loading"  # rows are loaded into the target; master still names the source
    SWITCHED = "switched"  # master names the target; rows may be left in the source
    MOVED = "moved"  # the source is empty


UNDONE = (State.EXTRACTING, State.STORED, State.VERIFIED, State.DELETING)  # a later run may replace or end it
LIVE_AGAIN = (State.RESTORED, State.MOVED)  # the record stays when the rows are live

# By kind, what may follow a state; None: no record. A state may also be written again. docs/architecture.md draws them.
TRANSITIONS: Mapping[Kind, Mapping[State | None, frozenset[State | None]]] = {
    Kind.TENANT: {
        None: frozenset({State.EXTRACTING, State.DELETING, State.ARCHIVED}),
        State.EXTRACTING: frozenset({State.STORED, State.DELETING, None}),
        State.STORED: frozenset({State.VERIFIED, State.DELETING, None}),
        State.VERIFIED: frozenset({State.DELETING, State.EXTRACTING, None}),
        State.DELETING: frozenset({State.ARCHIVED, State.VERIFIED, State.STORED, State.EXTRACTING, None}),
        State.ARCHIVED: frozenset({State.RESTORING, None}),
        State.RESTORING: frozenset({State.ARCHIVED, None}),
    },
    Kind.MONTH: {
        None: frozenset({State.EXTRACTING, State.ARCHIVED}),
        State.EXTRACTING: frozenset({State.STORED, State.DELETING, None}),
        State.STORED: frozenset({State.VERIFIED, State.DELETING, None}),
        State.VERIFIED: frozenset({State.DELETING, None}),
        State.DELETING: frozenset({State.ARCHIVED, None}),
        State.ARCHIVED: frozenset({None}),
    },
    Kind.PURGE: {
        None: frozenset({State.EXTRACTING, State.ARCHIVED}),
        State.EXTRACTING: frozenset({State.STORED}),
        State.STORED: frozenset({State.VERIFIED}),
        State.VERIFIED: frozenset({State.ARCHIVED}),
        State.ARCHIVED: frozenset({State.RESTORED}),
    },
    Kind.MOVE: {
        None: frozenset({State.PLANNED, State.LOADING, State.SWITCHED, State.MOVED}),
        State.PLANNED: frozenset({State.LOADING, State.SWITCHED, None}),
        State.LOADING: frozenset({State.SWITCHED, None}),
        State.SWITCHED: frozenset({State.MOVED}),
    },
}
