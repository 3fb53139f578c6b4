"""The scope: one digest of what is deleted and by what, sent along, and refused by a host that has another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.postgres import tenants
from archiver.postgres.tenants import Exclude, Include, Tenant, TenantFilter
from archiver.records.archive_request import ArchiveRequest
from archiver.records.tenant_lists import exclusion, inclusion
from errors import ExitCode, Problems, RefusedError, UsageError
from inventory import load, scope
from inventory.catalog import DEFAULT_DEPTH
from inventory.model import Exclusion, Inclusion, Night, OwnDepths
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
    "only_schools": replace(SCOPE, only_schools="13"),
    "only_customers": replace(SCOPE, only_customers="99"),
    "school_depths": replace(SCOPE, school_depths="13:students"),
    "customer_depths": replace(SCOPE, customer_depths="99:promote"),
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
        return Night(depth="students", exclude=Exclusion(schools=schools, customers=(7,)))

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
        exclusion(lines, "list.txt")

    assert list(found.value.problems) == [
        "list.txt:4: expected an id or `customer` and an id, got 'school 14'",
        "list.txt:5: expected each id once, got 13 again (line 1)",
        "list.txt:7: expected each id once, got customer  99 again (line 3)",
        "list.txt:9: expected an id or `customer` and an id, got '-1'",
    ]
    assert exclusion(lines[:2], "list.txt") == Exclude(tenants=frozenset({13}), customers=frozenset({99}))


def test_an_include_list_says_every_mistake_with_its_line_and_keeps_each_reason() -> None:
    lines = (
        (1, "13: closed, ticket #411"),
        (2, "customer 99:will not renew"),
        (4, "14"),
        (5, "13: twice"),
        (6, "15:  "),
    )
    with pytest.raises(Problems) as found:
        inclusion(lines, "list.txt")

    expected = "expected an id or `customer` and an id, a colon and the reason"
    assert list(found.value.problems) == [
        f"list.txt:4: {expected}, got '14'",
        "list.txt:5: expected each id once, got 13 again (line 1)",
        f"list.txt:6: {expected}, got '15:  '",
    ]
    reasons = Include(tenants={13: "closed, ticket #411"}, customers={99: "will not renew"})
    assert inclusion(lines[:2], "list.txt") == reasons
    with pytest.raises(Problems, match="got an empty list"):
        inclusion((), "list.txt")


def test_a_school_has_its_own_reason_before_its_customers() -> None:
    only = Include(tenants={13: "closed"}, customers={99: "will not renew"})

    def school(number: int, customer: int | None) -> Tenant:
        return Tenant(id=number, name="", shard="shard_1", customer_id=customer, customer_name=None)

    assert [only.reason(school(*each)) for each in ((13, 99), (14, 99), (15, 98), (16, None))] == [
        *("closed", "will not renew", None, None)
    ]
    chosen = TenantFilter(exclude=Exclude(tenants=frozenset({14})), only=only)
    assert [chosen.takes(school(*each)) for each in ((13, 99), (14, 99), (15, 98))] == [True, False, False]


def test_an_include_list_and_its_reasons_are_part_of_the_scope() -> None:
    def night(**customers: str) -> Night:
        return Night(depth=DEFAULT_DEPTH, only=Inclusion(schools={22: "a", 3: "b"}, customers={9: customers["of_9"]}))

    one = scope_of(rehearsal(), night(of_9="will not renew"))
    assert (one.only_schools, one.only_customers) == ("3,22", "9")
    assert one.differences(scope_of(rehearsal(), night(of_9="asked for it")), "sent")[0].startswith("reasons: ")
    without = scope_of(rehearsal(), Night(depth=DEFAULT_DEPTH))
    assert "only_schools: no list sent, 3,22 here" in one.differences(without, "sent")
    assert parse_scope(one.text) == one


def test_depths_of_schools_and_customers_are_part_of_the_scope() -> None:
    own = OwnDepths(schools={22: "students", 3: "all"}, customers={9: "promote"})
    one = scope_of(rehearsal(), Night(depth="all", depths=own))

    assert (one.school_depths, one.customer_depths) == ("3:all,22:students", "9:promote")
    assert parse_scope(one.text) == one
    without = scope_of(rehearsal(), Night(depth="all"))
    assert "customer_depths: none sent, 9:promote here" in one.differences(without, "sent")


def test_a_school_has_its_own_depth_before_its_customers() -> None:
    own = tenants.OwnDepths(tenants={13: "students"}, customers={99: "promote"})
    request = ArchiveRequest(year=2013, depth="all", own_depths=own)

    assert [request.depth_of(*each) for each in ((13, 99), (14, 99), (15, 98), (16, None))] == [
        *("students", "promote", "all", "all")
    ]
    assert request.depths == {"all", "students", "promote"}


def test_the_reasons_of_exclusions_are_part_of_the_scope() -> None:
    night = rehearsal().night(NIGHT)
    because = replace(night, exclude=replace(night.exclude, reasons={"school 21": "summer school"}))

    assert scope_of(rehearsal(), because) != scope_of(rehearsal(), night)
    assert scope_of(rehearsal(), because).reasons
