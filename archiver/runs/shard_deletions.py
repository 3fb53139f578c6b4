"""Delete many tenants from their shards: several shards at once, and in each one depth after the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import groupby
from operator import attrgetter

from archiver.catalog.model import Model
from archiver.delete import many
from archiver.delete.table_locks import BulkWork
from archiver.records.archive_record import Record
from archiver.runs.each import Done, Outcome, attempt
from errors import CutoverError
from inventory.keys import Key

# Of the tenants of one shard that are deleted to one depth; of these, the failed ones by tenant, which are live.
ShardDeletion = Outcome[Sequence[Record], Mapping[Key, CutoverError]]


def delete_from_shards(work: BulkWork, records: Sequence[Record], workers: int) -> list[ShardDeletion]:
    """Delete from several shards at once, each on the connection that holds its lock: losing the lock stops it.

    Returns when all have ended: only then may the same connections do anything else.
    """
    with ThreadPoolExecutor(workers) as pool:
        results = [pool.submit(_delete_from, work, shard, group) for shard, group in by_shard(records)]
    return [deletion for result in results for deletion in result.result()]


def by_shard(records: Iterable[Record]) -> Iterator[tuple[str, list[Record]]]:
    """Yield the records of each shard, by tenant."""
    for shard, group in groupby(sorted(records, key=attrgetter("shard", "tenant_id")), attrgetter("shard")):
        yield shard, list(group)


def by_depth(model: Model, records: Sequence[Record]) -> list[tuple[str, list[Record]]]:
    """Return the records of each depth, in `Model.in_order`."""
    groups = defaultdict[str, list[Record]](list)
    for record in records:
        groups[record.depth].append(record)
    return [(depth, groups[depth]) for depth in model.in_order(groups)]


def _delete_from(work: BulkWork, shard: str, records: Sequence[Record]) -> list[ShardDeletion]:
    return [_delete(replace(work, depth=depth), shard, group) for depth, group in by_depth(work.model, records)]


def _delete(work: BulkWork, shard: str, records: Sequence[Record]) -> ShardDeletion:
    return attempt(
        records, lambda records: Done(detail=many.empty_shard(work, work.databases.placement(shard), records))
    )
