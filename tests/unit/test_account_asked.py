"""Statements that change rows of the product stand only where an account is asked for."""

from __future__ import annotations

import re

from inventory.load import ROOT

# A statement on a table that is filled in; the archiver's own tables are named in their statements.
WRITES = re.compile(r'(?:DELETE FROM|INSERT INTO|UPDATE|TRUNCATE|DROP TABLE) \{|"COPY \{')
ACCOUNT = re.compile(
    r"^from archiver\.(?:postgres\.account|delete\.commit) import .*\b(?:Account|DeletionAccount|Accounts|accounted)\b",
    re.MULTILINE,
)
# Files whose statements change other tables.
OTHER_TABLES = {
    "archiver/delete/bookkeeping.py": "the archiver's own tables",
    "archiver/extract/row_sets.py": "temporary tables",
    "archiver/format/layout.py": "a script that psql runs",
    "archiver/load/staging.py": "temporary tables",
    "archiver/postgres/session.py": "every statement passes it",
    "archiver/records/id_index.py": "the archiver's own tables",
    "archiver/records/purge_record.py": "the archiver's own tables",
    "archiver/verify/scratch.py": "temporary tables of the scratch database",
}


def test_statements_that_change_rows_of_the_product_are_in_files_that_ask_for_an_account() -> None:
    texts = {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in (ROOT / "archiver").rglob("*.py")
    }
    writing = {name for name, text in texts.items() if WRITES.search(text)}
    asking = {name for name in writing if ACCOUNT.search(texts[name])}

    assert len(asking) >= 7
    assert writing - asking - OTHER_TABLES.keys() == set()
