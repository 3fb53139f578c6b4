"""Archives that no record names, adopted or not, as lines of text; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from archiver.records.archives import ArchiveRecord
from archiver.runs.adopt import Adopted, Verdict
from archiver.store.bucket import StoredObject
from formatting import many
from runbooks.cli.outcomes import Words


@dataclass(frozen=True, kw_only=True)
class AdoptionWords(Words[StoredObject, Verdict]):
    """The words for objects of the store that no record names."""

    noun: str = "object"
    nothing: str = "every archive in the store has its record"
    hint: str = "nothing was changed for these"

    def label(self, item: StoredObject) -> str:
        """Return the address of an object."""
        return item.location

    def weight(self, item: StoredObject) -> int:
        """Return the bytes of an object."""
        return item.size

    def done(self, outcome: Adopted) -> str:
        """Return what becomes of an object."""
        verdict = outcome.result()
        if verdict.state is None:
            return f"{verdict.subject}: needs no record, {verdict.reason}"
        return f"{verdict.subject}: {super().done(outcome)}, {verdict.state.value}"

    def summary(self, outcomes: Sequence[Adopted]) -> str:
        """Return how many are adopted, need no record, and failed."""
        if not outcomes:
            return super().summary(outcomes)
        verdicts = [outcome.result() for outcome in outcomes if outcome.error is None]
        adopted = sum(verdict.state is not None for verdict in verdicts)
        parts = [f"{adopted} of {many(len(outcomes), self.noun)} {self.verb}: {self.sum(outcomes)}"]
        if left := len(verdicts) - adopted:
            parts.append(f"{left:,} need no record")
        return "; ".join([*parts, *self.failed(len(outcomes) - len(verdicts))])


def missing_lines(records: Iterable[ArchiveRecord]) -> Iterator[str]:
    """Yield the records whose object is not in the store."""
    for record in records:
        yield f"NO OBJECT: {record.kind.value} {record.key} of {record.year}, {record.state.value}: {record.location}"
