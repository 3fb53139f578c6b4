"""The catalog's noun for a tenant in messages, in lists and in the names of locks; tasks keep their names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import tasks
from archiver.postgres import databases
from archiver.postgres.databases import Databases
from archiver.postgres.locks import AdvisoryLock
from archiver.records.night_tenants import NightTenants
from archiver.records.unmatched import EXCLUDE, ONLY, UNKNOWN, Unmatched
from formatting import many, plural, with_article
from inventory.load import ROOT
from inventory.model import Inclusion
from runbooks.archives import scope
from runbooks.cli.text import records
from tests.answering import session

ENDS_IN_A_NOUN = re.compile(r"inv (archive|restore)\.\{")


@pytest.mark.parametrize(
    ("noun", "article", "nouns"),
    [
        ("school", "a school", "schools"),
        ("company", "a company", "companies"),
        ("organization", "an organization", "organizations"),
        ("user", "a user", "users"),
        ("branch", "a branch", "branches"),
    ],
)
def test_a_noun_is_inflected(noun: str, article: str, nouns: str) -> None:
    assert (with_article(noun), plural(noun), many(1, noun), many(2, noun)) == (
        article,
        nouns,
        f"1 {noun}",
        f"2 {nouns}",
    )


def test_lists_are_headed_by_the_noun() -> None:
    assert records.record_table("company", []).columns[1] == "company"
    left = records.retained_lines("company", [SimpleNamespace(table="master.users", key="(1)")])  # type: ignore[list-item]
    assert "for another company" in next(iter(left))
    tenants = NightTenants(noun="company", taken=(1, 2), excluded=(3,), unmatched=())
    assert scope._line(tenants).endswith(": 2 companies taken in; excluded: 3")
    assert Inclusion(schools={13: "closed"}).text("company") == "companies 13 (closed)"


@pytest.mark.parametrize(
    ("listed", "noun", "path"),
    [
        (EXCLUDE, "company", "exclude/schools: expected an id that exists, got 13"),
        (EXCLUDE, "customer", "exclude/customers: expected an id that exists, got 13"),
        (ONLY, "agency", "only/schools/13: expected an agency to archive, got one that does not exist"),
    ],
)
def test_the_inventory_keeps_its_keys_whatever_the_noun(listed: str, noun: str, path: str) -> None:
    assert Unmatched(listed=listed, noun=noun, id=13, why=UNKNOWN).in_inventory == path


def test_every_way_to_a_tenant_takes_the_same_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def held(locks: Sequence[AdvisoryLock]) -> nullcontext[None]:
        taken.extend(lock.key for lock in locks)
        return nullcontext()

    monkeypatch.setattr(databases, "dismiss_workers", lambda master: None)
    monkeypatch.setattr(databases, "held_locks", held)
    model: Any = SimpleNamespace(tenant=SimpleNamespace(noun="company", shard=None))
    with Databases(lambda name: session(), model, ()).tenant_lock(13, ""):
        assert taken[-1] == "cutover company 13"


def test_no_hint_names_a_task_by_the_noun() -> None:
    """Tasks are called `restore.school` for every product."""
    code = [path for room in ("archiver", "runbooks") for path in (ROOT / room).rglob("*.py")]
    named = [str(path) for path in code if ENDS_IN_A_NOUN.search(Path(path).read_text())]

    assert "restore.school" in tasks.namespace.task_names
    assert named == []
