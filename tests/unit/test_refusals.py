"""Refusals before anything is read, loaded or deleted, by values: of the archive, the store and the server."""

from __future__ import annotations

import hashlib
from contextlib import AbstractContextManager, nullcontext
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, TableName
from archiver.checks import log_proof
from archiver.checks.log_proof import LogProof, accept_log
from archiver.estimate import table_sizes
from archiver.extract import orphan_rows
from archiver.postgres.fence import fenced
from archiver.postgres.own_schema import ready
from archiver.postgres.session import DatabaseError, Session
from archiver.postgres.triggers import refuse_replica
from archiver.records import archives, audit_log
from archiver.records.move_record import Route
from archiver.records.state import Kind
from archiver.runs import archive, month_object
from archiver.runs.context import fetch
from archiver.store.bucket import Bucket, Digests
from archiver.store.multipart import put_in_parts
from archiver.store.schemas import StoredSchemas
from archiver.store.standing import MissingObjectError
from archiver.store.trial import prove_conditional
from archiver.verify.verify import belongs_to
from errors import CutoverError, DamagedError, RefusedError
from inventory.model import Fence
from tests.answering import Answering, asked, session

Refuses = AbstractContextManager[Any]
ROUTE = Route(verb="merge", source="shard_1", target="shard_2")


def refuses(sentence: str, error: type[CutoverError] = RefusedError) -> Refuses:
    """Expect a refusal with this sentence; none if it is empty."""
    return pytest.raises(error, match=sentence) if sentence else nullcontext()


@pytest.mark.parametrize(("sha256", "sentence"), [("", ""), ("another", "it has changed since it was hashed")])
def test_a_file_that_changes_while_it_is_uploaded_is_not_stored(sha256: str, sentence: str) -> None:
    acts: list[str] = []
    client: Any = SimpleNamespace(
        create_multipart_upload=lambda **_: {"UploadId": "1"},
        upload_part=lambda **_: {"ETag": ""},
        complete_multipart_upload=lambda **_: acts.append("completed"),
        abort_multipart_upload=lambda **_: acts.append("aborted"),
    )
    body = BytesIO(b"content")
    body.name = "a.tar.gz"
    with refuses(sentence, DamagedError):
        put_in_parts(client, {}, body, sha256 or hashlib.sha256(b"content").hexdigest(), {}, 4)
    assert acts == ["aborted" if sentence else "completed"]


@pytest.mark.parametrize(
    ("size", "sha256", "sentence"),
    [(5, "hash", ""), (6, "hash", "is not what was stored"), (5, "another", "the record")],
)
def test_an_object_that_is_not_the_one_stored_is_not_read(
    tmp_path: Path, size: int, sha256: str, sentence: str
) -> None:
    bucket: Any = SimpleNamespace(
        key=lambda location: location, get=lambda key, path, limit: Digests(size=size, sha256=sha256, md5="")
    )
    record: Any = SimpleNamespace(location="s3://a/b/13.tar.gz", size=5, sha256="hash")
    with refuses(sentence, DamagedError):
        assert fetch(bucket, record, tmp_path).name == "13.tar.gz"


def test_a_schema_under_a_name_of_another_is_not_believed(tmp_path: Path) -> None:
    bucket: Any = SimpleNamespace(
        keys=lambda prefix: ["schemas/abc.json"],
        get=lambda key, path, limit: path.write_text('{"tables": {}, "types": {}}'),
        location=lambda key: f"s3://a/{key}",
    )
    with refuses(r"schemas/abc\.json is not the schema of the fingerprint", DamagedError):
        StoredSchemas(cast(Bucket, bucket)).fetch("abc", tmp_path)


@pytest.mark.parametrize(
    ("puts", "sentence"),
    [((True, False), ""), ((True, True), "the store ignores If-None-Match, so an object may replace another")],
)
def test_a_store_that_replaces_objects_is_refused(puts: tuple[bool, bool], sentence: str) -> None:
    answers = iter(puts)
    with refuses(sentence):
        prove_conditional("s3://a", lambda key, text: next(answers), lambda key: "first", lambda key: None)


