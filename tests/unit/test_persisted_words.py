"""Every word of the archiver that outlives a process, as it is written today: in master, in the store, in an inventory.

The words stand here as they stand there, and are derived from nothing: an identifier may be renamed, and what older
versions wrote is still read, only while these hold. They stand in texts, so that what renames identifiers lets them be.
What PostgreSQL keeps is in tests/integration/test_persisted_words.py, what a night keeps in test_words_of_a_night.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from dataclasses import asdict
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest

from archiver.catalog.model import Part, TableName
from archiver.checks.audit import Audit
from archiver.checks.integrity_finding import IntegrityFinding
from archiver.checks.integrity_finding import IntegrityKind as Doubt
from archiver.checks.night_progress import NightProgress, Standing
from archiver.delete import marker
from archiver.estimate.estimate import Estimate, Expected
from archiver.estimate.rates import Rate, Rates
from archiver.format import bundle, layout
from archiver.format.encryption import Keys
from archiver.format.manifest import Manifest
from archiver.format.rows import RowFile
from archiver.postgres.schema import Schema
from archiver.records.audit_log import Entry
from archiver.records.log_chain import ACCEPT, TEXT
from archiver.records.log_heads import Head
from archiver.records.state import Kind, State
from archiver.reshard.merge_split import MERGE, SPLIT
from archiver.runs import broker, wire
from archiver.runs.units import Unit, UnitResult
from archiver.store.bucket import Bucket, StoredObject
from archiver.vacuum.feeds import Feed
from errors import (
    AbortedError,
    CutoverError,
    DamagedError,
    ExitCode,
    LockedError,
    Problems,
    RefusedError,
    UnknownError,
    UsageError,
)
from inventory import parse as parsing
from inventory.catalog import DEFAULT_DEPTH, Catalog
from inventory.keys import Parts
from inventory.load import load_catalog
from inventory.migrations import Changes, Migration
from inventory.model import Environment, Role, Store, Way
from inventory.parse import Position, parse
from platforms.backup import File

NOON = datetime(2014, 8, 15, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Kind, ["tenant", "month", "purge", "move"]),
        (
            State,
            [
                *("extracting", "stored", "verified", "deleting", "archived", "restoring", "restored"),
                *("planned", "loading", "switched", "moved"),
            ],
        ),
        (Role, ["control", "debug", "database", "watcher", "warehouse"]),
        (Way, ["base", "dump"]),
        (
            Doubt,
            [
                *("several ways", "several tenants", "several owners"),
                *("dangling", "dangling across", "wrong shard", "unknown shard"),
            ],
        ),
    ],
)
def test_states_and_other_enumerated_words_are_these(kind: type[Enum], words: list[str]) -> None:
    assert [member.value for member in kind] == words


def test_depths_are_recorded_by_these_names() -> None:
    assert [DEFAULT_DEPTH, *load_catalog("catalog.yaml").depths] == ["all", "all", "students", "promote"]


def test_verbs_of_moves_are_these() -> None:
    assert [MERGE, SPLIT] == ["merge", "split"]


def test_exit_codes_are_the_numbers_that_their_page_lists() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "DONE": 0,
        "USAGE": 2,
        "FAILED": 10,
        "ABORTED": 11,
        "UNKNOWN": 12,
        "DEBT": 13,
        "LOCKED": 14,
        "INTERRUPTED": 130,
    }
    assert [
        int(kind.exit_code)
        for kind in (CutoverError, UsageError, RefusedError, DamagedError, UnknownError, LockedError, AbortedError)
    ] == [10, 2, 10, 2, 12, 14, 11]


def test_keys_of_the_store_are_these() -> None:
    extraction = "20140815T221500-1f3a"
    assert [
        layout.object_key("school", 2013, 13, extraction, encrypted=False),
        layout.object_key("school", 2013, 13, extraction, encrypted=True),
        layout.purge_key(2013, 7, extraction, encrypted=False),
        layout.purge_key(2013, 7, extraction, encrypted=True),
        layout.month_key("2014-09", "shard_1", extraction),
        layout.schema_key("144f436b"),
    ] == [
        "2013/13/20140815T221500-1f3a/2013_school_13.tar.gz",
        "2013/13/20140815T221500-1f3a/2013_school_13.tar.gz.age",
        "purges/2013/7/20140815T221500-1f3a/2013_purge_7.tar.gz",
        "purges/2013/7/20140815T221500-1f3a/2013_purge_7.tar.gz.age",
        "activity/2014-09/shard_1/20140815T221500-1f3a/2014-09_shard_1.tar",
        "schemas/144f436b.json",
    ]
    bucket = Bucket(Store(bucket="archives", prefix="production"))
    assert bucket.location("2013/13/x/y") == "s3://archives/production/2013/13/x/y"


def test_an_entry_of_the_log_is_digested_as_this_text_and_its_head_lies_under_this_key() -> None:
    assert TEXT == (
        "jsonb_build_array(id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'), operator, host, "
        "act, key, year, record_id, details)::text"
    )
    assert Head(213, "1f3a").key == "log/000000000213-1f3a"
    assert ACCEPT == "accept"


SCHEMAS = """\
{
  "master": {
    "tables": {
      "schools": {
        "columns": [
          {"name": "id", "type": "integer", "not_null": true, "identity": true, "generated": null, "sequence": "s"},
          {"name": "name", "type": "text", "not_null": false, "identity": false, "generated": null, "sequence": null}
        ],
        "primary_key": ["id"],
        "constraints": {"schools_pkey": "PRIMARY KEY (id)"},
        "foreign_keys": [
          {"name": "fk", "columns": ["id"], "target": "districts", "target_columns": ["id"]}
        ]
      }
    },
    "types": {"color": "CREATE TYPE color AS ENUM ('red')"}
  }
}
"""
FINGERPRINT = "f537b1bc67c7e338576d1893a4e363396d54a9b6d42028dadda86c01882e23b1"
MANIFEST = """\
{
  "customer_id": 1,
  "customer_name": "Acme",
  "format": 1,
  "highest": {"master.schools.id": 13},
  "members": {"master/schools.copy": {"bytes": 11, "rows": 1, "sha256": "79ad"}},
  "noun": "school",
  "server_versions": {"master": "18.6"},
  "settings": {"DateStyle": "ISO"},
  "shard": "shard_2",
  "tenant_id": 13,
  "tenant_name": "Lincoln",
  "texts": {"README": "0b8d"},
  "tool_version": "1",
  "year": 2013
}
"""


def manifest(**more: object) -> Manifest:
    """A manifest, read from the words above."""
    written = {**json.loads(MANIFEST), "schemas": json.loads(SCHEMAS), "fingerprint": FINGERPRINT, **more}
    return Manifest.from_json(json.dumps(written).encode())


def test_a_manifest_is_read_and_written_in_these_words() -> None:
    written = {**json.loads(MANIFEST), "schemas": json.loads(SCHEMAS), "fingerprint": FINGERPRINT}

    assert json.loads(manifest().to_json()) == written
    of_one_kind = {"month": "2014-09"}, {"before": "2012-01-01T00:00:00+00:00"}
    for more in of_one_kind:
        assert json.loads(manifest(**more).to_json()) == {**written, **more}


def test_a_stored_schema_is_written_in_the_same_words_under_its_fingerprint() -> None:
    schema = Schema.from_json(json.loads(SCHEMAS)["master"])

    assert json.loads(json.dumps(schema.to_json())) == json.loads(SCHEMAS)["master"]
    assert json.loads(schema.text) == json.loads(SCHEMAS)["master"]
    assert schema.fingerprint == FINGERPRINT


def test_members_of_an_archive_have_these_names(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    rows.write_bytes(b"13\tLincoln\n")
    written = {**json.loads(MANIFEST), "schemas": json.loads(SCHEMAS), "fingerprint": FINGERPRINT}
    written["members"]["master/schools.copy"]["sha256"] = hashlib.sha256(rows.read_bytes()).hexdigest()
    given = Manifest.from_json(json.dumps(written).encode())

    with_digests, path = bundle.pack(given, {"master/schools.copy": RowFile(rows)}, Keys(), tmp_path)

    assert path.name == "2013_school_13.tar.gz"
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes()), mode="r:gz") as tar:
        assert tar.getnames() == ["README", "manifest.json", "master/schools.copy", "restore.sql", "schema.sql"]
    assert sorted(with_digests.texts) == ["README", "restore.sql", "schema.sql"]
    assert layout.member(TableName("shard", "enrollments")) == "shard/enrollments.copy"
    assert layout.table_of("shard/enrollments.copy") == TableName("shard", "enrollments")


UNIT = """\
{
  "shard": "shard_1",
  "tenant_ids": [5, 13],
  "order": {"year": 2013, "depth": "all", "night": "2014-08-15", "pretend": false,
    "until": "2014-08-16T06:00:00+00:00"},
  "memory": 1073741824,
  "scope": "catalog=c0ffee/version=2014.8"
}
"""
ENDED = """\
{
  "outcomes": [
    {"tenant_id": 5, "seconds": 1.5, "rows": 7, "size": 100, "error": null},
    {
      "tenant_id": 13, "seconds": 0.5, "rows": 0, "size": 0,
      "error": {"kind": "DamagedError", "message": "It is cut off.", "hint": "Look."}
    }
  ],
  "error": {"kind": "LockedError", "message": "Ann is at work.", "hint": ""}
}
"""
ERRORS = {
    "CutoverError": CutoverError,
    "UsageError": UsageError,
    "RefusedError": RefusedError,
    "DamagedError": DamagedError,
    "UnknownError": UnknownError,
    "LockedError": LockedError,
    "AbortedError": AbortedError,
}


def test_a_unit_is_read_and_written_in_these_words() -> None:
    assert json.loads(json.dumps(wire.job(json.loads(UNIT)).to_json())) == json.loads(UNIT)


def test_the_end_of_a_unit_is_read_and_written_in_these_words() -> None:
    unit = wire.job(json.loads(UNIT)).unit
    ended = wire.ended(unit, json.loads(ENDED))

    assert wire.ended_to_json(ended) == json.loads(ENDED)
    assert [type(ended.outcomes[1].error), type(ended.error)] == [DamagedError, LockedError]


@pytest.mark.parametrize("word", ERRORS)
def test_an_error_goes_between_a_run_and_its_workers_under_this_word(word: str) -> None:
    unit = wire.job(json.loads(UNIT)).unit
    written = {"outcomes": [], "error": {"kind": word, "message": "It is so.", "hint": ""}}

    assert type(wire.ended(unit, written).error) is ERRORS[word]
    assert wire.ended_to_json(UnitResult(unit=unit, error=ERRORS[word]("It is so."))) == written


def test_an_error_of_a_subclass_is_sent_under_the_word_of_its_base_class() -> None:
    unit = Unit(shard="shard_1", tenant_ids=(), request=wire.job(json.loads(UNIT)).unit.request)
    told = wire.ended_to_json(UnitResult(unit=unit, error=Problems("several:", ["one"])))["error"]

    assert told["kind"] == "UsageError"


def test_workers_receive_units_under_this_name() -> None:
    assert broker.TASK == "cutover.unit"


def json_of(kind: Any, written: str) -> Any:
    """Return an object made of plain data as plain data again: with times in ISO format."""
    return json.loads(json.dumps(asdict(kind(**json.loads(written))), default=lambda value: value.isoformat()))


@pytest.mark.parametrize(
    ("kind", "written"),
    [
        (
            Audit,
            """{"selected": 35, "archived": 34, "excluded": 1, "unarchived": [7], "left": {"13": 5}, "rows": 9,
            "size": 100, "missing": [9], "elsewhere": {"master: crm.notes.student_id": 3},
            "otherwise": {"13": "all"},
            "dangling": {"purge 7": 1}}""",
        ),
        (Feed, """{"database": "master", "table": "feed_items", "rows": 132, "bytes": 8192}"""),
        (File, """{"path": "data/base", "size": 100, "sha256": "79ad"}"""),
    ],
)
def test_probe_output_is_written_in_these_words(kind: Any, written: str) -> None:
    assert json_of(kind, written) == json.loads(written)


def test_an_entry_of_the_log_is_written_in_these_words() -> None:
    written = """{"id": 1, "at": "2014-08-15T12:00:00+00:00", "operator": "ann", "host": "debug", "act": "archive",
        "tenant_id": 13, "year": 2013, "record_id": 7, "details": {"rows": 9}}"""
    entry = Entry(**{**json.loads(written), "at": NOON})

    assert entry.to_json() == json.loads(written)


def test_an_object_of_the_store_is_written_in_these_words() -> None:
    written = json.loads("""{"location": "s3://a/b", "size": 5, "modified": "2014-08-15T12:00:00+00:00"}""")

    assert StoredObject(**{**written, "modified": NOON}).to_json() == written


def test_a_doubt_is_written_in_these_words() -> None:
    written = json.loads(
        """{"kind": "dangling", "database": "shard_1", "table": "visits", "what": "name a room that is gone", "rows": 2,
        "examples": ["(1)", "(2)"], "refused": null}"""
    )
    typed = {"kind": Doubt("dangling"), "table": TableName("shard", "visits"), "refused": ""}

    assert IntegrityFinding(**{**written, **typed}).to_json() == written


def test_an_estimate_is_written_in_these_words() -> None:
    written = json.loads(
        """{
        "everybody": {"tenants": 1, "rows": 2, "bytes": 3, "size": 4,
            "archive": 5.0, "extract": 6.0, "verify": 7.0, "delete": null, "restore": 8.0,
            "heads": {"classrooms": 10}},
        "together": 9.0, "workers": 4, "biggest": [],
        "rates": {"archive": {"tenant": 1.0, "row": 0.5}, "extract": {"tenant": 1.0, "row": 0.5},
            "verify": {"tenant": 1.0, "row": 0.5}, "delete": null, "bytes_per_row": 2.5, "samples": 2},
        "analyzed_at": "2014-08-15T12:00:00+00:00"
        }"""
    )
    rates: dict[str, Any] = {
        name: Rate(**rate) if isinstance(rate, dict) else rate for name, rate in written["rates"].items()
    }
    all_tenants = Expected(**written["everybody"])
    typed = {"all_tenants": all_tenants, "rates": Rates(**rates), "biggest": (), "analyzed_at": NOON}
    same = {name: written[name] for name in ("together", "workers")}

    assert Estimate(**{**same, **typed}).to_json() == written


def test_progress_is_written_in_these_words() -> None:
    written = json.loads(
        """{"night": "2014-08-15", "waiting": 1, "verified": 1, "began": "2014-08-15T12:00:00+00:00", "last": null,
        "standings": [{"state": "verified", "tenants": 1, "rows": 2, "size": 3}], "at_work": ["ann"],
        "per_minute": null}"""
    )
    standings = [Standing(**{**one, "state": State(one["state"])}) for one in written["standings"]]
    given = {name: value for name, value in written.items() if name != "per_minute"}

    assert NightProgress(**{**given, "night": NOON.date(), "began": NOON, "standings": standings}).to_json() == written


def test_a_restored_part_is_recorded_in_these_words() -> None:
    assert (Part("classroom", 42).to_json(), str(Part("classroom", 42))) == ({"classroom": 42}, "classroom 42")
    pupil = Part("pupil", Parts((2013, "0042")))
    assert (json.dumps(pupil.to_json()), str(pupil)) == ('{"pupil": [2013, "0042"]}', "pupil 2013-0042")


def test_a_retained_row_of_a_shard_is_recorded_beside_its_marker_in_these_words() -> None:
    written = json.loads("""[{"table": "shard.visits", "key": "(12)", "digest": "79ad"}]""")

    assert [asdict(row) for row in marker.staying(written)] == written


# What stands between a key of YAML and the next, where "?" is a key that none may have.
EVERYWHERE = json.loads(
    """{
    "?": 1,
    "hosts": {"h": {"?": 1}}, "databases": {"d": {"?": 1}}, "scratch": {"?": 1}, "store": {"?": 1},
    "app": {"?": 1}, "warehouse": {"?": 1, "shrink": {"?": 1}}, "probes": {"?": 1},
    "handover": {"?": 1, "probes": {"?": 1}}, "heroku": {"?": 1}, "aws": {"?": 1, "old_farm": {"?": 1}},
    "backups": {"?": 1}, "fence": {"?": 1}, "queue": {"?": 1},
    "ssh": {"?": 1, "gateway": {"?": 1}}, "dns": {"?": 1}, "webhook": {"?": 1}, "heartbeat": {"?": 1},
    "overlay": {"?": 1}, "own_steps": {"s": {"?": 1}},
    "nights": {
        "2014-08-15": {"?": 1, "exclude": {"?": 1}, "only": {"?": 1}, "depths": {"?": 1}, "defer": {"s": {"?": 1}}}
    }
    }"""
)
IN_A_CATALOG = json.loads(
    """{
    "?": 1,
    "tenant": {"?": 1, "customer": {"?": 1}}, "databases": {"master": {"t": {"?": 1}}},
    "depths": {"all": {"?": 1}}, "activity": {"t": {"?": 1}}, "legacy": {"?": 1}
    }"""
)


@pytest.mark.parametrize(
    ("kind", "written", "keys"),
    [
        (
            Environment,
            EVERYWHERE,
            """
