"""Archives that the store has and the ledger does not, written into the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from archiver.format import encryption
from archiver.postgres.session import Session
from archiver.records import (
    archive_record,
    archives,
    audit_log,
    claims,
    deleted_keys,
    id_index,
    ledger,
    month_record,
    move_record,
    placement_history,
    purge_record,
    retained_rows,
    shard_keys,
    slice_record,
)
from archiver.records.adoption import (
    REPLACEABLE,
    UNKNOWN_KEYS,
    Adoptable,
    Adoption,
    MonthAdoption,
    MoveAdoption,
    PurgeAdoption,
    Repointing,
    SlicePosition,
)
from archiver.records.archive_record import Record
from archiver.records.audit_log import Logged
from archiver.records.ledger import plain
from archiver.records.month_record import Month
from archiver.records.purge_record import Purge
from archiver.records.slice_record import Slice
from archiver.records.state import Kind, State
from inventory.keys import key_text, key_text_or_none


def adopt(session: Session, adoption: Adoptable) -> None:
    """Write the record of an archive, of whatever kind, all or nothing, or point it to another object."""
    match adoption:
        case Adoption():
            adopt_tenant(session, adoption)
        case MonthAdoption():
            adopt_month(session, adoption)
        case PurgeAdoption():
            adopt_purge(session, adoption)
        case MoveAdoption():
            adopt_move(session, adoption)
        case Repointing():
            repoint(session, adoption)


def repoint(session: Session, repointing: Repointing) -> None:
    """Let a record name another object, with log entries, all or nothing. Raises DatabaseError if the ledger refuses.

    Of slices that a drop took out, the log says so again: master was set back behind it.
    """
    record = repointing.record
    with session.transaction(doing="pointing a record to another object"):
        archives.rewritten(session, repointing.kind, record)
        for each in repointing.slices:
            slice_record.rewritten(session, each)
        for each in repointing.dropped:
            slice_record.delete(session, each)
        if isinstance(record, Month):
            _log_dropped(session, record, repointing.dropped)
        subjects: Sequence[Logged] = [record] if not isinstance(record, Month) else repointing.slices
        audit_log.log_all(session, "adopt", subjects, [_details(record)] * len(subjects))


def _log_dropped(session: Session, month: Month, dropped: Sequence[Slice]) -> None:
    """Close the markers of slices that a drop took out of a month's object."""
    details = [
        {"month": month.month, "to": month.location, **audit_log.closing(month, each.month.location, month.shard)}
        for each in dropped
    ]
    audit_log.log_all(session, "drop activity", dropped, details)


def adopt_purge(session: Session, adoption: PurgeAdoption) -> None:
    """Write the record of a purge with the keys of its rows and the log's entry, all or nothing.

    Raises DatabaseError if the ledger refuses.
    """
    with session.transaction(doing="adopting a purge"):
        [number] = ledger.insert(session, Kind.PURGE, adoption.state, [_purge_row(adoption)])
        ledger.skip_purges(session, number)
        purge = purge_record.by_id(session, number)
        shard_keys.remember_rows(session, adoption.schema, purge, adoption.deleted)
        audit_log.log(session, "adopt", purge, _details(purge))


def adopt_move(session: Session, adoption: MoveAdoption) -> None:
    """Write the record of a move with its offsets and the log's entry, all or nothing.

    It replaces a record of the same id that was only planned. Raises DatabaseError if the ledger refuses.
    """
    route = adoption.route
    with session.transaction(doing="adopting a move"):
        planned = (adoption.id, State.PLANNED.value)
        ledger.delete(session, Kind.MOVE, "id = %s AND state = %s", planned, doing="deleting the record of a plan")
        ledger.insert(session, Kind.MOVE, adoption.state, [_move_row(adoption)])
        existing = placement_history.regions(session, route.source, route.target)
        new = sorted({*adoption.offsets} - {*existing})
        placement_history.write_regions(session, route.source, route.target, new)
        move = move_record.by_id(session, adoption.id)
        details: dict[str, object] = {"location": move.location, "state": move.state.value, "sha256": move.sha256}
        audit_log.log(session, "adopt", move, details)


def _move_row(adoption: MoveAdoption) -> dict[str, object]:
    manifest, route = adoption.manifest, adoption.route
    return {
        "id": adoption.id,
        "key": key_text(manifest.tenant_id),
        "year": manifest.year,
        "verb": route.verb,
        "shard": route.source,
        "target": route.target,
        "offsets": move_record.plain_offsets(adoption.offsets),
        "location": adoption.location,
        "members": plain(manifest.members),
        "started_at": adoption.started_at,
        "switched_at": adoption.switched_at,
        "turn": adoption.turn,
        **asdict(adoption.digests),
    }


