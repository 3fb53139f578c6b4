"""The table that settles what was cut off or set back: complete, and the same where it is asked."""

from __future__ import annotations

import re
from itertools import product

import pytest

from archiver.records.settlement import TABLE, Seen, Settlement, finished_from, seen, settlement
from archiver.records.state import TRANSITIONS, Kind, State
from inventory.load import ROOT

DELETION = (Seen.NOTHING, Seen.DELETED, Seen.RESTORED)
TRACES = {
    Kind.TENANT: DELETION,
    Kind.MONTH: DELETION,
    Kind.PURGE: (Seen.NOTHING,),
    Kind.MOVE: (Seen.NOTHING, Seen.MOVED_IN, Seen.MOVED_OUT),
}
BEFORE = (State.EXTRACTING, State.STORED, State.VERIFIED)  # no row has been deleted


def states(kind: Kind) -> set[State | None]:
    """Every state of a kind, and None for an archive without a record."""
    return {*TRANSITIONS[kind], *(state for after in TRANSITIONS[kind].values() for state in after)}


@pytest.mark.parametrize("kind", Kind)
def test_the_table_has_each_state_with_each_trace_and_nothing_else(kind: Kind) -> None:
    assert TABLE[kind].keys() == set(product(states(kind), TRACES[kind]))


def test_the_architecture_page_shows_the_table_line_by_line() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    shown: dict[tuple[Kind, State | None, Seen], str] = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0] in {"tenant", "month", "move"}:
            kind = Kind(cells[0])
            for name, (trace, act) in product(cells[1].split(", "), zip(TRACES[kind], cells[2:], strict=True)):
                shown[kind, None if name == "no record" else State(name), trace] = act
    assert shown == {
        (kind, *pair): act.value
        for kind, lines in TABLE.items()
        if kind is not Kind.PURGE
        for pair, act in lines.items()
    }
    assert set(TABLE[Kind.PURGE].values()) == {Settlement.NOTHING}


@pytest.mark.parametrize(("kind", "trace"), [(kind, trace) for kind, traces in TRACES.items() for trace in traces])
def test_rows_that_a_database_lost_are_never_left_unnamed(kind: Kind, trace: Seen) -> None:
    """Without a record only a trace that nothing closes says that rows are gone: it is refused, not passed over."""
    gone = trace in (Seen.DELETED, Seen.MOVED_IN, Seen.MOVED_OUT)
    assert settlement(kind, None, trace) is (Settlement.REFUSE if gone else Settlement.NOTHING)


@pytest.mark.parametrize(
    ("acts", "trace"),
    [
        ([], Seen.NOTHING),
        (["deleted"], Seen.DELETED),
        (["deleted", "restored"], Seen.RESTORED),
        (["deleted", "restored classroom 42"], Seen.DELETED),  # the other classrooms are deleted still
        (["slice 13 went"], Seen.DELETED),
        (["slice 2013-0042 went", "slice 2013-0042 restored"], Seen.RESTORED),
        (["moved in"], Seen.MOVED_IN),
        (["moved in", "moved out"], Seen.MOVED_OUT),
    ],
)
def test_markers_tell_a_trace(acts: list[str], trace: Seen) -> None:
    assert seen(acts) is trace


def test_a_master_that_was_set_back_finishes_a_deletion_from_each_state_before_it() -> None:
    assert finished_from(Kind.TENANT) == finished_from(Kind.MONTH) == BEFORE


BEGINS = re.compile(r"\b\w+_record\.(?:start|start_all|plan|restoring|restored|delete|archived|loading|withdrawn)\(")
ASKING = r"from archiver\.runs\.settle import|\bsettle_to_drop\("
ASKED_BEFORE = {
    "archiver/reshard/move.py": "merge_split.py asks for all moves of a run",
    "archiver/reshard/settle.py": "merge_split.py asks for all moves of a run",
    "archiver/kinds/drop_months.py": "tenant.py and month.py ask",
    "archiver/runs/monthly_slices.py": "the restores that end slices ask",
    "archiver/runs/prepare.py": "archive_many.py asks before it sends the units",
}


def test_every_run_asks_for_markers_before_it_begins_or_writes_anything() -> None:
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for folder in ("kinds", "runs", "reshard")
        for path in (ROOT / "archiver" / folder).glob("*.py")
    }
    beginning = {name for name, text in texts.items() if BEGINS.search(text)}
    asking = {name for name, text in texts.items() if re.search(ASKING, text)}

    assert len(beginning & asking) > 4
    assert beginning - asking == set(ASKED_BEFORE)
