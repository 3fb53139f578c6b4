"""The vocabulary of docs/glossary.md holds: no retired word is back in code, in texts, or in the names of tests."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PRODUCT = ("archiver", "runbooks", "platforms", "inventory", "rehearsal", "bench")
DOCS = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *(str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("docs/*.md"))),
)

# Names in the product's code: the retired one, and what to say instead.
RETIRED_NAMES = {
    "Workplace": "Databases",
    "workplace": "databases",
    "place": "databases, or the noun it is",
    "Site": "Placement",
    "site": "placement",
    "Ground": "ScratchDatabase",
    "ground": "scratch",
    "Order": "ArchiveRequest",
    "Tell": "OnLine, OnArchived … by what it is given",
    "tell": "on_result, report_progress, on_line",
    "told": "said, reported, or the noun it is",
    "TellWay": "OnStrategy",
    "way": "on_strategy, route, relocation, path",
    "went": "deleted",
    "going": "to_delete, deletion_set",
    "Going": "DeletionSet",
    "gone": "deleted",
    "kept": "retained",
    "noted": "markers",
    "reclaim": "delete",
    "reclaiming": "deletion",
    "reclaimed": "deletion",
    "Reclaimed": "Deletion",
    "maps": "row_sets",
    "straight": "single_parent",
    "brought": "transferred",
    "held": "column_alias, on_hold, held_locks",
    "whole": "complete, run_many, or the noun it is",
    "refill": "truncate_reload",
    "unfit": "reason_not_bulk",
    "entire": "all_rows_go",
    "follows": "goes_with_parent",
    "leader": "deciding_link",
    "moving": "reshard",
    "carry": "merge, split, move_all",
    "course": "route",
    "Course": "Route",
    "half": "shard_rows",
    "Half": "ShardRows",
    "lying": "relocate",
    "whereabouts": "placement_history",
    "Whereabouts": "PlacementHistory",
    "shown": "displayed, text, or the noun it is",
    "hop": "relocation, link_step",
    "hops": "relocations, link_steps",
    "Hop": "Relocation, LinkStep",
    "rewrap": "reencrypt",
    "rewrapped": "reencrypted",
    "Rewrapped": "Reencrypted",
    "sealed": "with_digests, reencrypted",
    "anew": "reencrypted",
    "ownerless": "orphan_rows",
    "named_outside": "externally_referenced",
    "needed_by": "referenced_by",
    "quiet": "triggers_disabled",
    "all_quiet": "all_triggers_disabled",
    "choice": "answer, resolve",
    "Stage": "RunContext",
    "stage": "context",
    "Cast": "Terminal",
    "hands": "max_parallel",
    "on_stage": "live_run",
    "played": "scripted",
    "imagined": "dry_run",
    "chronicle": "history_cache",
    "Chronicle": "HistoryCache",
    "herald": "notifier",
    "Herald": "Notifier",
    "stretches": "work_intervals",
    "Stretch": "WorkInterval",
    "outlook": "forecast",
    "Outlook": "Forecast",
    "readings": "outputs",
    "reading": "output",
    "Reading": "ProbeOutput",
    "beside": "in_background",
    "unfinished": "orphaned_jobs, interrupted",
    "shelf": "object_store",
    "Shelf": "ObjectStore",
    "past": "task_state",
    "Past": "TaskState",
    "tonight": "night",
    "Tonight": "NightContext",
    "one": "record, or the noun it is",
    "found": "rows, or the noun it is",
    "wanted": "requested, or the noun it is",
    "there": "existing, target, or the noun it is",
    "here": "local, source, or the noun it is",
    "known": "values, or the noun it is",
    "everybody": "all_tenants, or the noun it is",
    "nobody": "no_operator, no_tenant",
    "somebody": "the noun it is",
    "people": "legacy_users",
}
# A name that stays: where (a file, a folder, or "" for everywhere), and why.
STAYING_NAMES: dict[str, dict[str, str]] = {
    "choice": {
        "rehearsal/seed_schools.py": "a method of Python's random",
    },
    "here": {
        "runbooks": "the option --here, by which a task runs on this machine",
    },
    "kept": {
        "archiver/checks/left_rows.py": "Record.kept, a column of archiver.archives",
        "archiver/delete/late_rows.py": "Record.kept, a column of archiver.archives",
        "archiver/delete/one.py": "Record.kept, a column of archiver.archives",
        "archiver/records/archive_record.py": "a column of archiver.archives, and a key of a record's JSON",
        "archiver/kinds/tenant.py": "Record.kept, a column of archiver.archives",
        "archiver/runs/restore.py": "Record.kept, a column of archiver.archives",
        "archiver/runs/restore_plan.py": "Record.kept, a column of archiver.archives",
    },
    "needed_by": {
        "archiver/catalog/model.py": "a key of catalog.yaml",
        "archiver/checks/purge_tables.py": "a key of the inventory's catalog",
        "inventory/catalog.py": "a key of the catalog's YAML, and the field that holds it",
    },
    "one": {
        "archiver/delete/many.py": "the module archiver.delete.one",
        "archiver/delete/unchanged.py": "the module archiver.extract.one",
        "archiver/extract": "the module extract/one.py, beside extract/many.py",
        "archiver/reshard/move.py": "the module archiver.extract.one",
        "archiver/reshard/preview.py": "the module archiver.extract.one",
        "runbooks/cli/text/archives.py": "the module archiver.delete.one",
        "archiver/runs/archive.py": "the modules archiver.delete.one and archiver.extract.one",
        "archiver/runs/archive_many.py": "the modules archiver.delete.one and archiver.extract.one",
        "archiver/runs/context.py": "the modules archiver.delete.one and archiver.extract.one",
        "archiver/runs/prepare.py": "the modules archiver.delete.one and archiver.extract.one",
        "archiver/runs/pipeline.py": "the modules archiver.delete.one and archiver.extract.one",
        "bench/work.py": "the module archiver.extract.one",
    },
    "quiet": {
        "archiver/catalog/model.py": "a key of catalog.yaml",
        "archiver/completeness": "a key of the catalog's YAML: triggers that are off while rows go or come",
        "archiver/runs/broker.py": "a parameter of Celery's Worker",
        "inventory/catalog.py": "a key of the catalog's YAML, and the field that holds it",
        "runbooks/databases.py": "the option --quiet of databases.drop-strays",
    },
    "stage": {
        "bench/peers/old_school.py": "the same",
    },
    "tell": {
        "archiver/runs/month_object.py": "a method of files",
    },
    "there": {
        "archiver/load/load.py": "Loaded's fields are the keys of markers and of the log",
        "archiver/load/obstacles.py": "Loaded.there of archiver.load.load",
        "runbooks/archives/restore_plan.py": "Loaded.there of archiver.load.load",
        "runbooks/cli/text": "Loaded.there of archiver.load.load",
        "runbooks/users.py": "Loaded.there of archiver.load.load",
    },
    "way": {
        "inventory/model.py": "a key of an inventory's YAML (backups), and the field that holds it",
        "platforms/backup.py": "a key of backup.json and of the inventory",
    },
    "went": {
        "archiver/records/slice_record.py": "a column of archiver.members",
        "archiver/records/adopted.py": "Slice.went, a column of archiver.members",
        "archiver/runs/month_object.py": "Slice.went, a column of archiver.members",
        "archiver/runs/monthly_slices.py": "Slice.went, a column of archiver.members",
    },
}

# Words that no text of the product uses: docstrings, comments, messages, documents, and what an inventory says.
RETIRED_TEXT = {
    r"\bnobody\b": "no one is meant: say the state (not running, unknown, no rows)",
    r"\bsomebody\b": "another operator, another session, a person",
    r"\beverybody\b": "all tenants, other sessions",
    r"\banybody\b": "any operator",
    r"\bwhom\b": "turn the sentence round",
    r"\bownerless\b": "orphan row",
    r"\bpeople of old\b|\bpurge of old\b": "legacy users",
    r"\bleft alone\b": "on hold, or excluded",
    r"\brewrap": "reencrypt",
    r"\bmultitude\b|\bhearken\b": "plain words",
}
# A text that stays: the words around it, and why.
STAYING_TEXT: dict[str, str] = {
    '"rewrap"': "an act in archiver.log, which is append-only",
    '"rewrap activity"': "an act in archiver.log",
    '"rewrap purge"': "an act in archiver.log",
    # archiver/estimate
    '"everybody"': "a key of the estimate's JSON",
    '"nobody"': "the system's user of that name",
}
# Words, or several, that no name of a test has.
RETIRED_IN_TESTS = (
    "nobody",
    "somebody",
    "whom",
    "everybody",
    "ownerless",
    "rewrap",
    "rewrapped",
    "shelf",
    "theatre",
    "tonight",
    "given_up",
    "gone_on_with",
    "left_alone",
)
FIRST_WORDS = ("That", "Whether", "What", "Who", "Whose", "Whom", "How", "Which")  # no docstring begins with them


def files(folder: str) -> list[Path]:
    """Return the Python files of a folder and of its sub-folders."""
    return sorted(path for path in (ROOT / folder).glob("**/*.py") if "__pycache__" not in path.parts)


FOLDERS = [
    ".",
    *(
        str(path.relative_to(ROOT))
        for top in PRODUCT
        for path in (ROOT / top, *sorted((ROOT / top).iterdir()))
        if path.is_dir() and list(path.glob("*.py" if path == ROOT / top else "**/*.py"))
    ),
]


FOLDERS_OF_TESTS = [
    str(path.relative_to(ROOT))
    for path in (ROOT / "tests", *sorted((ROOT / "tests").iterdir()))
    if path.is_dir() and list(path.glob("*.py"))
]


def files_of_tests(folder: str) -> list[Path]:
    """The Python files of a folder of the tests, but for this one, which has every retired word."""
    return sorted(path for path in (ROOT / folder).glob("*.py") if path != Path(__file__))


def own_files(folder: str) -> list[Path]:
    """Return the files of a folder of FOLDERS: a package's own, or all below a folder in it; "." has errors.py."""
    return sorted((ROOT / folder).glob("*.py")) if folder in (".", *PRODUCT) else files(folder)


