"""Shards, and moves between them, as text; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from archiver.records.id_offsets import Offsets
from archiver.records.move_record import Move, Route
from archiver.reshard.merge_split import SPLIT, MoveOutcome
from archiver.reshard.preview import MovePreview, Previewed
from archiver.reshard.settle import Ended
from archiver.reshard.shard_sizes import ShardSize
from formatting import many, plural, size
from inventory.keys import Key
from runbooks.cli.outcomes import Words
from runbooks.cli.tables import TextTable
from runbooks.cli.text.archives import counts


@dataclass(frozen=True, kw_only=True)
class MoveWords(Words[Key, Ended]):
    """The words for tenants that are moved between two shards."""

    def done(self, outcome: MoveOutcome) -> str:
        """Return where a tenant was moved, and its ids."""
        move = outcome.result().move
        figures = f"{many(outcome.rows, 'row')}, {_ids(move.offsets)}, {outcome.seconds:.1f} s"
        return f"moved to {move.target}, {figures}"

    def more(self, outcome: MoveOutcome) -> Iterator[str]:
        """Yield the rows that stayed on the source."""
        ended = outcome.result()
        if ended.late:
            late = counts(ended.late)
            yield f"NOT MOVED (added after verification, still live on {ended.move.source}): {late}"


@dataclass(frozen=True, kw_only=True)
class PreviewWords(Words[Key, MovePreview]):
    """The words for tenants of which the move is only shown."""

    route: Route

    def line(self, outcome: Previewed) -> str:
        """Return what moving one tenant would do, in a line, with what is in its way below."""
        preview = outcome.detail
        if preview is None:
            return super().line(outcome)
        if preview.left:
            done = f"half moved ({preview.left.state.value}), would be settled, {many(outcome.rows, 'row')}"
        else:
            done = f"would be moved to {self.route.target}, {many(outcome.rows, 'row')}, {_ids(preview.offsets)}, "
            done += f"looked at in {outcome.seconds:.1f} s"
        in_the_way = [f"  in the way: {obstacle}" for obstacle in preview.in_the_way]
        return "\n".join([f"{self.label(outcome.item)}: {done}", *in_the_way])

    def conclusion(self, done: Sequence[Previewed]) -> Iterator[str]:
        """Yield that nothing was changed."""
        yield "nothing was changed"

    def failed(self, number: int) -> Iterator[str]:
        """Yield how many tenants could not be moved, if any."""
        if number:
            yield f"{number} would be REFUSED"


def move_words(noun: str, route: Route) -> MoveWords:
    """Return the words for the tenants of a merge or a split."""
    verb, nothing = f"moved from {route.source} to {route.target}", _nothing(noun, route)
    return MoveWords(noun=noun, verb=verb, nothing=nothing, hint="run the same command again")


def preview_words(noun: str, route: Route) -> PreviewWords:
    """Return the words for the tenants of a merge or a split that is only shown."""
    verb, nothing = f"can be moved from {route.source} to {route.target}", _nothing(noun, route)
    return PreviewWords(noun=noun, verb=verb, nothing=nothing, route=route)


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
    return f"no {noun} on {route.source} {reason}"


def _ids(offsets: Offsets) -> str:
    changes = sorted({region.plus for region in offsets if region.plus})
    return f"ids {' or '.join(f'{plus:+,}' for plus in changes)}" if changes else "ids as they were"
