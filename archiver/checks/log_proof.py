"""Prove the log: each entry carries the digest of the one before, and master has every head that is in the store."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import audit_log
from archiver.records.log_chain import ACCEPT, TEXT, Chain, ChainedEntry, read_chain
from archiver.records.log_heads import Head, set_back, stored_heads
from archiver.store.bucket import Bucket
from errors import RefusedError
from inventory.keys import Key, key_of_text

_AT_ONCE = 10_000  # entries


@dataclass(frozen=True, kw_only=True)
class LogProof:
    """The result of proving a log."""

    entries: int
    heads: int  # in the store
    problem: str = ""  # what was changed, removed or put in first; empty if the log is as it was written
    contradicting: tuple[str, ...] = ()  # the keys of heads that master's log does not have
    accepted: frozenset[str] = frozenset()  # names in the store that operators have accepted as contradicting it


@dataclass(frozen=True)
class _Acceptance:
    """The subject of an entry by which an operator accepts the log."""

    id: int = 0
    tenant_id: Key = 0
    year: int = 0


def chain_of(master: Session, requested: Collection[int] = ()) -> Chain:
    """Return master's log as it is; empty if nothing was ever archived. `requested` are ids."""
    return read_chain(_entries(master) if ready(master) else (), requested)


def prove_log(master: Session, bucket: Bucket) -> LogProof:
    """Return what is wrong in master's log, by itself and by its heads in the store. Raise StorageError if that fails.

    The heads are read first: what other runs append meanwhile is no contradiction.
    """
    heads = stored_heads(bucket)
    chain = chain_of(master, {head.id for head in heads})
    wrong = [head for head in heads if chain.digests.get(head.id) != head.sha256 and head.key not in chain.accepted]
    return LogProof(
        entries=chain.entries,
        heads=len(heads),
        problem=chain.problem or (_contradiction(master, bucket, chain, wrong) if wrong else ""),
        contradicting=tuple(head.key for head in wrong),
        accepted=chain.accepted,
    )


def accept_log(master: Session, bucket: Bucket, reason: str, names: Collection[str]) -> LogProof:
    """Accept the log as it is, by an entry of its own with the reason; return what was found wrong.

    `names` are other things in the store that are accepted with it. Raise RefusedError if there is nothing to accept.
    """
    with master.transaction(doing="accepting the log"):
        audit_log.lock(master)
        proof, chain = prove_log(master, bucket), chain_of(master)
        accepted = sorted({*proof.contradicting, *names})
        if not proof.problem and not accepted:
            raise RefusedError("Accepting the log refused: it is as it was written.", hint="There is nothing to do.")
        details = {"reason": reason, "found": proof.problem, "content": chain.content, "names": accepted}
        audit_log.log(master, ACCEPT, _Acceptance(), details)
    return proof


def _contradiction(master: Session, bucket: Bucket, chain: Chain, wrong: list[Head]) -> str:
    """Return a sentence about the first head that master does not have, and the cause as far as it can be told."""
    first, end = wrong[0], chain.last.id if chain.last else 0
    if first.id > end:
        what = f"it ends with entry {end}, and the store knows entry {wrong[-1].id}"
    else:
        what = f"entry {first.id} is not the one that the store knows"
    match set_back(bucket, master, wrong[-1]):
        case True:
            return f"{what}: master is older than the store's head, so it was set back"
        case False:
            return f"{what}, although master was not set back: entries were removed or written anew"
        case None:
            return f"{what}: master was set back, or entries were removed or written anew"


def _entries(master: Session) -> Iterator[ChainedEntry]:
    last = 0
    while rows := master.rows(_READ, (last, _AT_ONCE), doing="reading the log"):
        for row in rows:
            entry = dict(zip(_FIELDS, row, strict=True))
            yield ChainedEntry(**{**entry, "tenant_id": key_of_text(entry["tenant_id"])})
        last = rows[-1][0]


_FIELDS = ("id", "before", "sha256", "text", "at", "operator", "host", "act", "tenant_id", "year", "details")
_READ = f"""
SELECT id, before, sha256, {TEXT}, at, operator, host, act, key, year, details
  FROM archiver.log WHERE id > %s ORDER BY id LIMIT %s
"""  # noqa: S608 - all of it is the archiver's own words
