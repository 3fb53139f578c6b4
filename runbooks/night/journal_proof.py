"""Prove the journals of all nights in the store: no event is missing, and none was changed after it was written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from errors import CutoverError
from runbooks.engine.live.store_journal import NIGHTS, read_store_journal
from runbooks.engine.model.journal import NewerJournalError
from runbooks.engine.model.ports import ObjectStore


@dataclass(frozen=True, kw_only=True)
class JournalProof:
    """The result of proving the journals."""

    runs: int  # of nights
    events: int
    problems: Mapping[str, str]  # by the run's folder in the store, such as nights/2014-08-15/001


def prove_journals(object_store: ObjectStore, accepted: Collection[str]) -> JournalProof:
    """Return what is wrong in the journals of the store; `accepted` are folders that operators have accepted.

    Raise NewerJournalError if a newer version of this tool wrote one of them.
    """
    folders = sorted({name.rpartition("/")[0] for name in object_store.names(NIGHTS)} - set(accepted))
    events, problems = 0, dict[str, str]()
    for folder in folders:
        try:
            events += len(read_store_journal((), object_store, folder))
        except NewerJournalError:
            raise
        except CutoverError as error:
            problems[folder] = str(error)
    return JournalProof(runs=len(folders), events=events, problems=problems)