def names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every name in a file with its line, also in f-strings and after a dot."""
    text = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            yield token.start[0], token.string


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every line of a comment or a string of a Python file with its number; of another file, every line."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        yield from enumerate(text.splitlines(), 1)
        return
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.STRING, tokenize.COMMENT):
            yield from enumerate(token.string.splitlines(), token.start[0])


def docstrings(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every docstring of a file with the line it begins in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield node.body[0].lineno, text


def prose(path: Path) -> Iterator[tuple[int, str]]:
    """Yield every line of a comment or a docstring of a Python file with its number."""
    for number, text in docstrings(path):
        yield from enumerate(text.splitlines(), number)
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def stays(name: str, path: Path) -> bool:
    """True if the table of names that stay has this one in that file."""
    where = str(path.relative_to(ROOT))
    return any(where.startswith(start) for start in STAYING_NAMES.get(name, {}))


def retired(path: Path, lines: Iterable[tuple[int, str]]) -> Iterator[str]:
    """Yield each retired word in these lines of a file, with its place and what to say instead."""
    for number, line in lines:
        if any(stay in line for stay in STAYING_TEXT):
            continue
        for pattern, say in RETIRED_TEXT.items():
            if found := re.search(pattern, line, re.IGNORECASE):
                yield f"{path.relative_to(ROOT)}:{number}: {found[0]!r} (say: {say})"


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_retired_name_is_used_in_the_code(folder: str) -> None:
    assert own_files(folder)
    assert [
        f"{path.relative_to(ROOT)}:{line}: {name} (say: {RETIRED_NAMES[name]})"
        for path in own_files(folder)
        for line, name in names(path)
        if name in RETIRED_NAMES and not stays(name, path)
    ] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_retired_word_is_in_a_text_of_the_code(folder: str) -> None:
    assert [line for path in own_files(folder) for line in retired(path, texts(path))] == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_docstring_begins_with_a_question_word(folder: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in own_files(folder)
        for line, text in docstrings(path)
        if text.split()[0] in FIRST_WORDS
    ] == []


@pytest.mark.parametrize("name", [*DOCS, *(str(path.relative_to(ROOT)) for path in ROOT.glob("inventory/**/*.yaml"))])
def test_no_retired_word_is_in_a_document_or_an_inventory(name: str) -> None:
    assert list(retired(ROOT / name, texts(ROOT / name))) == []


def test_no_test_is_named_with_a_retired_word() -> None:
    retired_in_names = re.compile(rf"_({'|'.join(RETIRED_IN_TESTS)})(?=_|$)")
    assert [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}"
        for path in files("tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and retired_in_names.search(node.name)
    ] == []


@pytest.mark.parametrize("folder", FOLDERS_OF_TESTS)
def test_no_retired_word_is_in_a_docstring_or_a_comment_of_the_tests(folder: str) -> None:
    assert files_of_tests(folder)
    assert [line for path in files_of_tests(folder) for line in retired(path, prose(path))] == []


@pytest.mark.parametrize("folder", FOLDERS_OF_TESTS)
def test_no_docstring_of_the_tests_begins_with_a_question_word(folder: str) -> None:
    assert [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for path in files_of_tests(folder)
        for line, text in docstrings(path)
        if text.split()[0] in FIRST_WORDS
    ] == []


@pytest.mark.parametrize("package", ["archiver", "runbooks"])
def test_no_two_public_classes_of_a_package_have_one_name(package: str) -> None:
    seen: dict[str, list[str]] = {}
    for path in files(package):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                seen.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert seen
    assert {name: where for name, where in seen.items() if len(where) > 1} == {}