def _purge_row(adoption: PurgeAdoption) -> dict[str, object]:
    manifest = adoption.manifest
    return {
        "id": manifest.tenant_id,
        "key": key_text(manifest.tenant_id),
        "year": manifest.year,
        "before": adoption.before,
        "ids": list(adoption.ids),
        "shard": manifest.shard,
        "location": adoption.location,
        "recipients": _recipients(adoption.location),
        "members": plain(manifest.members),
        "started_at": adoption.started_at,
        **asdict(adoption.digests),
    }


def _recipients(location: str) -> list[str]:
    return UNKNOWN_KEYS if encryption.is_encrypted(location) else []


def _details(record: Record | Month | Purge) -> dict[str, object]:
    return {"location": record.location, "state": record.state.value, "sha256": record.sha256}


def adopt_month(session: Session, adoption: MonthAdoption) -> None:
    """Write the record of a month with its slices and the log's entries, all or nothing.

    It replaces a record of the same id that deleted nothing. Raises DatabaseError if the ledger refuses.
    """
    with session.transaction(doing="adopting a month"):
        states = [state.value for state in REPLACEABLE]
        doing = "deleting the record of a month that came to nothing"
        ledger.delete(session, Kind.MONTH, "id = %s AND state = ANY(%s)", (adoption.id, states), doing=doing)
        row = {name: getattr(adoption, name) for name in _OF_MONTH}
        own = {"key": key_text(adoption.month), "recipients": UNKNOWN_KEYS if adoption.encrypted else []}
        row |= {} if adoption.turn is None else {"turn": adoption.turn}
        ledger.insert(session, Kind.MONTH, adoption.state, [{**row, **asdict(adoption.digests), **own}])
        [month] = month_record.of_ids(session, [adoption.id])
        slices = [_slice(month, position) for position in adoption.positions]
        slice_record.write(session, month, slices)
        for month_slice, position in zip(slices, adoption.positions, strict=True):
            slice_record.deleted(session, month_slice, position.claim.deleted, position.claim.stayed)
        dropped = [SlicePosition(claim=claim, start=0, size=0, sha256="", rows={}) for claim in adoption.dropped]
        _log_dropped(session, month, [_slice(replace(month, location=each.claim.location), each) for each in dropped])
        audit_log.log_all(session, "adopt", slices, [_details(month)] * len(slices))


def _slice(month: Month, position: SlicePosition) -> Slice:
    return Slice(
        month=month,
        tenant_id=position.claim.key,
        start=position.start,
        size=position.size,
        sha256=position.sha256,
        rows=position.rows,
        went=None,
        stayed=None,
    )


_OF_MONTH = ("id", "year", "before", "shard", "location", "fingerprint", "started_at", "archived_at")


def adopt_tenant(session: Session, adoption: Adoption) -> Record:
    """Write the record of an archive with its books and the log's entry, all or nothing. Return the record.

    It replaces a record of the same tenant and year that deleted nothing. Raises DatabaseError if the ledger refuses.
    """
    with session.transaction(doing="adopting an archive"):
        _make_room(session, adoption)
        [number] = ledger.insert(session, Kind.TENANT, adoption.state, [_row(adoption)])
        record = archive_record.by_id(session, number)
        if adoption.state is State.ARCHIVED:
            id_index.write(session, record, adoption.ids)
            deleted_keys.remember(session, record, adoption.deleted)
            retained_rows.drop(session, record)
            retained_rows.remember(session, record, adoption.retained)
        audit_log.log(session, "adopt", record, _details(record))
    return record


def _make_room(session: Session, adoption: Adoption) -> None:
    manifest, states = adoption.manifest, [state.value for state in REPLACEABLE]
    ledger.delete(
        session,
        Kind.TENANT,
        "key = %s AND year = %s AND state = ANY(%s)",
        (key_text(manifest.tenant_id), manifest.year, states),
        doing="deleting the record of an archive that came to nothing",
    )


def _row(adoption: Adoption) -> dict[str, object]:
    manifest = adoption.manifest
    own = {"id": adoption.id, "turn": adoption.turn}
    return {
        **{name: value for name, value in own.items() if value is not None},
        "key": key_text(manifest.tenant_id),
        "tenant_name": manifest.tenant_name,
        "customer_id": key_text_or_none(manifest.customer_id),
        "customer_name": manifest.customer_name,
        "year": manifest.year,
        "night": adoption.night,
        "shard": manifest.shard,
        "depth": adoption.depth,
        "location": adoption.location,
        "recipients": _recipients(adoption.location),
        "fingerprint": manifest.fingerprint,
        "members": plain(manifest.members),
        "kept": adoption.live,
        "started_at": adoption.started_at,
        "archived_at": adoption.archived_at,
        **asdict(adoption.digests),
    }


def skip_known_ids(master: Session, shards: Sequence[Session]) -> None:
    """Give out no id and no turn that a marker of a shard knows: its record may be adopted later."""
    number, turn = claims.last_id_and_turn(shards)
    ledger.skip_ids(master, number)
    ledger.skip_turns(master, turn)
