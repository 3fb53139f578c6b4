"""Outcomes of the archiver as lines of text; pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence

from archiver.catalog.model import listed
from archiver.checks.audit import Audit
from archiver.checks.stored_schemas import Checked
from archiver.completeness.completeness import Scan
from archiver.load.fit import SHOWN
from archiver.load.load import Loaded
from archiver.mapping.schema_mapping import WHOLE
from archiver.records.archive_record import Record
from archiver.records.month_record import Month
from archiver.records.purge_record import Purge
from archiver.records.resolve import Archived
from archiver.runs.context import ArchiveOutcome
from archiver.runs.progress import RunProgress
from archiver.runs.reencrypt import Reencrypted
from archiver.runs.restore import Restored
from formatting import clock_span, many, size


def outcome_line(noun: str, outcome: ArchiveOutcome, *, pretend: bool) -> str:
    """Return the outcome of one tenant's archiving, in a line."""
    if outcome.error:
        return failure(f"{noun} {outcome.tenant_id}", outcome.error)
    done = "verified, nothing stored or deleted" if pretend else "archived"
    line = f"{noun} {outcome.tenant_id}: {done}, {outcome.rows:,} rows, {size(outcome.size)}, {outcome.seconds:.1f} s"
    if outcome.deletion is None:
        return line
    left_live, appeared = outcome.deletion.retained, outcome.deletion.appeared
    line += f"; left live: {counts(left_live)}" if left_live else ""
    return line + (f"; NOT ARCHIVED (added after verification, still live): {counts(appeared)}" if appeared else "")


def archive_summary(noun: str, outcomes: Sequence[ArchiveOutcome], *, pretend: bool) -> str:
    """Return the summary of a run over several tenants."""
    done = [outcome for outcome in outcomes if outcome.error is None]
    if not outcomes:
        return f"Nothing to do: no {noun} is left to archive."
    verb = "verified, nothing stored or deleted" if pretend else "archived"
    text = f"{len(done)} of {many(len(outcomes), noun)} {verb}: "
    text += f"{sum(outcome.rows for outcome in done):,} rows, {size(sum(outcome.size for outcome in done))}"
    return text + _failed(len(outcomes) - len(done))


def restored_line(noun: str, restored: Restored, *, pretend: bool) -> str:
    """Return the outcome of one tenant's restore, in a line."""
    record = restored.record
    if restored.error:
        return failure(f"{noun} {record.tenant_id}", restored.error)
    tables = restored.tables
    words = "verified, would be restored" if pretend else "restored"
    total = sum(tables.values(), Loaded())
    differing = {name: loaded.differing for name, loaded in tables.items() if loaded.differing}
    part = f"{restored.only} " if restored.only else ""
    line = (
        f"{noun} {record.tenant_id} of {record.year}: {part}{words}, {total.inserted:,} rows, {restored.seconds:.1f} s"
    )
    line += f"; {total.there:,} were live already" if total.there else ""
    replaced = {name: loaded.replaced for name, loaded in tables.items() if loaded.replaced}
    line += f"; replaced by newer copies: {counts(replaced)}" if replaced else ""
    line += f"; live rows that differ from the archive stayed: {counts(differing)}" if differing else ""
    return line + (f"; LOST, today's tables have no column for it: {losses(tables)}" if losses(tables) else "")


def restore_summary(noun: str, outcomes: Sequence[Restored], *, pretend: bool) -> str:
    """Return the summary of the restore of several tenants."""
    done = [restored for restored in outcomes if restored.error is None]
    verb = "verified, would be restored" if pretend else "restored"
    rows = sum(loaded.inserted for restored in done for loaded in restored.tables.values())
    return f"{len(done)} of {many(len(outcomes), noun)} {verb}: {rows:,} rows{_failed(len(outcomes) - len(done))}"


def reencrypted_line(noun: str, reencrypted: Reencrypted) -> str:
    """Return the outcome of one archive's re-encryption, in a line."""
    record, who = reencrypted.record, whose(noun, reencrypted.record)
    if reencrypted.error:
        return failure(who, reencrypted.error)
    if not reencrypted.superseded:
        return f"{who}: encrypted to these recipients already"
    line = f"{who}: re-encrypted, {size(record.size or 0)}, "
    return line + f"{reencrypted.seconds:.1f} s; the earlier object stays in the store: {reencrypted.superseded}"


def whose(noun: str, record: Archived) -> str:
    """Return the name of an archive: school 13 of 2013."""
    match record:
        case Month():
            return f"activity of {record.month}, {record.shard}"
        case Purge():
            return f"purge {record.id} of {record.year}"
        case Record():
            return f"{noun} {record.tenant_id} of {record.year}"


def reencrypt_summary(outcomes: Sequence[Reencrypted]) -> str:
    """Return the summary of the re-encryption of several archives."""
    if not outcomes:
        return "Nothing to do: nothing is archived."
    moved = sum(1 for reencrypted in outcomes if reencrypted.superseded)
    failed = sum(1 for reencrypted in outcomes if reencrypted.error)
    text = f"{moved} of {many(len(outcomes), 'archive')} re-encrypted, {len(outcomes) - moved - failed} were already"
    stays = "; the earlier objects stay in the store: delete them yourself, this tool does not" if moved else ""
    return text + stays + _failed(failed)


def progress_line(noun: str, total: int, done: RunProgress) -> str:
    """Return the progress of a run over many tenants."""
    rate = done.rows / max(done.elapsed.total_seconds(), 1)
    return (
        f"{done.tenants:,} of {many(total, noun)} verified, {done.rows:,} rows, {size(done.size)}; {rate:,.0f} rows/s, "
        f"about {clock_span(done.left)} left"
    )


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


def failure(who: str, error: Exception) -> str:
    """Return a failure, with its hint below."""
    hint = getattr(error, "hint", "")
    return f"{who}: FAILED. {error}" + (f"\n    hint: {hint}" if hint else "")


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
    """Return one line of JSON."""
    return json.dumps(data, ensure_ascii=False)


def _failed(number: int) -> str:
    return f"; {number} FAILED" if number else ""
