"""Shards, and moves between them, as text; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from archiver.records.id_offsets import Offsets
from archiver.records.move_record import Move, Route
from archiver.reshard.merge_split import SPLIT, MoveOutcome
from archiver.reshard.preview import MovePreview
from archiver.reshard.shard_sizes import ShardSize
from formatting import many, plural, size
from runbooks.cli.tables import TextTable
from runbooks.cli.text.archives import counts, failure


def moved_line(noun: str, outcome: MoveOutcome) -> str:
    """Return the outcome of one tenant's move, in a line."""
    who, move = f"{noun} {outcome.tenant_id}", outcome.move
    if outcome.error:
        return failure(who, outcome.error)
    assert move is not None
    rows = sum(move.rows.values())
    text = f"{who}: moved to {move.target}, {rows:,} rows, {_ids(move.offsets)}, {outcome.seconds:.1f} s"
    late = f"; NOT MOVED (added after verification, still live on {move.source}): {counts(outcome.late)}"
    return text + (late if outcome.late else "")


def moved_summary(noun: str, route: Route, outcomes: Sequence[MoveOutcome]) -> str:
    """Return the summary of a merge or a split."""
    if not outcomes:
        return _nothing(noun, route)
    failed = sum(1 for outcome in outcomes if outcome.error)
    rows = sum(sum(outcome.move.rows.values()) for outcome in outcomes if outcome.move)
    text = f"{len(outcomes) - failed} of {many(len(outcomes), noun)} moved from {route.source} to {route.target}: "
    return f"{text}{rows:,} rows" + (f"; {failed} FAILED: run the same command again" if failed else "")


def previewed_line(noun: str, route: Route, preview: MovePreview) -> str:
    """Return what moving one tenant would do, in a line, with what is in its way below."""
    who = f"{noun} {preview.tenant_id}"
    if preview.failure:
        return failure(who, preview.failure)
    rows, ids = sum(preview.rows.values()), _ids(preview.offsets)
    if preview.left:
        text = f"{who}: half moved ({preview.left.state.value}), would be settled, {rows:,} rows"
    else:
        text = f"{who}: would be moved to {route.target}, {rows:,} rows, {ids}, looked at in {preview.seconds:.1f} s"
    return "\n".join([text, *(f"  in the way: {obstacle}" for obstacle in preview.in_the_way)])


def previewed_summary(noun: str, route: Route, previews: Sequence[MovePreview]) -> str:
    """Return the summary of a merge or a split that was only shown."""
    if not previews:
        return _nothing(noun, route)
    movable = [each for each in previews if not each.error]
    refused, rows = len(previews) - len(movable), sum(sum(each.rows.values()) for each in movable)
    text = f"{len(movable)} of {many(len(previews), noun)} can be moved from {route.source} to {route.target}: "
    text += f"{rows:,} rows; nothing was changed"
    return text + (f"; {refused} would be REFUSED" if refused else "")


def shard_size_table(noun: str, sizes: Iterable[ShardSize]) -> TextTable:
    """Return a table of the tenants, rows and bytes on each shard."""
    columns = ("shard", plural(noun), "rows at last ANALYZE", "size", "")
    return TextTable(columns, [_shard_row(shard) for shard in sizes], numbers=columns[1:4])


def _shard_row(shard: ShardSize) -> tuple[str, ...]:
    rows = "?" if shard.rows is None else f"{shard.rows:,}"
    note = f"merged: its archives come back into {shard.merged_into}" if shard.merged_into else ""
    return shard.name, f"{shard.tenants:,}", rows, size(shard.bytes), note


def half_moved_lines(noun: str, half_moved: Iterable[Move]) -> Iterator[str]:
    """Yield the unfinished moves, with the commands that finish them."""
    for move in half_moved:
        yield f"{noun} {move.tenant_id} is half moved ({move.state.value}); to finish it: {move.command}"


def _nothing(noun: str, route: Route) -> str:
    reason = f"came from {route.target}" if route.verb == SPLIT else "is left to be moved"
    return f"Nothing to do: no {noun} on {route.source} {reason}."


def _ids(offsets: Offsets) -> str:
    changes = sorted({region.plus for region in offsets if region.plus})
    return f"ids {' or '.join(f'{plus:+,}' for plus in changes)}" if changes else "ids as they were"
