"""The archive file: equal content gives equal bytes, and whatever is not as the manifest says is refused by name."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from archiver.format import bundle, layout
from archiver.format.encryption import Keys
from archiver.format.manifest import Manifest, Member
from archiver.format.rows import RowFile
from archiver.postgres.schema import Column, ForeignKey, Schema, Table
from errors import DamagedError

ROWS = {
    "master/schools.copy": b"13\tLincoln\n",
    "master/classrooms.copy": b"1\t13\n2\t13\n",
    "shard/enrollments.copy": b"",
}


def column(name: str, kind: str = "integer") -> Column:
    return Column(name=name, type=kind, not_null=True, identity=False, generated=None, sequence=None)


def table(*columns: Column, keys: tuple[ForeignKey, ...] = ()) -> Table:
    return Table(columns=columns, primary_key=("id",), constraints={"key": "PRIMARY KEY (id)"}, foreign_keys=keys)


TO_SCHOOLS = ForeignKey(name="fk", columns=("school_id",), target="schools", target_columns=("id",))
SCHEMAS = {
    "master": Schema(
        types={},
        tables={
            "classrooms": table(column("id"), column("school_id"), keys=(TO_SCHOOLS,)),
            "schools": table(column("id"), column("name", "text")),
        },
    ),
    "shard": Schema(types={}, tables={"enrollments": table(column("id"))}),
}


def manifest(rows: Mapping[str, bytes] = ROWS) -> Manifest:
    members = {
        name: Member(rows=data.count(b"\n"), bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
        for name, data in rows.items()
    }
    return Manifest(
        noun="school",
        tenant_id=13,
        tenant_name="Lincoln",
        customer_id=1,
        customer_name="Acme",
        shard="shard_2",
        year=2013,
        tool_version="1",
        server_versions={"master": "18.6", "shard": "18.6"},
        settings={},
        schemas=SCHEMAS,
        members=members,
        highest={"master.schools.id": 13},
    )


def packed(folder: Path, name: str = "a.tar.gz") -> Path:
    spools = folder / f"{name}.spool"
    spools.mkdir()
    files = {member: spools / member.replace("/", "-") for member in ROWS}
    for member, path in files.items():
        path.write_bytes(ROWS[member])
    _, texts = layout.with_digests(manifest())
    bundle.write(folder / name, texts, {member: RowFile(path) for member, path in files.items()})
    return folder / name


def members_of(path: Path) -> dict[str, bytes]:
    """Return the members as Python's own tar and gzip read them, apart from the code under test."""
    with tarfile.open(path, "r:gz") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


