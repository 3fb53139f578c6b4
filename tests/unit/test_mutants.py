"""The switches of `make mutants`: what counts as a guard, what switching it off does, and what is found of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.mutants import findings, survivors
from tests.mutants.findings import Guard, Look, Tries
from tests.mutants.instrument import instrumented
from tests.mutants.switch import SWITCH, Off, locks_less, weaker

MODULE = "archiver.delete.example"
SOURCE = '''
"""A module."""
from __future__ import annotations
from errors import RefusedError
_LOCK = "SELECT 1 FROM t FOR UPDATE"
def take(rows: int, most: int) -> str:
    """Take rows, FOR UPDATE."""
    if rows > most:
        raise RefusedError(f"{rows} are too many.")
    if rows < 0:
        raise RefusedError("Too few.")
    return _LOCK
'''


@pytest.fixture(autouse=True)
def everything_on() -> Any:
    """Leave no guard switched off."""
    yield
    SWITCH.site, SWITCH.off = "", None


def run(source: str = SOURCE, module: str = MODULE) -> tuple[Any, list[str]]:
    """The function of a module with switches, and the words of its guards."""
    tree, places = instrumented(source, module)
    names: dict[str, Any] = {"__name__": module}
    exec(compile(tree, "example.py", "exec"), names)
    return names["take"], list(places)


def test_a_guard_is_switched_off_alone() -> None:
    take, _ = run()
    assert take(1, 2) == "SELECT 1 FROM t FOR UPDATE"
    with pytest.raises(Exception, match="Too few"):
        take(-1, 2)
    for text, off, rows in (
        ("rows > most", Off.FALSE, 3),
        ("raise RefusedError('Too few.')", Off.NEVER, -1),
        ("rows < 0", Off.FALSE, -1),
    ):
        SWITCH.site, SWITCH.off = f"archiver/delete/example.py take: {text} [1]", off
        assert take(rows, 2) == "SELECT 1 FROM t FOR UPDATE", text
    SWITCH.site, SWITCH.off = "archiver/delete/example.py take: _LOCK [1]", Off.WEAKER
    assert take(1, 2) == "SELECT 1 FROM t"


def test_only_a_guard_that_makes_a_difference_is_passed() -> None:
    take, _ = run()
    SWITCH.passed.clear()
    take(1, 2)
    assert {off for site, off in SWITCH.passed if "rows" in site} == {Off.TRUE}  # both comparisons were false


def test_where_no_rows_get_lost_comparisons_stay() -> None:
    _, sites = run(module="archiver.format.example")
    assert not [site for site in sites if "rows > most" in site or "rows < 0" in site]
    assert [site for site in sites if "_LOCK" in site or "Too few" in site]


@pytest.mark.parametrize(
    ("statement", "less", "least"),
    [
        ("SELECT 1 FROM a FOR KEY SHARE OF l", "SELECT 1 FROM a", "SELECT 1 FROM a"),
        ("SELECT a <> b FROM t FOR UPDATE SKIP LOCKED", "SELECT a <> b FROM t", "SELECT a = b FROM t"),
        ("a IS DISTINCT FROM b", "a IS DISTINCT FROM b", "a IS NOT DISTINCT FROM b"),
        ("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE", *["LOCK TABLE t IN ACCESS SHARE MODE"] * 2),
    ],
)
def test_a_statement_locks_and_compares_less(statement: str, less: str, least: str) -> None:
    assert (locks_less(statement), weaker(statement)) == (less, least)


def test_findings_last_as_long_as_the_code_that_they_are_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(findings, "FOLDER", tmp_path)
    monkeypatch.setattr(findings, "LOOKS", tmp_path / "looks")
    monkeypatch.setattr(findings, "TRIES", tmp_path / "tries")
    test = "tests/unit/test_mutants.py::test_x"
    findings.write_look(Look(test, 0.5, ["a guard"]))
    assert findings.looks() == {test: Look(test, 0.5, ["a guard"])}
    monkeypatch.setattr(findings, "_code", lambda test: "another")
    assert findings.looks() == {}

    before, after = (
        {Guard(site, off): place for site, place in instrumented(source, MODULE)[1].items() for off in place.ways}
        for source in (SOURCE, SOURCE.replace("rows < 0", "rows < 1"))
    )
    guard = next(guard for guard in before if guard.off is Off.WEAKER)
    findings.write_tries(guard, before[guard], Tries(["one"]))
    findings.write_tries(guard, before[guard], Tries(["another"], "a killer"))
    assert findings.tries(before) == {guard: Tries({"one", "another"}, "a killer")}
    assert findings.tries(after) == {}


def test_each_reason_is_of_a_guard_that_exists() -> None:
    assert survivors.REASONS.keys() <= set(map(str, findings.guards()))
