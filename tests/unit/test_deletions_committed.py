"""Rows of the product are deleted in `archiver/delete/` alone, and one function commits that."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from inventory.load import ROOT

# Statements that delete rows of a table that is filled in, or that empty or drop one.
DELETES = re.compile(r"DELETE FROM \{|TRUNCATE \{|DROP TABLE \{")
OTHER_TABLES = {
    "archiver/extract/row_sets.py": "temporary tables",
    "archiver/format/layout.py": "a script that psql runs",
    "archiver/load/staging.py": "temporary tables",
    "archiver/verify/scratch.py": "temporary tables of the scratch database",
}
COMMIT = "archiver/delete/commit.py"
FILES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in ("archiver", "runbooks", "platforms")
    for path in (ROOT / folder).rglob("*.py")
}


def calls(text: str) -> Iterator[tuple[str, str]]:
    """Every call in a file, by its name and the name of the function around it."""
    for function in ast.walk(ast.parse(text)):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.Call):
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                    yield name, function.name


def test_rows_of_the_product_are_deleted_truncated_and_dropped_in_one_folder() -> None:
    deleting = {name for name, text in FILES.items() if DELETES.search(text)} - OTHER_TABLES.keys()

    assert len(deleting) == 5
    assert {name for name in deleting if not name.startswith("archiver/delete/")} == set()


def test_only_an_account_of_a_deletion_declares_one_and_one_function_opens_and_commits_it() -> None:
    """mypy holds the rest: what deletes takes such an account, and no other has the methods that declare it."""
    opening = {
        (name, function)
        for name, text in FILES.items()
        for call, function in calls(text)
        if call in ("deletion_accounted", "DeletionAccount")
    }
    assert opening == {(COMMIT, "_accounted"), ("archiver/postgres/account.py", "deletion_accounted")}
    committing = {function for call, function in calls(FILES[COMMIT]) if call in ("_accounted", "commit")}
    assert committing == {"delete_and_commit"}
    declaring = {
        name
        for name, text in FILES.items()
        for call, _ in calls(text)
        if call in ("declare_deleted", "declare_emptied") or ("deleted=" in text and "Changes(deleted=" in text)
    }
    assert {name for name in declaring if not name.startswith("archiver/delete/")} == {"archiver/postgres/account.py"}


def test_whatever_deletes_is_handed_to_that_function() -> None:
    deleting = {
        name
        for name, text in FILES.items()
        for call, _ in calls(text)
        if call in ("delete_set", "truncate_reload", "delete_rows", "tried_back", "declare_emptied")
        or (call == "delete" and "from archiver.delete.delete import delete" in text)
    }
    primitives = {f"archiver/delete/{name}.py" for name in ("truncate_reload", "table_locks")}
    committing = {name for name, text in FILES.items() for call, _ in calls(text) if call == "delete_and_commit"}
    used_by_committing = {"archiver/delete/row_locks.py", "archiver/delete/skip_locked.py"}  # by one.py and batches.py

    assert len(committing) == 8
    assert deleting - primitives - used_by_committing - committing == set()
