"""One loop for every run over many items, and no other: one that fails is reported, and the others go on."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import errors
from archiver.postgres.session import DatabaseError
from archiver.runs.each import Done, Outcome, Together, connection_lost, for_each
from errors import CutoverError, RefusedError, UnknownError
from inventory.load import ROOT

ENDS = (ast.Raise, ast.Return, ast.Break)
OTHERS = {  # loops that go on after a failure, and are no run over items
    "archiver/delete/unchanged_set.py": "asks which archives of a set differ from the live rows",
    "archiver/runs/month_object.py": "names all months that are lost in one error",
    "runbooks/night/journal_proof.py": "reads every journal of a folder",
    "runbooks/night/status.py": "reads every journal of a folder",
}
OUTCOMES = {  # classes with an error that may be none
    "archiver/runs/each.py: Done",
    "archiver/runs/each.py: Outcome",
    "archiver/runs/restore_plan.py: MonthPlan",  # an obstacle that a plan shows
    "archiver/runs/restore_plan.py: _Month",
    "archiver/runs/units.py: UnitResult",  # the outcomes of a worker
    "archiver/vacuum/rewrite.py: BloatFinding",  # a table before the rewrite
}
FAILURES = {"Exception", "BaseException", "DatabaseError", *(name for name in vars(errors) if name.endswith("Error"))}
FAILURES -= {"UsageError"}  # mistakes in words and files are collected before anything begins


class Databases:
    forgotten = 0

    def forget_schemas(self) -> None:
        self.forgotten += 1


def halve(number: int) -> Done[str]:
    if number % 2:
        raise RefusedError(f"{number} is odd.")
    return Done(detail=f"half of {number}", rows=number // 2, size=10 * number)


def test_one_that_fails_is_reported_and_the_others_go_on_in_their_order() -> None:
    seen: list[Outcome[int, str]] = []
    databases: Any = Databases()

    outcomes = for_each([4, 3, 2], halve, seen.append, databases=databases)

    assert outcomes == seen
    assert [(one.item, one.rows, one.size, one.detail, str(one.error or "")) for one in outcomes] == [
        (4, 2, 40, "half of 4", ""),
        (3, 0, 0, None, "3 is odd."),
        (2, 1, 20, "half of 2", ""),
    ]
    assert databases.forgotten == 1
    assert all(0 <= one.seconds < 5 for one in outcomes)


def test_each_outcome_is_reported_before_the_next_item_begins() -> None:
    order: list[str] = []

    def work(number: int) -> Done[None]:
        order.append(f"work on {number}")
        return Done(detail=None)

    for_each([1, 2], work, lambda outcome: order.append(f"end of {outcome.item}"))

    assert order == ["work on 1", "end of 1", "work on 2", "end of 2"]


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (DatabaseError("the server is gone", code=""), True),
        (DatabaseError("a lock", code="55P03"), False),
        (UnknownError("the answer was lost"), False),
    ],
)
def test_an_error_that_stops_the_run_is_raised(error: CutoverError, stops: bool) -> None:
    def work(number: int) -> Done[None]:
        raise error

    if stops:
        with pytest.raises(type(error)):
            for_each([1, 2], work, lambda outcome: None, stops=connection_lost)
    else:
        outcomes = for_each([1, 2], work, lambda outcome: None, stops=connection_lost)
        assert [outcome.error for outcome in outcomes] == [error, error]


def test_a_mistake_in_the_code_is_no_outcome() -> None:
    def work(number: int) -> Done[None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        for_each([1], work, lambda outcome: None)


def test_the_result_of_a_failure_is_its_error() -> None:
    done, failed = for_each([2, 1], halve, lambda outcome: None)

    assert done.result() == "half of 2"
    with pytest.raises(RefusedError, match="1 is odd"):
        failed.result()


def test_items_that_are_worked_on_together_fail_one_by_one() -> None:
    seen: list[int] = []
    together = Together[int, str](on_result=lambda outcome: seen.append(outcome.item))
    for number in (1, 2, 3):
        with together.skip_on_error(number):
            halve(number)

    assert seen == [1, 3]
    assert [str(outcome.error) for outcome in together.outcomes] == ["1 is odd.", "3 is odd."]


def loops_that_go_on(path: Path) -> Iterator[int]:
    """The lines of handlers, inside a loop, that catch a failure of this tool and go on with the next item."""
    for loop in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(loop, ast.For | ast.While):
            for handler in ast.walk(loop):
                if isinstance(handler, ast.ExceptHandler) and not isinstance(handler.body[-1], ENDS):
                    names = {name.id for name in ast.walk(handler.type or loop) if isinstance(name, ast.Name)}
                    if names & FAILURES:
                        yield handler.lineno


@pytest.mark.parametrize("folder", ["archiver", "runbooks"])
def test_there_is_no_second_loop(folder: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}"
        for path in (ROOT / folder).rglob("*.py")
        for line in loops_that_go_on(path)
        if str(path.relative_to(ROOT)) not in OTHERS
    ] == []


@pytest.mark.parametrize("path", OTHERS)
def test_an_exception_from_the_rule_is_still_there(path: str) -> None:
    assert [*loops_that_go_on(ROOT / path)]


def test_there_is_no_second_outcome() -> None:
    with_an_error = {
        f"{path.relative_to(ROOT)}: {kind.name}"
        for path in (ROOT / "archiver").rglob("*.py")
        for kind in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(kind, ast.ClassDef)
        for field in kind.body
        if isinstance(field, ast.AnnAssign) and "Error | None" in ast.unparse(field.annotation)
    }

    assert with_an_error == OUTCOMES
