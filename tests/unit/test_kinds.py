"""Each kind of archive has its own file, and what runs over all of them asks it, never a record's class."""

from __future__ import annotations

import ast
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archiver.kinds import registry
from archiver.kinds.registry import KINDS, of_kind
from archiver.records import archives
from archiver.records.state import TRANSITIONS, Kind, State
from archiver.runs.kind import still_archived
from errors import RefusedError
from tests.answering import session

ROOT = Path(__file__).parents[2]
VIEWS = {"Record", "Month", "Purge", "Move", "Slice"}  # of the ledger, by kind
TOLD_APART = {"archiver/records/adopted.py": "a month's record is pointed to another object with its slices"}
KEYS = {Kind.TENANT: 13, Kind.MONTH: "2014-09", Kind.PURGE: 7, Kind.MOVE: 13}
LABELS = {
    Kind.TENANT: "school 13 of 2013",
    Kind.MONTH: "activity of 2014-09, shard_1",
    Kind.PURGE: "purge 7 of 2013",
    Kind.MOVE: "move of school 13 from shard_1",
}


def record(kind: Kind, **more: Any) -> Any:
    values = {"id": 7, "key": KEYS[kind], "year": 2013, "shard": "shard_1", "state": State.ARCHIVED, "recipients": ()}
    return SimpleNamespace(kind=kind, **{**values, "location": "s3://a/key", **more})


def archiver() -> Any:
    model = SimpleNamespace(tenant=SimpleNamespace(noun="school"))
    return SimpleNamespace(databases=SimpleNamespace(master=session()), model=model)


def test_the_registry_has_every_kind_of_the_ledger() -> None:
    assert {word: each.kind for word, each in KINDS.items()} == {kind: kind for kind in Kind}


@pytest.mark.parametrize("kind", Kind)
def test_an_archive_is_named_and_opened_as_its_kind_says(kind: Kind) -> None:
    assert of_kind(record(kind)).label("school") == LABELS[kind]
    assert {*KINDS[kind].openable} <= {*TRANSITIONS[kind]}


@pytest.mark.parametrize(
    ("location", "recipients", "name"),
    [
        ("s3://a/13.tar.gz", (), "s3://a/13.tar.gz"),
        ("s3://a/13.tar.gz.age", ("age1",), "s3://a/13.tar.gz.age"),
        ("s3://a/13.tar.gz.age", (), "s3://a/13.tar.gz.age"),  # of a move no recipients are recorded
        ("s3://a/2014-09_shard_1.tar", ("age1",), "s3://a/2014-09_shard_1.tar.age"),  # its slices are encrypted
    ],
)
def test_an_archive_whose_rows_need_an_identity_is_named_so(
    location: str, recipients: tuple[str, ...], name: str
) -> None:
    assert of_kind(record(Kind.MONTH, location=location, recipients=recipients)).openable_name == name


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("state", [State.ARCHIVED, State.DELETING, None])
def test_an_archive_is_written_anew_only_while_it_is_archived(
    monkeypatch: pytest.MonkeyPatch, kind: Kind, state: State | None
) -> None:
    recorded = [record(kind, state=state)] if state else []
    monkeypatch.setattr(archives, "of_kind", lambda *_: recorded)
    sentences = {
        State.DELETING: f"{LABELS[kind]} refused: it is deleting, by a run that was interrupted",
        None: f"{LABELS[kind]} refused: it is not archived any more",
    }
    refused: AbstractContextManager[Any] = (
        pytest.raises(RefusedError, match=sentences[state]) if state in sentences else nullcontext()
    )
    with refused:
        assert still_archived(archiver(), of_kind(record(kind))) == of_kind(recorded[0])
    if state is State.DELETING:
        assert refused.excinfo.value.hint.startswith("Finish that first: ")  # type: ignore[attr-defined]


def test_archives_are_opened_by_the_states_of_their_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    every = tuple(record(kind, state=state, year=year) for kind in Kind for state in State for year in (2012, 2013))
    monkeypatch.setattr(archives, "every", lambda master: every)

    opened = registry.openable(session(), 2013)

    assert [(each.record.kind, each.record.state.value) for each in opened] == [
        *((Kind.TENANT, state) for state in ("deleting", "archived", "restoring")),
        *((Kind.MONTH, state) for state in ("deleting", "archived")),
        (Kind.PURGE, "archived"),
    ]
    assert len(registry.openable(session(), None)) == 2 * len(opened)


def classes_asked(tree: ast.AST) -> set[str]:
    """The classes by which a file tells records apart."""
    asked: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.MatchClass):
            asked |= {each.id for each in ast.walk(node.cls) if isinstance(each, ast.Name)}
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance":
            asked |= {each.id for each in ast.walk(node.args[1]) if isinstance(each, ast.Name)}
    return asked


def test_no_record_is_told_from_another_by_its_class() -> None:
    files = [path for room in ("archiver", "runbooks") for path in ROOT.glob(f"{room}/**/*.py")]
    asking = {path for path in files if classes_asked(ast.parse(path.read_text())) & VIEWS}

    assert {str(path.relative_to(ROOT)) for path in asking} == set(TOLD_APART)
    assert classes_asked(ast.parse("match a:\n case Month(): pass\nisinstance(b, (Record, int))")) & VIEWS == {
        "Month",
        "Record",
    }