def rebuilt(path: Path, members: list[tuple[str, bytes, bytes]]) -> Path:
    """The archive again with these members: name, content, tar type."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, data, kind in members:
            entry = tarfile.TarInfo(name)
            entry.size, entry.type = len(data), kind
            entry.linkname = "manifest.json" if kind != tarfile.REGTYPE else ""
            tar.addfile(entry, io.BytesIO(data))
    path.write_bytes(gzip.compress(raw.getvalue()))
    return path


def refused(path: Path) -> str:
    with pytest.raises(DamagedError) as caught, bundle.opened(path, Keys()):
        pass
    return str(caught.value)


def decompressed(path: Path) -> bytes | None:
    """Return the plain tar; None if gzip refuses it."""
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error):
        return None


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    first, second = packed(tmp_path, "a.tar.gz"), packed(tmp_path, "b.tar.gz")

    assert first.read_bytes() == second.read_bytes()


def test_tar_and_gzip_alone_open_it(tmp_path: Path) -> None:
    found = members_of(packed(tmp_path))

    assert list(found) == sorted(found)
    assert {name: found[name] for name in ROWS} == ROWS
    assert found.keys() - ROWS.keys() == {"README", "manifest.json", "schema.sql", "restore.sql"}


def test_restore_sql_loads_what_a_foreign_key_names_first(tmp_path: Path) -> None:
    script = members_of(packed(tmp_path))["restore.sql"].decode()

    assert script.index("master/schools.copy") < script.index("master/classrooms.copy")


def test_an_archive_gives_back_its_members_in_any_order(tmp_path: Path) -> None:
    with bundle.opened(packed(tmp_path), Keys()) as archive:
        assert archive.manifest.rows == 3
        for name in sorted(ROWS, reverse=True):
            assert archive.open(name).read() == ROWS[name]


@pytest.mark.parametrize("cut", [1, 100, 10_000])
def test_a_truncated_archive_is_refused(tmp_path: Path, cut: int) -> None:
    path = packed(tmp_path)
    path.write_bytes(path.read_bytes()[:-cut])

    assert "a.tar.gz is not a complete archive" in refused(path)


def test_a_flipped_bit_after_the_header_is_refused_by_the_archive_itself(tmp_path: Path) -> None:
    path = packed(tmp_path)
    whole = path.read_bytes()
    content, harmless = gzip.decompress(whole), 0

    for place in range(10, len(whole), len(whole) // 100):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        if decompressed(path) == content:  # deflate has bits that carry no content, such as unused code lengths
            harmless += 1
        else:
            assert "a.tar.gz" in refused(path), place
    assert harmless < 5


@pytest.mark.parametrize(
    ("member", "what"), [("master/schools.copy", "its rows and SHA-256"), ("README", "its SHA-256")]
)
def test_an_altered_member_is_refused_by_name(tmp_path: Path, member: str, what: str) -> None:
    path = packed(tmp_path)
    members = members_of(path)
    members[member] = members[member].swapcase()

    assert f"{member} does not match {what}" in refused(
        rebuilt(path, [(name, data, tarfile.REGTYPE) for name, data in members.items()])
    )


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (("stray.copy", b"", tarfile.REGTYPE), "holds a stray member 'stray.copy'"),
        (("/etc/passwd", b"", tarfile.REGTYPE), "'/etc/passwd'"),
        (("../up.copy", b"", tarfile.REGTYPE), "'../up.copy'"),
        (("link.copy", b"", tarfile.SYMTYPE), "does not belong there: 'link.copy'"),
        (("hard.copy", b"", tarfile.LNKTYPE), "does not belong there: 'hard.copy'"),
        (("README", b"", tarfile.REGTYPE), "does not belong there: 'README'"),
        (("master/schools.copy", b"13\tLincoln\n", tarfile.REGTYPE), "does not belong there: 'master/schools.copy'"),
        (("/master/schools.copy", b"", tarfile.REGTYPE), "holds a stray member '/master/schools.copy'"),
        (("master", b"", tarfile.DIRTYPE), "does not belong there: 'master'"),
        (("pipe.copy", b"", tarfile.FIFOTYPE), "does not belong there: 'pipe.copy'"),
    ],
)
def test_a_member_that_does_not_belong_is_refused_by_name(
    tmp_path: Path, extra: tuple[str, bytes, bytes], expected: str
) -> None:
    path = packed(tmp_path)
    members = [(name, data, tarfile.REGTYPE) for name, data in members_of(path).items()]

    assert expected in refused(rebuilt(path, [*members, extra]))


@pytest.mark.parametrize("missing", ["manifest.json", "schema.sql", "master/schools.copy"])
def test_a_missing_member_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    path = packed(tmp_path)
    members = [(name, data, tarfile.REGTYPE) for name, data in members_of(path).items() if name != missing]

    assert missing in refused(rebuilt(path, members))


def test_another_format_is_refused(tmp_path: Path) -> None:
    path = packed(tmp_path)
    members = members_of(path)
    members["manifest.json"] = members["manifest.json"].replace(b'"format": 1', b'"format": 2')

    assert "of format 2, this tool reads format 1" in refused(
        rebuilt(path, [(name, data, tarfile.REGTYPE) for name, data in members.items()])
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"{", "JSONDecodeError"),
        (b"[]", "AttributeError"),
        (b'{"format": 1}', "KeyError"),
        (b'{"format": 1, "fingerprint": "", "schemas": {}, "members": {}, "tenant_id": 13}', "TypeError"),
    ],
)
def test_a_text_that_is_no_manifest_is_damaged(text: bytes, why: str) -> None:
    with pytest.raises(DamagedError, match=f"The archive's manifest cannot be read: {why}"):
        Manifest.from_json(text)


def test_a_manifest_with_another_schema_than_it_says_is_damaged() -> None:
    written = manifest().to_json().replace(SCHEMAS["shard"].fingerprint.encode(), b"another")

    with pytest.raises(DamagedError, match="does not match its own schema fingerprint"):
        Manifest.from_json(written)


def test_a_manifest_survives_json() -> None:
    assert Manifest.from_json(manifest().to_json()) == manifest()


def test_a_manifest_is_json_that_is_read_as_it_was_written() -> None:
    written = manifest().to_json()

    assert json.loads(written)["highest"] == {"master.schools.id": 13}
    assert list(json.loads(written)) == sorted(json.loads(written))
    assert Manifest.from_json(written) == manifest()
