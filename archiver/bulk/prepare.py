"""The tenants of one shard from their rows to verified archives: the unit of work of a run over many.

It may be done again at any moment, by anybody: what was verified stays, all else begins anew.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from archiver import bundle
from archiver.archive import Archiver, Outcome, Packed, Tell, fetch, new_location, pack
from archiver.bulk import passes, states
from archiver.bulk.states import Stored
from archiver.extract import Extract
from archiver.folders import work_folder
from archiver.proving.verify import Verified, belongs_to, verify_together
from archiver.records import Order, Record
from archiver.storage import Bucket
from archiver.tenants import Tenant
from errors import CutoverError

TOGETHER, TOGETHER_BYTES = 50, 32 << 20  # tenants that are stored and verified together, and bytes of their rows
AT_ONCE = 4  # requests to the store


@dataclass(frozen=True, kw_only=True)
class Unit:
    """What is done with the tenants of one shard."""

    archiver: Archiver
    order: Order
    tell: Tell
    work: Path
    pool: Executor  # for requests to the store
    began: float = field(default_factory=time.monotonic)

    @contextmanager
    def leaving_alone(self, tenant_id: int) -> Iterator[None]:
        """Where the block fails, this tenant is left as it was, and the others go on."""
        try:
            yield
        except CutoverError as error:
            self.tell(Outcome(tenant_id=tenant_id, seconds=time.monotonic() - self.began, error=error))


def prepare(
    archiver: Archiver, shard: str, tenants: Sequence[Tenant], order: Order, memory: int, tell: Tell
) -> list[Outcome]:
    """Extracts, packs, stores and verifies; the outcomes of those whose archives are verified.

    One that fails is left as it was and told, the others go on. At most `memory` bytes of rows lie in memory.
    """
    outcomes: list[Outcome] = []
    with work_folder(archiver.work) as work, (work / "rows").open("w+b") as file, ThreadPoolExecutor(AT_ONCE) as pool:
        unit = Unit(archiver=archiver, order=order, tell=tell, work=work, pool=pool)
        begun = {} if order.pretend else _begin(unit, tenants)
        found = passes.extract(archiver.place.site(shard), archiver.model, tenants, order.year, file, memory)
        for several in _several(found):
            proven = _pretended(unit, several) if order.pretend else _stored_and_proven(unit, several, begun)
            outcomes += map(_outcome, proven)
    return outcomes


def _begin(unit: Unit, tenants: Sequence[Tenant]) -> dict[int, Record]:
    archiver, order = unit.archiver, unit.order
    locations = [new_location(archiver, order.year, tenant.id) for tenant in tenants]
    return states.start(archiver.place.master, tenants, order, locations, archiver.keys.recipients)


@dataclass(frozen=True, kw_only=True)
class Proven:
    """A tenant whose archive was restored and compared."""

    tenant_id: int
    packed: Packed
    proof: Verified


def _several(found: Iterable[Extract]) -> Iterator[list[Extract]]:
    several: list[Extract] = []
    for extract in found:
        several.append(extract)
        if len(several) == TOGETHER or sum(map(_size, several)) > TOGETHER_BYTES:
            yield several
            several = []
    if several:
        yield several


def _size(extract: Extract) -> int:
    return sum(member.bytes for member in extract.manifest.members.values())


def _pretended(unit: Unit, several: Sequence[Extract]) -> list[Proven]:
    packed = [pack(unit.archiver, extract, unit.work) for extract in several]
    return _proven(unit, [(one, one.path) for one in packed])


def _stored_and_proven(unit: Unit, several: Sequence[Extract], begun: Mapping[int, Record]) -> list[Proven]:
    """Proves what the store gives back, not what was sent."""
    master = unit.archiver.place.master
    stored = _stored(unit, several, begun)
    states.stored(master, stored)
    proven = _proven(unit, _fetched(unit, stored))
    states.verified(master, {begun[one.tenant_id].id: one.proof.seconds for one in proven})
    return proven


def _stored(unit: Unit, several: Sequence[Extract], begun: Mapping[int, Record]) -> list[Stored]:
    """Packs one tenant while those before it are on their way to the store."""
    unit.archiver.schemas.keep(several[0].manifest.schemas.values(), unit.work)
    ways: list[tuple[int, Future[Stored]]] = []
    for extract in several:
        packed = pack(unit.archiver, extract, unit.work)
        record = begun[extract.tenant.id]
        ways.append((record.tenant_id, unit.pool.submit(_put, unit.archiver.bucket, record, packed)))
    stored = []
    for tenant_id, way in ways:
        with unit.leaving_alone(tenant_id):
            stored.append(way.result())
    return stored


def _put(bucket: Bucket, record: Record, packed: Packed) -> Stored:
    bucket.put(bucket.key(record.location), packed.path, packed.digests)
    packed.path.unlink()
    return Stored(record=replace(record, size=packed.digests.size, sha256=packed.digests.sha256), packed=packed)


def _fetched(unit: Unit, stored: Sequence[Stored]) -> list[tuple[Packed, Path]]:
    folder = unit.work / "fetched"
    ways = [(one, unit.pool.submit(fetch, unit.archiver.bucket, one.record, folder)) for one in stored]
    fetched = []
    for one, way in ways:
        with unit.leaving_alone(one.record.tenant_id):
            fetched.append((one.packed, way.result()))
    return fetched


def _proven(unit: Unit, packed: Sequence[tuple[Packed, Path]]) -> list[Proven]:
    """Proves what lies at these paths; the files go."""
    archiver, archives = unit.archiver, []
    with ExitStack() as files:
        for one, path in packed:
            with unit.leaving_alone(one.extract.tenant.id):
                archive = files.enter_context(bundle.opened(path, archiver.keys))
                belongs_to(archive, one.extract.tenant.id, unit.order.year)
                archives.append((one, archive))
            path.unlink()
        proofs = verify_together([archive for _, archive in archives], archiver.ground, archiver.model)
    proven = []
    for (one, _), proof in zip(archives, proofs, strict=True):
        with unit.leaving_alone(one.extract.tenant.id):
            if isinstance(proof, CutoverError):
                raise proof
            proven.append(Proven(tenant_id=one.extract.tenant.id, packed=one, proof=proof))
    return proven


def _outcome(one: Proven) -> Outcome:
    return Outcome(
        tenant_id=one.tenant_id,
        seconds=one.packed.extract.seconds + one.proof.seconds,
        rows=one.proof.manifest.rows,
        size=one.packed.digests.size,
    )
