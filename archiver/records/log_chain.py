"""The chain of the log: each entry carries the SHA-256 of the one before it and its own. Pure.

An entry's digest is that of the digest before it and the entry's text together, so whoever changes, removes or puts in
an entry must write every later one anew. The digest of the last entry then differs from the one in the store.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from inventory.keys import Key

NO_ENTRY = hashlib.sha256(b"").hexdigest()  # what the first entry carries
ACCEPT = "accept"  # the act of an entry by which an operator accepts the log as it is
# SQL: an entry as one text. Its words and their order are for ever: every digest in a log is made of them.
TEXT = (
    """jsonb_build_array(id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), operator, host, act,"""
    " key, year, record_id, details)::text"
)


@dataclass(frozen=True, kw_only=True)
class ChainedEntry:
    """An entry as a link of the chain."""

    id: int
    before: str  # the digest of the entry before
    sha256: str  # its own, as it was written
    text: str
    at: datetime
    operator: str
    host: str
    act: str
    tenant_id: Key
    year: int
    details: Mapping[str, Any]

    @property
    def digest(self) -> str:
        """The digest that the entry should have."""
        return digest_of(self.before, self.text)

    def __str__(self) -> str:
        subject = f", tenant {self.tenant_id} of {self.year}" if self.tenant_id else ""
        who = f"{self.operator}@{self.host}"
        return f"entry {self.id} ({self.act}{subject}, by {who}, {self.at:%Y-%m-%d %H:%M:%S} UTC)"


@dataclass(frozen=True, kw_only=True)
class Chain:
    """A log as it was read."""

    entries: int
    last: ChainedEntry | None
    problem: str  # what was changed, removed or put in first, and not accepted since; empty if nothing
    digests: Mapping[int, str]  # of the entries asked for
    accepted: frozenset[str]  # names in the store that operators have accepted as contradicting the log
    content: str  # the digest of all entries as they are


def digest_of(before: str, text: str) -> str:
    """Return the digest of an entry."""
    return hashlib.sha256(f"{before}{text}".encode()).hexdigest()


def chained(before: str, texts: Sequence[str]) -> list[str]:
    """Return the digest before these entries, and then that of each."""
    digests = [before]
    for text in texts:
        digests.append(digest_of(digests[-1], text))
    return digests


def read_chain(log: Iterable[ChainedEntry], requested: Collection[int] = ()) -> Chain:
    """Return the chain of a log's entries, which are in the order of their ids; `requested` are ids.

    An operator's acceptance covers what was read before it, if it carries the digest of just that.
    """
    content, count, problem = hashlib.sha256(), 0, ""
    accepted, digests = set[str](), dict[int, str]()
    earlier: ChainedEntry | None = None
    last: ChainedEntry | None = None
    for entry, following in _with_following(log):
        if entry.act == ACCEPT and entry.details.get("content") == content.hexdigest():
            problem = ""
            accepted.update(entry.details["names"])
        problem = problem or _problem(earlier, last, entry, following)
        content.update(f"{entry.before}{entry.sha256}{entry.text}\n".encode())
        if entry.id in requested:
            digests[entry.id] = entry.sha256
        earlier, last, count = last, entry, count + 1
    return Chain(
        entries=count,
        last=last,
        problem=problem,
        digests=digests,
        accepted=frozenset(accepted),
        content=content.hexdigest(),
    )


def _with_following(log: Iterable[ChainedEntry]) -> Iterator[tuple[ChainedEntry, ChainedEntry | None]]:
    current: ChainedEntry | None = None
    for following in log:
        if current:
            yield current, following
        current = following
    if current:
        yield current, None


def _problem(
    earlier: ChainedEntry | None, previous: ChainedEntry | None, entry: ChainedEntry, following: ChainedEntry | None
) -> str:
    """Return what is wrong at this entry; empty if it continues the chain."""
    expected = previous.sha256 if previous else NO_ENTRY
    if entry.sha256 != entry.digest:
        passed_over = following is not None and following.before == expected
        return f"{entry} was {'put in' if passed_over else 'changed'}"
    if entry.before == expected:
        return ""
    if previous and entry.before == (earlier.sha256 if earlier else NO_ENTRY):
        return f"{previous} was put in"
    first, next_to_last = (previous.id if previous else 0) + 1, entry.id - 1
    if first > next_to_last:
        return f"{previous or entry} was changed"
    missing = f"entry {first} is" if first == next_to_last else f"entries {first} to {next_to_last} are"
    return f"{missing} missing before {entry}"
