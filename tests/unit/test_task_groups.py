"""`inv --list`: every task in one group, a line each that fits a narrow terminal, and the single steps together."""

from __future__ import annotations

import pytest

import tasks
from runbooks.cli.task_groups import GROUPS, STEPS, group_of, lines, summary
from runbooks.cutover import EVERY
from tests.inside import inv_inside

NAMES = [name.replace("_", "-") for name in tasks.namespace.task_names]


def test_every_task_is_in_one_group_or_a_single_step() -> None:
    steps = {name for name in NAMES if not group_of(name)}

    assert steps == {build.key for build in EVERY}
    assert {group_of(name) for name in NAMES} == {*GROUPS, ""}
    assert group_of("archive.release") == "Months"


@pytest.mark.parametrize("width", [80, 120])
def test_each_task_has_one_line_that_fits_a_terminal(width: int) -> None:
    listed = list(lines(tasks.namespace, width))

    assert max(map(len, listed)) <= width
    for name in NAMES:
        [line] = [line for line in listed if line.startswith(f"  {name} ")] if group_of(name) else [""]
        assert not group_of(name) or len(line.split()) > 2, name
    assert not [line for line in listed if line.endswith("…")], "a sentence that has to be cut within"


def test_the_command_prints_the_groups(capsys: pytest.CaptureFixture[str]) -> None:
    said = inv_inside(capsys, "--list")

    assert said.code == 0
    shown = [line for line in said.out.splitlines() if line and not line.startswith(" ")]
    assert shown[:-1] == [*GROUPS, STEPS]


def test_a_collection_is_listed_as_invoke_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert "  .school " in inv_inside(capsys, "--list", "restore").out


@pytest.mark.parametrize(
    ("text", "room", "short"),
    [
        ("Archive one school: extract, pack.\n\nMore.", 20, "Archive one school"),
        ("Archive one school: extract, pack.\n\nMore.", 99, "Archive one school: extract, pack"),
        (
            "Count rows that are shared, doubtful or lost, with keys.",
            46,
            "Count rows that are shared, doubtful or lost",
        ),
        ("Show the newest backup of the database.", 20, "Show the newest …"),
    ],
)
def test_a_sentence_is_shortened_where_it_pauses(text: str, room: int, short: str) -> None:
    assert summary(text, room) == short
