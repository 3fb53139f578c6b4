"""An archive with a false statement about itself is refused: each rule, broken, is found and named."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from archiver.format import bundle
from archiver.format.encryption import Keys
from archiver.postgres import tenants
from archiver.runs.archive import pretended
from archiver.runs.context import Archiver
from archiver.verify.verify import Verified, verify, verify_together
from errors import CutoverError
from tests.worlds import YEAR, World

Lines = list[bytes]


def twice(lines: Lines) -> Lines:
    return [*lines, lines[0]]


def none(lines: Lines) -> Lines:
    return []


def without_first(lines: Lines) -> Lines:
    return lines[1:]


def without_id(lines: Lines) -> Lines:
    return [b"\\N\t" + lines[0].split(b"\t", 1)[1], *lines[1:]]


def with_a_word_for_a_number(lines: Lines) -> Lines:
    return [b"many\t" + lines[0].split(b"\t", 1)[1], *lines[1:]]


BROKEN = [
    ("shard/attempts.copy", twice, "Verifying shard.attempts failed: several of its rows have one key, id"),
    ("shard/enrollments.copy", none, "Verifying shard.lesson_enrollments failed: some of its rows have no parent"),
    (
        "master/users.copy",
        without_first,
        "Verifying master.(preferences failed: some of its rows have no parent|"
        ".* some of its rows reference rows of master.users)",
    ),
    ("master/classrooms.copy", without_id, "Loading master.classrooms .* failed: .*null value"),
    ("shard/hint_views.copy", with_a_word_for_a_number, "Loading shard.hint_views .* failed"),
]


def rewritten(path: Path, member: str, change: Callable[[Lines], Lines]) -> Path:
    """The same archive with other rows, of which its manifest says that they are right."""
    with tarfile.open(path, "r:gz") as tar:
        held = {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]
    lines = change(held[member].splitlines(keepends=True))
    assert lines != held[member].splitlines(keepends=True)
    held[member], manifest = b"".join(lines), json.loads(held["manifest.json"])
    sha256 = hashlib.sha256(held[member]).hexdigest()
    manifest["members"][member] = {"rows": len(lines), "bytes": len(held[member]), "sha256": sha256}
    held["manifest.json"] = json.dumps(manifest).encode()
    with tarfile.open(path, "w:gz") as tar:
        for name, data in held.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return path


@contextmanager
def packed(archiver: Archiver, school: int, work: Path) -> Iterator[Path]:
    tenant = tenants.tenant(archiver.databases.master, archiver.model.tenant, school)
    assert tenant is not None
    work.mkdir()
    found, _ = pretended(archiver, archiver.databases.placement(tenant.shard), tenant, YEAR, work)
    yield found.path


@pytest.fixture
def archiver(world: World) -> Iterator[Archiver]:
    with world.archiver() as archiver:
        yield archiver


def test_each_broken_rule_is_found_and_named(archiver: Archiver, tmp_path: Path) -> None:
    with packed(archiver, 13, tmp_path / "whole") as path:
        whole = path.read_bytes()
    for member, change, message in BROKEN:
        path.write_bytes(whole)
        with (
            bundle.opened(rewritten(path, member, change), Keys()) as archive,
            pytest.raises(CutoverError, match=message),
        ):
            verify(archive, 13, YEAR, archiver.scratch, archiver.model)
    path.write_bytes(whole)
    with bundle.opened(path, Keys()) as archive:
        assert verify(archive, 13, YEAR, archiver.scratch, archiver.model).manifest.rows > 100


def test_only_the_broken_one_of_several_fails(archiver: Archiver, tmp_path: Path) -> None:
    with packed(archiver, 13, tmp_path / "13") as good, packed(archiver, 5, tmp_path / "5") as bad:
        rewritten(bad, "shard/attempts.copy", twice)
        with bundle.opened(good, Keys()) as one, bundle.opened(bad, Keys()) as other:
            outcomes = verify_together([one, other], archiver.scratch, archiver.model)
    assert isinstance(outcomes[0], Verified)
    assert "one key" in str(outcomes[1])


def test_a_row_that_is_read_back_differently_is_refused(archiver: Archiver, tmp_path: Path) -> None:
    with packed(archiver, 13, tmp_path / "13") as path:

        def padded(lines: Lines) -> Lines:
            return [b"0" + lines[0], *lines[1:]]  # id 0123 comes back as 123

        with (
            bundle.opened(rewritten(path, "shard/attempts.copy", padded), Keys()) as archive,
            pytest.raises(CutoverError, match=r"Verifying shard.attempts failed: .* or their content differs"),
        ):
            verify(archive, 13, YEAR, archiver.scratch, archiver.model)
