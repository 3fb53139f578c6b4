"""The chain of the log: what was changed, removed or put in is named, and an acceptance covers just what it saw."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from archiver.records.log_chain import ACCEPT, NO_ENTRY, ChainedEntry, chained, digest_of, read_chain

NOON = datetime(2014, 8, 15, 12, tzinfo=UTC)


def link(number: int, before: str, act: str = "archive", **details: Any) -> ChainedEntry:
    """An entry as the tool writes it after another."""
    text = f"[{number}, {act}, {sorted(details.items())}]"
    return ChainedEntry(
        id=number,
        before=before,
        sha256=digest_of(before, text),
        text=text,
        at=NOON,
        operator="ann",
        host="debug",
        act=act,
        tenant_id=13,
        year=2013,
        details=details,
    )


def log(numbers: Sequence[int] = (1, 2, 3, 4, 5)) -> list[ChainedEntry]:
    """A log of these ids; those of earlier versions have gaps."""
    links: list[ChainedEntry] = []
    for number in numbers:
        links.append(link(number, links[-1].sha256 if links else NO_ENTRY))
    return links


def changed(entry: ChainedEntry) -> ChainedEntry:
    return replace(entry, text=f"{entry.text}, by another")


def redone(entry: ChainedEntry) -> ChainedEntry:
    """Changed, with the digest that belongs to it."""
    return replace(changed(entry), sha256=changed(entry).digest)


TAMPERED: dict[str, tuple[Callable[[list[ChainedEntry]], list[ChainedEntry]], str]] = {
    "changed": (lambda log: [*log[:1], changed(log[1]), *log[2:]], "entry 2 .* was changed"),
    "the first changed": (lambda log: [changed(log[0]), *log[1:]], "entry 1 .* was changed"),
    "the last changed": (lambda log: [*log[:4], changed(log[4])], "entry 5 .* was changed"),
    "changed, with its digest": (lambda log: [*log[:1], redone(log[1]), *log[2:]], "entry 2 .* was changed"),
    "two changed": (lambda log: [log[0], changed(log[1]), redone(log[2]), *log[3:]], "entry 2 .* was changed"),
    "one removed": (lambda log: [*log[:1], *log[2:]], "entry 2 is missing before entry 3 "),
    "several removed": (lambda log: [log[0], log[4]], "entries 2 to 4 are missing before entry 5 "),
    "the first removed": (lambda log: log[1:], "entry 1 is missing before entry 2 "),
    "put in": (lambda log: [*log[:4], replace(log[4], id=10, text="x"), log[4]], "entry 10 .* was put in"),
    "put in, with its digest": (
        lambda log: [*log[:3], link(99, log[2].sha256), *log[3:]],
        "entry 99 .* was put in",
    ),
    "put in first": (lambda log: [link(0, NO_ENTRY), *log], "entry 0 .* was put in"),
}


@pytest.mark.parametrize("how", TAMPERED)
def test_the_first_entry_that_was_changed_removed_or_put_in_is_named(how: str) -> None:
    tamper, named = TAMPERED[how]

    problem = read_chain(tamper(log())).problem

    assert re.match(named, problem), problem


@pytest.mark.parametrize("numbers", [(), (1,), (1, 2, 3), (4, 7, 8)], ids=["none", "one", "three", "gaps of before"])
def test_a_log_as_it_was_written_has_no_problem(numbers: Sequence[int]) -> None:
    chain = read_chain(log(numbers), requested=(1, 7))

    assert (chain.problem, chain.entries) == ("", len(numbers))
    assert set(chain.digests) == {1, 7} & set(numbers)
    assert chain.last == (log(numbers)[-1] if numbers else None)


def accepted(links: list[ChainedEntry], content: str = "") -> list[ChainedEntry]:
    """The log after an operator accepted it."""
    entry = link(6, links[-1].sha256, ACCEPT, content=content or read_chain(links).content, names=["log/7-x"])
    return [*links, entry]


def test_an_acceptance_covers_the_log_as_it_was_then_and_no_later_change() -> None:
    spoiled = TAMPERED["changed"][0](log())
    whole = accepted(spoiled)
    later = [*whole, link(7, whole[-1].sha256)]

    assert (read_chain(later).problem, set(read_chain(later).accepted)) == ("", {"log/7-x"})
    for index in (0, 4, 6):
        again = [*later[:index], changed(later[index]), *later[index + 1 :]]
        assert "was changed" in read_chain(again).problem
    assert "entry 2 " in read_chain(accepted(spoiled, content="of another log")).problem


def test_a_digest_is_the_sha256_of_the_digest_before_and_the_text() -> None:
    first = hashlib.sha256(f"{NO_ENTRY}[1]".encode()).hexdigest()

    assert chained(NO_ENTRY, ["[1]", "[2]"]) == [NO_ENTRY, first, hashlib.sha256(f"{first}[2]".encode()).hexdigest()]
    assert NO_ENTRY == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
