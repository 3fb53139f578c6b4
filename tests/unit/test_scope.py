"""The scope: one digest of what is deleted and by what, sent along, and refused by a host that has another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.postgres.tenants import Exclude
from archiver.records import resolve
from errors import ExitCode, Problems, RefusedError, UsageError
from inventory import load, scope
from inventory.model import Depth, Exclusion, Night
from inventory.scope import Scope, parse_scope, scope_of
from runbooks import archive
from runbooks.archives import lists
from tests.fakes import NIGHT, rehearsal
from tests.inside import Said, inv_inside

SCOPE = Scope(depth="all", schools="21,22", customers="1234", catalog="c0ffee", version="2014.8")
OTHERS = {
    "depth": replace(SCOPE, depth="students"),
    "schools": replace(SCOPE, schools="21"),
    "customers": replace(SCOPE, customers=""),
    "reasons": replace(SCOPE, reasons="5ea5"),
    "catalog": replace(SCOPE, catalog="decaf"),
    "version": replace(SCOPE, version="2014.9"),
}


@pytest.fixture
def inv(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return lambda *words: inv_inside(capsys, *words)


def test_a_scope_is_sent_as_this_word_and_digested_so() -> None:
    """Another word would be refused by hosts of the same version."""
    assert SCOPE.text == "depth=all/schools=21,22/customers=1234/catalog=c0ffee/version=2014.8"
    assert SCOPE.digest == "a752bd4c8815"
    assert parse_scope(SCOPE.text) == SCOPE


@pytest.mark.parametrize("field", OTHERS)
def test_another_scope_is_refused_and_the_refusal_says_what_differs(field: str) -> None:
    other = OTHERS[field]
    assert other.digest != SCOPE.digest
    [difference] = SCOPE.differences(other, "sent")
    assert difference.startswith(f"{field}: ")
    with pytest.raises(RefusedError) as refused:
        SCOPE.refuse_other(other, "archive.all")
    assert difference in str(refused.value)


@pytest.mark.parametrize("text", ["", "all", "depth=all", "depth=all/catalog=c/version=v/pets=1", "catalog=c/version="])
def test_what_is_no_scope_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--scope: expected fields"):
        parse_scope(text)


def test_a_scope_is_of_the_night_whatever_the_order_of_its_exclusions() -> None:
    def night(*schools: int) -> Night:
        return Night(depth=Depth.STUDENTS, exclude=Exclusion(schools=schools, customers=(7,)))

    one = scope_of(rehearsal(), night(22, 3))
    assert (one.depth, one.schools, one.customers) == ("students", "3,22", "7")
    assert scope_of(rehearsal(), night(3, 22)) == one
    assert scope_of(rehearsal(), night(3)) != one
    assert scope_of(rehearsal()) == Scope(catalog=one.catalog, version=one.version)


def test_the_catalog_counts_by_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def catalog_of(text: str) -> str:
        (tmp_path / "catalog.yaml").write_text(text)
        return scope_of(rehearsal()).catalog

    text = (load.FOLDER / "catalog.yaml").read_text()
    before = scope_of(rehearsal()).catalog
    for module in (load, scope):
        monkeypatch.setattr(module, "FOLDER", tmp_path)

    assert catalog_of(f"# a comment\n{text}\n") == before
    assert catalog_of(text.replace("start: schools", "start: classrooms")) != before


def test_the_version_is_of_the_code_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def version_of(text: str) -> str:
        (tmp_path / "archiver/delete.py").write_text(text)
        return scope.version.__wrapped__()

    for room in scope.ROOMS:
        (tmp_path / room).mkdir()
    for name in scope.BESIDE:
        (tmp_path / name).touch()
    monkeypatch.setattr(scope, "ROOT", tmp_path)

    before = version_of("delete()")
    assert version_of("delete()") == before
    assert version_of("delete(everything)") != before


def other_scope() -> str:
    """The scope of a machine whose inventory excludes one school less."""
    night = rehearsal().night(NIGHT)
    return scope_of(rehearsal(), replace(night, exclude=Exclusion())).text


@pytest.mark.parametrize("task", ["archive.all", "archive.audit"])
def test_a_night_sent_with_another_scope_is_refused_before_a_database_is_asked(
    task: str, inv: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("it was begun")

    monkeypatch.setattr(archive, "open_archiver", forbidden)
    monkeypatch.setattr(lists, "databases_of", forbidden)
    here = ("--here",) if task == "archive.all" else ()

    said = inv(task, f"--date={NIGHT}", f"--scope={other_scope()}", *here)

    assert said.code == ExitCode.FAILED
    assert f"{task} refused: this host has another scope" in said.err
    assert "schools: none sent, 21 here" in said.err


@pytest.mark.parametrize("task", ["archive.school", "restore.school"])
def test_a_task_apart_from_nights_is_refused_by_another_version(task: str, inv: Callable[..., Said]) -> None:
    sent = replace(scope_of(rehearsal()), version="0.9")

    said = inv(task, "13", "--here", f"--scope={sent.text}")

    assert (said.code, said.out) == (ExitCode.FAILED, "")
    assert "version: 0.9 sent, " in said.err


def test_an_operators_list_says_every_mistake_with_its_line() -> None:
    lines = ((1, "13"), (3, "customer 99"), (4, "school 14"), (5, "13"), (7, "customer  99"), (8, "99"), (9, "-1"))
    with pytest.raises(Problems) as found:
        resolve.exclusion(lines, "list.txt")

    assert list(found.value.problems) == [
        "list.txt:4: expected an id or `customer` and an id, got 'school 14'",
        "list.txt:5: expected each id once, got 13 again (line 1)",
        "list.txt:7: expected each id once, got customer  99 again (line 3)",
        "list.txt:9: expected an id or `customer` and an id, got '-1'",
    ]
    assert resolve.exclusion(lines[:2], "list.txt") == Exclude(tenants=frozenset({13}), customers=frozenset({99}))


def test_the_reasons_of_exclusions_are_part_of_the_scope() -> None:
    night = rehearsal().night(NIGHT)
    because = replace(night, exclude=replace(night.exclude, reasons={"school 21": "summer school"}))

    assert scope_of(rehearsal(), because) != scope_of(rehearsal(), night)
    assert scope_of(rehearsal(), because).reasons
