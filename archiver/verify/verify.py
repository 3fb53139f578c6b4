"""Verification of an archive: loaded into bare scratch tables, read back, compared, and its rules checked."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.hashed import HashedSource
from archiver.format.manifest import Manifest
from archiver.format.money import read_as_written
from archiver.format.rows import JOIN, Digest
from archiver.postgres.schema import TENANT, Table, column_list
from archiver.postgres.session import SQL, Composable, DatabaseError, Identifier
from archiver.verify.rules import row_rules
from archiver.verify.scratch import ScratchDatabase
from errors import CutoverError, DamagedError, RefusedError
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The proof that an archive matches its manifest and can be restored. Every deletion requires one."""

    manifest: Manifest
    seconds: float  # to restore into the scratch database


def verify(archive: Archive, tenant_id: Key, year: int, scratch: ScratchDatabase, model: Model) -> Verified:
    """Restore an archive into the scratch database and compare rows and content. Nothing stays there.

    Raises DamagedError if it is another tenant's archive, RefusedError if the rows read back differ or break a rule.
    """
    belongs_to(archive, tenant_id, year)
    began = time.monotonic()
    _prove([archive], scratch, model)
    return Verified(manifest=archive.manifest, seconds=time.monotonic() - began)


def verify_together(
    archives: Sequence[Archive], scratch: ScratchDatabase, model: Model
) -> list[Verified | CutoverError]:
    """Verify several tenants' archives of one shape at once. Return, in their order, the proof or the error of each."""
    began = time.monotonic()
    try:
        _prove(archives, scratch, model)
    except CutoverError as error:
        if isinstance(error, DatabaseError) and error.lost:
            raise
        return [_verify_single(archive, scratch, model) for archive in archives]
    seconds = (time.monotonic() - began) / len(archives)
    return [Verified(manifest=archive.manifest, seconds=seconds) for archive in archives]


def _verify_single(archive: Archive, scratch: ScratchDatabase, model: Model) -> Verified | CutoverError:
    manifest = archive.manifest
    try:
        return verify(archive, manifest.tenant_id, manifest.year, scratch, model)
    except CutoverError as error:
        if isinstance(error, DatabaseError) and error.lost:
            raise
        return error


def belongs_to(archive: Archive, tenant_id: Key, year: int) -> None:
    """Raise DamagedError unless the archive is this tenant's, of this year."""
    manifest = archive.manifest
    if (manifest.tenant_id, manifest.year) != (tenant_id, year):
        noun = manifest.noun
        raise DamagedError(
            f"{archive.name} is the archive of {noun} {manifest.tenant_id}, year {manifest.year}, "
            f"not of {noun} {tenant_id}, year {year}."
        )


def _prove(archives: Sequence[Archive], scratch: ScratchDatabase, model: Model) -> None:
    for database, schema in archives[0].manifest.schemas.items():
        with scratch.empty(schema) as relations:
            for name, shape in schema.tables.items():
                load_scratch(archives, TableName(database, name), shape, relations[name], scratch)
            for rule in row_rules(model, database, schema, relations):
                query = SQL("SELECT count(*) FROM ({}) broken").format(rule.broken)
                broken = scratch.session.row(query, doing=f"verifying {rule.table}")[0]
                if broken:
                    raise RefusedError(f"Verifying {rule.table} failed: {rule.rule} ({broken}).")


def load_scratch(
    archives: Sequence[Archive], table: TableName, shape: Table, relation: Composable, scratch: ScratchDatabase
) -> None:
    """Load one table of all the archives, read it back, and compare it. Raises RefusedError if it differs."""
    member = layout.member(table)
    columns = SQL("{}, {}").format(Identifier(TENANT), column_list(shape))
    # Each row has its archive's number in front.
    pieces = (data for number, archive in enumerate(archives) for data in _behind_number(number, archive, member))
    source = HashedSource(lambda size: next(pieces, b""))
    target = SQL("{} ({})").format(relation, columns)
    read_as_written(scratch.session, archives[0].manifest, table)
    rows = scratch.session.copy_in(target, source, doing=f"loading {table}")
    digest = Digest()
    read = scratch.session.copy_out(
        SQL("SELECT {} FROM {}").format(columns, relation), digest, doing=f"reading {table} back"
    )
    expected = sum(archive.manifest.members[member].rows for archive in archives)
    restored = digest.finish(read)
    if rows != expected or (restored.rows, restored.sha256) != (expected, source.sha256):
        raise RefusedError(
            f"Verifying {table} failed: {read} of {expected} rows were read back, or their content differs."
        )


def _behind_number(number: int, archive: Archive, member: str) -> Iterator[bytes]:
    tenant, begins = f"{number}\t".encode(), True
    with archive.open(member) as source:
        while data := source.read(JOIN):
            ends = data.endswith(b"\n")
            body = data[:-1] if ends else data
            yield (tenant if begins else b"") + body.replace(b"\n", b"\n" + tenant) + (b"\n" if ends else b"")
            begins = ends
