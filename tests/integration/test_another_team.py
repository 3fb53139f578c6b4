"""Another team's product, with an inventory of databases, scratch and store alone: out and back by the tasks."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg2
import pytest

from archiver.postgres.session import parse_dsn
from inventory import load
from inventory.model import Store
from tests import oracle
from tests.inside import inv_inside
from tests.worlds import same

TABLES = """
CREATE TABLE companies (id integer PRIMARY KEY, name text);
CREATE TABLE jobs (id integer PRIMARY KEY, company_id integer NOT NULL REFERENCES companies, title text);
CREATE TABLE applications (id integer PRIMARY KEY, job_id integer NOT NULL REFERENCES jobs, note text);
INSERT INTO companies VALUES (7, 'Ellis Ltd'), (8, 'Oduya Inc');
INSERT INTO jobs VALUES (1, 7, 'baker'), (2, 7, 'smith'), (3, 8, 'tailor');
INSERT INTO applications VALUES (1, 1, 'a'), (2, 2, NULL), (3, 3, 'c');
"""
ENV = "--env=shop"


def test_three_keys_archive_and_restore_a_company(
    empty: str,
    scratch: str,
    store_server: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Given databases, scratch and store
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    with psycopg2.connect(empty) as link, link.cursor() as cursor:
        cursor.execute(TABLES)
    link.close()
    store = {"bucket": store_server.bucket, "prefix": "tests/shop"}
    inventory = {
        "databases": {"master": {"connection": parse_dsn(empty)}},
        "scratch": {"connection": parse_dsn(scratch)},
        "store": store | {"endpoint": store_server.endpoint, "credentials": store_server.credentials},
    }
    (tmp_path / "shop.yaml").write_text(json.dumps(inventory))
    draft = inv_inside(capsys, "archive.catalog-draft", "--root=companies", ENV)
    (tmp_path / "catalog.yaml").write_text(draft.out)
    before = oracle.snapshot({"master": empty})

    # When a company goes
    assert inv_inside(capsys, "archive.check-catalog", ENV).code == 0
    refused = inv_inside(capsys, "archive.school", "7", ENV)
    archived = inv_inside(capsys, "archive.school", "7", ENV, "--yes-production")

    # Then its rows, and no others, are archived, without a host
    assert (refused.code, "--yes-production" in refused.err) == (2, True)
    assert archived.code == 0, archived
    assert "company 7: archived, " in archived.out
    left = oracle.snapshot({"master": empty})
    assert [len(rows) for rows in left.tables["master"].values()] == [1, 1, 1], left
    assert inv_inside(capsys, "archive.check-stored", ENV).code == 0
    assert inv_inside(capsys, "cutover.list", ENV).code == 0

    # And they come back
    restored = inv_inside(capsys, "restore.school", "7", ENV, "--yes-production")
    assert restored.code == 0, restored
    same(before, oracle.snapshot({"master": empty}))


def test_a_night_says_what_the_inventory_lacks_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    connection = {"connection": {"service": "shop"}}
    inventory = {"databases": {"master": connection}, "scratch": connection, "store": {"bucket": "b", "prefix": "p"}}
    (tmp_path / "shop.yaml").write_text(json.dumps(inventory))

    planned = inv_inside(capsys, "cutover.plan", "--date=2014-08-15", ENV)

    assert planned.code == 2
    assert "shop: no night 2014-08-15 in the inventory" in planned.err
