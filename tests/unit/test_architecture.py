"""`docs/architecture.md` stays true: its paths exist, and its drawings name the states of the code."""

from __future__ import annotations

import ast
import re

import pytest

from archiver.records.state import TRANSITIONS, State
from inventory.load import ROOT
from tests.unit.test_floors import FLOORS

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
PATHS = sorted(set(re.findall(r"`((?:archiver|runbooks|inventory|platforms|tests|docs)/[\w./]+|tasks\.py)`", PAGE)))


@pytest.mark.parametrize("path", [path for path in PATHS if not re.search(r"NAME|AREA", path)])
def test_a_path_on_the_page_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_the_life_of_an_archive_draws_every_transition_of_every_kind_and_no_other() -> None:
    drawing = PAGE.split("## The life of an archive")[1].split("```")[1]
    drawn = re.findall(r"^    (\S+) --> (\S+): ([a-z, ]+) · ", drawing, re.MULTILINE)

    assert sorted((kind, before, after) for before, after, kinds in drawn for kind in kinds.split(", ")) == sorted(
        (kind.value, before.value if before else "[*]", after.value if after else "[*]")
        for kind, transitions in TRANSITIONS.items()
        for before, following in transitions.items()
        for after in following
    )
    assert {state for transitions in TRANSITIONS.values() for state in transitions if state} | {
        State.RESTORED,
        State.MOVED,
    } == set(State)


@pytest.mark.parametrize(
    ("table", "writers"),
    [
        ("archives", {"archiver/records/ledger.py"}),
        ("members", {"archiver/records/month_record.py", "archiver/records/slice_record.py"}),
    ],
)
def test_records_with_their_states_are_written_by_one_module(table: str, writers: set[str]) -> None:
    writing = re.compile(rf"(INSERT\s+INTO|UPDATE|DELETE\s+FROM|TRUNCATE|COPY)\s+archiver\.{table}\b")

    assert {
        str(path.relative_to(ROOT))
        for folder in ("archiver", "runbooks", "platforms", "rehearsal")
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and writing.search(node.value)
    } == writers


@pytest.mark.parametrize("room", ["archiver", "runbooks"])
def test_the_architecture_page_has_every_folder_of_the_layers(room: str) -> None:
    drawing = PAGE.split("## The house")[1].split("```")[1]

    for folder in {name.split(".")[0] for floor in FLOORS[room] for name in floor if name}:
        assert f"{folder}/" in drawing or folder == "engine"