@pytest.mark.parametrize(
    ("tenant", "year", "sentence"), [(13, 2013, ""), (14, 2013, "not of school 14"), (13, 2012, "year 2012")]
)
def test_an_archive_of_another_tenant_or_year_is_not_loaded(tenant: int, year: int, sentence: str) -> None:
    archive: Any = SimpleNamespace(
        name="a.tar.gz",
        manifest=SimpleNamespace(tenant_id=13, year=2013, noun="school", month="2014-05", shard="shard_1"),
    )
    with refuses(sentence, DamagedError):
        belongs_to(archive, tenant, year)
    month: Any = SimpleNamespace(tenant_id=tenant, month=SimpleNamespace(month="2014-05", shard="shard_1"))
    with refuses("the record says 14" if tenant == 14 else "", DamagedError):
        month_object.belongs_to(archive, month)


@pytest.mark.parametrize(("rows", "sentence"), [(0, ""), (None, "PostgreSQL has no statistics of master.schools")])
def test_tables_without_statistics_are_not_estimated(
    monkeypatch: pytest.MonkeyPatch, rows: int | None, sentence: str
) -> None:
    size = SimpleNamespace(rows=rows, bytes=1, analyzed_at=None)
    monkeypatch.setattr("archiver.completeness.live.sizes", lambda session: {"schools": size})
    databases: Any = SimpleNamespace(
        shards=(), session=lambda name: None, model=SimpleNamespace(of=lambda kind: [TableName(MASTER, "schools")])
    )
    with refuses(sentence):
        assert len(table_sizes.read(databases)) == 1


def test_rows_of_no_tenant_are_not_taken_while_a_tenant_is_half_way(monkeypatch: pytest.MonkeyPatch) -> None:
    restoring: list[Any] = []
    monkeypatch.setattr("archiver.records.archive_record.read_if_any", lambda *_, **__: restoring)
    left = SimpleNamespace(
        tenant_id=13, source="shard_1", target="shard_2", route=ROUTE, command="inv shards.merge", in_two_shards=True
    )
    for moves, shard, sentence in (
        ((), "shard_1", ""),
        ((left,), "shard_3", ""),
        ((left,), "shard_1", "School 13 is half moved"),
        ((left,), "shard_2", "School 13 is half moved"),
    ):
        monkeypatch.setattr(
            "archiver.records.move_record.interrupted",
            lambda master, ids=None, moves=moves: [each for each in moves if ids is None or each.tenant_id in ids],
        )
        placement: Any = SimpleNamespace(master=session(), shard=shard)
        with refuses(sentence):
            orphan_rows._refuse_half_way(placement, "school")
    restoring.append(SimpleNamespace(tenant_id=13))
    with refuses("School 13 is half restored: rows of no school stay on shard_2"):
        orphan_rows._refuse_half_way(placement, "school")


@pytest.mark.parametrize(("code", "refused"), [("25006", True), ("57P01", False)])
def test_an_archive_is_not_read_without_a_trace(code: str, refused: bool) -> None:
    def fail(*, doing: str) -> Any:
        raise DatabaseError("It failed.", code=code)

    master: Any = SimpleNamespace(transaction=fail)
    with pytest.raises(RefusedError if refused else DatabaseError, match="Reading an archive" if refused else "It"):
        audit_log.log_reading(master, "cat", [], {})


def test_a_record_that_is_gone_is_not_proved() -> None:
    record: Any = SimpleNamespace(kind=Kind.TENANT, id=7, location="s3://a/13.tar.gz")
    archives.reverified(session({"writing the records of archives": [(1,)]}), record)
    with refuses(r"The record of s3://a/13\.tar\.gz no longer exists"):
        archives.reverified(session(), record)


