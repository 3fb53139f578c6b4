"""Outcomes of the archiver as lines of text; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from archiver.catalog.model import listed
from archiver.load.fit import SHOWN
from archiver.load.load import Loaded
from archiver.mapping.schema_mapping import WHOLE
from archiver.records.archive_record import Record
from formatting import many, size
from inventory.keys import Key, Parts
from runbooks.cli.outcomes import Words

if TYPE_CHECKING:  # a task that only lists imports nothing that archives or restores
    from archiver.checks.audit import Audit
    from archiver.checks.stored_schemas import Checked
    from archiver.completeness.completeness import Scan
    from archiver.delete.one import Deletion  # noqa: F401 - named by a base class below
    from archiver.records.slice_record import Slice
    from archiver.runs.context import ArchiveOutcome
    from archiver.runs.drop import DroppedMonths
    from archiver.runs.kind import ArchiveOfKind
    from archiver.runs.reencrypt import Reencrypted, Reencryption  # noqa: F401 - as above
    from archiver.runs.restore import Restored

AnyArchive = TypeVar("AnyArchive", bound="Record | ArchiveOfKind")
Detail = TypeVar("Detail")
NOTHING_ARCHIVED = "nothing is archived"


@dataclass(frozen=True, kw_only=True)
class OfArchives(Words[AnyArchive, Detail]):
    """The words for archives."""

    tenant: str  # the catalog's noun

    def label(self, item: AnyArchive) -> str:
        """Return the name of an archive."""
        return item.label(self.tenant)

    def weight(self, item: AnyArchive) -> int:
        """Return the bytes of an archive."""
        return item.size or 0


@dataclass(frozen=True, kw_only=True)
class ArchiveWords(Words[Key, "Deletion | None"]):
    """The words for tenants that are archived."""

    def more(self, outcome: ArchiveOutcome) -> Iterator[str]:
        """Yield the rows that stayed live."""
        if deletion := outcome.detail:
            if deletion.retained:
                yield f"left live: {counts(deletion.retained)}"
            if deletion.appeared:
                yield f"NOT ARCHIVED (added after verification, still live): {counts(deletion.appeared)}"


def archive_words(noun: str, *, pretend: bool) -> ArchiveWords:
    """Return the words for tenants that are archived."""
    verb = "verified, nothing stored or deleted" if pretend else "archived"
    return ArchiveWords(noun=noun, verb=verb, nothing=f"no {noun} is left to archive")


@dataclass(frozen=True, kw_only=True)
class RestoreWords(OfArchives[Record, Mapping[str, Loaded]]):
    """The words for tenants that are restored, or a part of each."""

    part: str = ""  # classroom 42; empty: everything

    def done(self, outcome: Restored) -> str:
        """Return what was restored."""
        return f"{self.part} {super().done(outcome)}" if self.part else super().done(outcome)

    def more(self, outcome: Restored) -> Iterator[str]:
        """Yield what was live, and what was lost."""
        return restored_besides(outcome.result())


def restore_words(noun: str, *, pretend: bool, part: str = "") -> RestoreWords:
    """Return the words for tenants that are restored."""
    return RestoreWords(noun=noun, tenant=noun, verb=restored_verb(pretend=pretend), part=part)


def restored_verb(*, pretend: bool) -> str:
    """Return what a restore does, or would do."""
    return "verified, would be restored" if pretend else "restored"


def restored_besides(tables: Mapping[str, Loaded]) -> Iterator[str]:
    """Yield what a restore says besides the rows that it loaded."""
    if there := sum(table.there for table in tables.values()):
        yield f"{there:,} were live already"
    if replaced := {name: table.replaced for name, table in tables.items() if table.replaced}:
        yield f"replaced by newer copies: {counts(replaced)}"
    if differing := {name: table.differing for name, table in tables.items() if table.differing}:
        yield f"live rows that differ from the archive stayed: {counts(differing)}"
    if losses(tables):
        yield f"LOST, today's tables have no column for it: {losses(tables)}"


@dataclass(frozen=True, kw_only=True)
class ReencryptWords(OfArchives["ArchiveOfKind", "Reencryption"]):
    """The words for archives that are re-encrypted."""

    def done(self, outcome: Reencrypted) -> str:
        """Return whether an archive was re-encrypted."""
        if not outcome.result().superseded:
            return "encrypted to these recipients already"
        return f"{self.verb}, {size(outcome.size)}, {outcome.seconds:.1f} s"

    def more(self, outcome: Reencrypted) -> Iterator[str]:
        """Yield where the earlier object is."""
        if superseded := outcome.result().superseded:
            yield f"the earlier object stays in the store: {superseded}"

    def summary(self, outcomes: Sequence[Reencrypted]) -> str:
        """Return the summary of the re-encryption of several archives."""
        moved = sum(1 for outcome in outcomes if outcome.detail and outcome.detail.superseded)
        failed = sum(1 for outcome in outcomes if outcome.error)
        if not outcomes:
            return super().summary(outcomes)
        text = (
            f"{moved} of {many(len(outcomes), self.noun)} re-encrypted, {len(outcomes) - moved - failed} were already"
        )
        stays = "; the earlier objects stay in the store: delete them yourself, this tool does not" if moved else ""
        return text + stays + (f"; {failed} FAILED" if failed else "")


def reencrypt_words(noun: str) -> ReencryptWords:
    """Return the words for archives that are re-encrypted."""
    return ReencryptWords(noun="archive", tenant=noun, verb="re-encrypted", nothing=NOTHING_ARCHIVED)


def reverify_words(noun: str) -> OfArchives[ArchiveOfKind, None]:
    """Return the words for archives that are verified again."""
    return OfArchives(noun="archive", tenant=noun, verb="verified", nothing=NOTHING_ARCHIVED)


def dropped_with(noun: str, archive: ArchiveOfKind, months: DroppedMonths) -> Iterator[str]:
    """Yield the objects that go with an archive, before it is dropped."""
    if any(each.month.location != archive.record.location for each in months.slices):
        yield f"Its rows of the school year {archive.record.year} go out of these months, too; rows of others stay:"
    for each in months.slices:
        yield f"  {each.month.month}: {each.deleted_rows:,} rows of {noun} {each.tenant_id} in {each.month.location}"
    if months.superseded:
        yield "A drop that was cut off left these objects, which no record needs; they are deleted, too:"
    for left in months.superseded:
        yield f"  {left.month}: {left.location}"


def dropped_lines(noun: str, archive: ArchiveOfKind, months: Sequence[Slice]) -> Iterator[str]:
    """Yield the objects that lost rows with an archive, and the archive."""
    for each in months:
        yield f"{each.month.month}: {each.deleted_rows:,} rows of {noun} {each.tenant_id} are deleted from its archive."
    yield f"{archive.label(noun)}: {archive.record.location} and its record are deleted; inv archive.log has them."


def audit_text(noun: str, audit: Audit) -> str:
    """Return the result of an audit."""
    text = f"{audit.archived} of {many(audit.selected, noun)} archived, {audit.excluded} left out by the inventory"
    if audit.unarchived:
        text += f"\nnot archived: {', '.join(map(str, audit.unarchived))}"
    if audit.left:
        text += (
            f"\nlive rows left: {', '.join(f'{noun} {tenant_id}: {rows}' for tenant_id, rows in audit.left.items())}"
        )
    if audit.missing:
        text += f"\nnot in the store as they were stored: archives of {', '.join(map(str, audit.missing))}"
    if audit.elsewhere:
        rows = ", ".join(f"{column} ({number})" for column, number in audit.elsewhere.items())
        text += f"\nlive rows refer to deleted ones by columns that the catalog does not know: {rows}"
    if audit.otherwise:
        others = ", ".join(f"{noun} {tenant_id}: {depth}" for tenant_id, depth in audit.otherwise.items())
        text += f"\narchived to another depth than the night's: {others}"
    complete = not (audit.unarchived or audit.left or audit.missing or audit.elsewhere or audit.otherwise)
    text += "; none of their rows is left" if complete else ""
    return text + "".join(
        f"\nlive rows that refer to what was deleted by {what}: {rows}" for what, rows in audit.dangling.items()
    )


def scan_line(noun: str, scan: Scan) -> str:
    """Return the cost of a missing index."""
    rows = "all its rows" if scan.size.rows is None else f"{scan.size.rows:,} rows"
    column = f"{scan.table}.{listed(scan.columns)}"
    return f"warning: {column} has no index: scans {rows} ({size(scan.size.bytes)}) for each {noun}"


def counts(rows: Mapping[str, int]) -> str:
    """Return rows by table: users 2, preferences 5."""
    return ", ".join(f"{name.split('.')[-1]} {number:,}" for name, number in rows.items())


def losses(tables: Mapping[str, Loaded]) -> str:
    """Return the values that today's tables cannot hold: users.fax in 12 rows, taggings with all 5 rows."""
    return ", ".join(
        f"{name.split('.')[-1]} with all {rows:,} rows" if column == WHOLE else f"{name}.{column} in {rows:,} rows"
        for name, loaded in tables.items()
        for column, rows in loaded.lost.items()
    )


def checked_lines(schemas: Iterable[Checked]) -> Iterator[str]:
    """Yield the verdict on each kind of archive, with the fingerprints that a migration names."""
    for checked in schemas:
        pair, archives = checked.pair, many(len(checked.archives), "archive")
        mapping = f"{pair.fingerprint[:SHOWN]} to {checked.today[:SHOWN]}, {archives} into {pair.live}"
        verdict = "DOES NOT FIT" if checked.problems else "DEPENDS ON ITS ROWS" if checked.doubts else "OK"
        yield f"{pair.database}: {mapping}: {verdict}"
        yield from (f"  {line}" for line in (*checked.problems, *checked.doubts))


def to_json(data: object) -> str:
    """Return one line of JSON; by tenant, an object has the key as people write it."""
    return json.dumps(_by_word(data), ensure_ascii=False)


def _by_word(data: object) -> object:
    """Return plain data whose objects have texts or numbers as keys, as JSON can hold them."""
    if isinstance(data, Mapping):
        return {str(key) if isinstance(key, Parts) else key: _by_word(value) for key, value in data.items()}
    return data
