"""The act that settles what a run that was cut off, or a database that was set back, left of an archive. Pure.

The database that commits first leaves a marker; master's record says how far it knows. The table has every pair of
both, for each kind of archive, and is asked before anything is begun or written about one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import Enum

from archiver.records.markers import DELETED, MOVED_IN, MOVED_OUT
from archiver.records.state import Kind, State


class Seen(Enum):
    """The traces of an archive's rows in the databases that commit before master."""

    NOTHING = "no marker"
    DELETED = "its rows were deleted there"
    RESTORED = "its rows were deleted there, and loaded again"
    MOVED_IN = "its rows were loaded into the target"
    MOVED_OUT = "its rows were deleted from the source, too"


class Settlement(Enum):
    """The ways to settle an archive."""

    NOTHING = "nothing"  # the record says what is there, or no rows were touched
    FINISH = "finish"  # a COMMIT took effect that master does not know of: do the rest
    STEP_BACK = "step back"  # the act was begun and nothing committed: write that it did not happen
    COMPARE = "compare"  # the rows themselves decide: step back where they are still held, else finish, else refuse
    REFUSE = "refuse"  # a database was set back: name the archive that holds the rows, and change nothing


def seen(acts: Collection[str]) -> Seen:
    """Return the trace that these acts of an archive's markers leave; a slice's begin with `slice` and its tenant."""
    words = {act.split(" ")[-1] if act.startswith("slice ") else act for act in acts}
    if MOVED_OUT in words:
        return Seen.MOVED_OUT
    if MOVED_IN in words:
        return Seen.MOVED_IN
    if "restored" in words:  # of a part the act names that, too: the rest is deleted still
        return Seen.RESTORED
    return Seen.DELETED if words & {DELETED, "went"} else Seen.NOTHING


def settlement(kind: Kind, state: State | None, trace: Seen) -> Settlement:
    """Return how to settle an archive of this kind in this state of its record; None: master has no record of it."""
    return TABLE[kind][state, trace]


def finished_from(kind: Kind) -> tuple[State, ...]:
    """Return the states from before a deletion that are finished if its marker shows that it took place."""
    return tuple(
        state
        for (state, trace), act in TABLE[kind].items()
        if state and state is not State.DELETING and (trace, act) == (Seen.DELETED, Settlement.FINISH)
    )


def _rows(
    *lines: tuple[State | None, Mapping[Seen, Settlement]],
) -> Mapping[tuple[State | None, Seen], Settlement]:
    return {(state, trace): act for state, acts in lines for trace, act in acts.items()}


def _deleted(nothing: Settlement, deleted: Settlement, restored: Settlement) -> Mapping[Seen, Settlement]:
    return {Seen.NOTHING: nothing, Seen.DELETED: deleted, Seen.RESTORED: restored}


def _moved(nothing: Settlement, moved_in: Settlement, moved_out: Settlement) -> Mapping[Seen, Settlement]:
    return {Seen.NOTHING: nothing, Seen.MOVED_IN: moved_in, Seen.MOVED_OUT: moved_out}


_N, _F, _S, _C, _R = Settlement

TABLE: Mapping[Kind, Mapping[tuple[State | None, Seen], Settlement]] = {
    #                            no marker, deleted, restored
    Kind.TENANT: _rows(
        (None, _deleted(_N, _R, _N)),  # the log says if a restore or a drop closed the marker
        (State.EXTRACTING, _deleted(_N, _F, _N)),
        (State.STORED, _deleted(_N, _F, _N)),
        (State.VERIFIED, _deleted(_N, _F, _N)),
        (State.DELETING, _deleted(_S, _F, _S)),  # restored since: a master that was set back holds its rows, too
        (State.ARCHIVED, _deleted(_N, _N, _F)),
        (State.RESTORING, _deleted(_S, _S, _F)),
    ),
    Kind.MONTH: _rows(  # of each slice: its restore reads its own marker, and ends its record
        (None, _deleted(_N, _R, _N)),
        (State.EXTRACTING, _deleted(_S, _F, _S)),
        (State.STORED, _deleted(_S, _F, _S)),
        (State.VERIFIED, _deleted(_S, _F, _S)),
        (State.DELETING, _deleted(_S, _F, _F)),
        (State.ARCHIVED, _deleted(_N, _N, _F)),
    ),
    Kind.PURGE: _rows(  # master alone commits: its record is the marker, and is never deleted
        *((state, {Seen.NOTHING: _N}) for state in (None, State.EXTRACTING, State.STORED, State.VERIFIED)),
        *((state, {Seen.NOTHING: _N}) for state in (State.ARCHIVED, State.RESTORED)),
    ),
    #                            no marker, moved in, moved out
    Kind.MOVE: _rows(
        (None, _moved(_N, _R, _R)),
        (State.PLANNED, _moved(_C, _R, _R)),
        (State.LOADING, _moved(_C, _C, _C)),
        (State.SWITCHED, _moved(_C, _F, _F)),  # versions before wrote no markers
        (State.MOVED, _moved(_C, _N, _N)),
    ),
}