@pytest.mark.parametrize(("role", "sentence"), [("origin", ""), ("replica", "session_replication_role is 'replica'")])
def test_a_session_that_checks_no_foreign_keys_is_refused(role: str, sentence: str) -> None:
    with refuses(sentence):
        refuse_replica(session({"asking which triggers fire": [(role, "")]}))


def test_nothing_begins_where_the_fence_does_not_close() -> None:
    begun = []
    with (
        refuses("Closing the fence of school 13 failed: exit 1"),
        fenced(Fence(close="exit 1", open=":"), "school", 13),
    ):
        begun.append(1)
    assert begun == []


@pytest.mark.parametrize(
    ("versions", "sentence"),
    [
        ([], "does not say their number"),
        ([({"number": 0},)], "does not say their number"),
        ([({"number": "2"},)], "does not say their number"),
        ([({"number": 1},), ({"number": 2},)], "does not say their number"),
        ([({"number": 999, "tool": "9.0"},)], "they have number 999, made by version 9.0"),
    ],
)
def test_tables_of_another_version_are_not_opened(versions: list[tuple[Any, ...]], sentence: str) -> None:
    class Server(Answering):
        def rows(self, query: object, args: Any = (), *, doing: str = "") -> Any:
            return versions if "archiver.version" in str(query) else [(1,)]

    with refuses(sentence):
        ready(cast(Session, Server({})))


@pytest.mark.parametrize(
    ("problem", "contradicting", "names", "accepted"),
    [
        ("", (), (), None),
        ("entry 2 was changed", (), (), []),
        ("", ("heads/2",), (), ["heads/2"]),
        ("", ("heads/2",), ("schemas/1", "heads/2"), ["heads/2", "schemas/1"]),
    ],
)
def test_a_log_as_it_was_written_is_not_accepted(
    monkeypatch: pytest.MonkeyPatch,
    problem: str,
    contradicting: tuple[str, ...],
    names: tuple[str, ...],
    accepted: list[str] | None,
) -> None:
    written: list[Any] = []
    proof = LogProof(entries=3, heads=1, problem=problem, contradicting=contradicting)
    monkeypatch.setattr(log_proof, "prove_log", lambda *_: proof)
    monkeypatch.setattr(log_proof, "chain_of", lambda *_: SimpleNamespace(content="digest"))
    monkeypatch.setattr(audit_log, "lock", lambda master: None)
    monkeypatch.setattr(audit_log, "log", lambda master, act, subject, details: written.append(details["names"]))
    master = session(where="master")
    with refuses("Accepting the log refused: it is as it was written" if accepted is None else ""):
        accept_log(master, cast(Bucket, None), "We know.", names)
    assert written == ([] if accepted is None else [accepted])
    assert asked(master) == ["COMMIT: accepting the log"] * len(written)


@pytest.mark.parametrize(
    ("error", "put_back", "sentence"),
    [
        (RefusedError("Rows changed."), True, "Rows changed. An earlier run had emptied the shard; its rows were put"),
        (DatabaseError("A key failed.", code="23503"), True, "A key failed. An earlier run had emptied the shard"),
        (DatabaseError("It is gone.", code="57P01"), False, r"It is gone\."),  # a rerun may finish the deletion
        (MissingObjectError("The object is gone."), False, "whose rows are only in that object"),
    ],
)
def test_rows_of_a_deletion_that_master_refuses_are_put_back(
    monkeypatch: pytest.MonkeyPatch, error: CutoverError, put_back: bool, sentence: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    acts: list[str] = []
    monkeypatch.setattr(archive, "_stored", lambda *_: None)
    monkeypatch.setattr(archive, "resume", fail)
    monkeypatch.setattr(archive, "_put_back", lambda *_: acts.append("put back"))
    run: Any = SimpleNamespace(model=None, accept_orphans=False)
    with refuses(sentence, CutoverError):
        archive._resume(run, run, run, run, Path())
    assert acts == ["put back"] * put_back