?: app, aws, backups, catalog, commands, databases, dns, environment, fence, handover, heartbeat, heroku, \
host_name_file, hosts, instructions, max_lag, migrations, nights, overlay, own_steps, probes, production, queue, \
school_year_starts, scratch, second_person, ssh, state, store, timezone, tool, truncate_published, warehouse, webhook
hosts/h/?: address, name, port, roles, user
databases/d/?: backup_directory, config_var, connection, data_directory, host, name, pooler, system_identifier
scratch/?: connection, pooler
store/?: bucket, credentials, endpoint, prefix, recipients, region, unencrypted
app/?: url
warehouse/?: name, new, new_target, old, old_name, old_target, shrink
warehouse/shrink/?: probe, size
probes/?: auto_backup, backup, backup_copy, etl, rebuild, snapshot, watcher
handover/?: old_name, probes, size
handover/probes/?: configured, dynos, name, running, size
heroku/?: app, endpoint, others, variable
aws/?: credentials, endpoint, instances, old_farm, region, ttl, zone
aws/old_farm/?: instance, type
backups/?: jobs, programs, store, way
fence/?: close, open
queue/?: broker, file, variable, workers
ssh/?: connect_timeout, gateway, key, known_hosts
ssh/gateway/?: address, port, user
dns/?: port, server
webhook/?: url, variable
heartbeat/?: url, variable
overlay/?: file, home, variable
own_steps/s/?: after, before, command, estimate, expect, hosts, instructions, lasts, name, nights, owes, pays, probe, \
required, role, title
nights/2014-08-15/?: backup_max_age, defer, depth, depths, ends, exclude, only
nights/2014-08-15/depths/?: customers, schools
nights/2014-08-15/defer/s/?: by, until
nights/2014-08-15/exclude/?: customers, reasons, schools
nights/2014-08-15/only/?: customers, schools
""",
        ),
        (
            Catalog,
            IN_A_CATALOG,
            """
?: activity, databases, depths, excluded, feeds, legacy, strays, tenant, written
tenant/?: customer, key, noun, parts, shard, table, title
tenant/customer/?: column, key, table, title
databases/master/t/?: changes, found_by, group, ignored, needed_by, quiet, rules, triggers, writes
depths/all/?: meaning, start, stay
activity/t/?: ended, takes, where
legacy/?: key, role, roles, seen, table, title
""",
        ),
        (
            Migration,
            {"?": 1, "tables": {"t": {"?": 1}}},
            """
?: after, before, database, drop_tables, labels, name, rename_tables, tables
tables/t/?: convert, drop, fill, rename
""",
        ),
        (Changes, {"?": 1}, "?: database, drop_tables, labels, name, rename_tables, tables"),
    ],
    ids=["inventory", "catalog", "migration", "changes"],
)
def test_files_of_operators_may_have_these_keys_and_no_others(
    kind: Any, written: dict[str, Any], keys: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parsing, "MOST_LISTED", 99)
    mistakes: list[str] = []
    parse(kind, written, Position("", mistakes))

    said = [mistake.replace("unknown key; expected one of ", "") for mistake in mistakes if "unknown key" in mistake]
    assert sorted(said) == sorted(keys.strip().splitlines())
