"""Migrations: valid files load, errors are reported, and they follow each other by fingerprints."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from errors import Problems
from inventory import load
from inventory.migrations import Migration, TableChanges, chain

A, B, C = "a" * 64, "b" * 64, "c" * 64
FIRST = "database: master\nbefore: aaaaaaaaaaaa\nafter: bbbbbbbbbbbb\n"


def written(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return str(folder)


def mistakes(folder: Path, **files: str) -> str:
    with pytest.raises(Problems) as caught:
        load.load_migrations(written(folder, **files))
    return str(caught.value)


def test_the_example_explains_every_key_and_is_not_a_migration() -> None:
    text = (load.FOLDER / "migrations" / "example.yaml").read_text()

    known = {field.name for kind in (Migration, TableChanges) for field in fields(kind)} - {"name"}
    assert [key for key in sorted(known) if f"{key}:" not in text] == []
    assert load.load_migrations("migrations") == load.load_migrations("nowhere") == ()


def test_the_example_loads_under_another_name(tmp_path: Path) -> None:
    text = (load.FOLDER / "migrations" / "example.yaml").read_text()

    [migration] = load.load_migrations(written(tmp_path, moved=text))

    assert migration.name == "moved.yaml"
    assert migration.tables["users"].rename == {"last_name": "family_name"}


def test_migrations_follow_each_other_from_the_archives_schema_to_todays(tmp_path: Path) -> None:
    last = "database: master\nbefore: " + B
    migrations = load.load_migrations(written(tmp_path, one=FIRST, two=last, other=FIRST.replace("master", "shard")))

    def names(start: str, end: str) -> list[str]:
        return [one.name for one in chain(migrations, "master", start, end)]

    assert names(A, C) == ["one.yaml", "two.yaml"]
    assert names(B, C) == ["two.yaml"]
    assert names(A, B) == ["one.yaml"]  # the second is written, but not yet done
    assert names(A, A) == names(C, A) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FIRST + "colour: red", "one.yaml/colour: unknown key; expected one of after, before, database"),
        (FIRST.replace("master", "moon"), "one.yaml/database: expected one of master, shard, got 'moon'"),
        (FIRST.replace("aaaaaaaaaaaa", "aaaa"), "one.yaml/before: expected 12 or more digits of a fingerprint"),
        (FIRST + "tables: {users: {fill: {grade: 0}}}", "one.yaml/tables/users/fill/grade: expected a string, got 0"),
        (FIRST.replace("bbbbbbbbbbbb", "aaaaaaaaaaaa"), "one.yaml/after: expected no cycle, got one through one.yaml"),
        ("before: x", "one.yaml/database: expected a string, got nothing"),
    ],
)
def test_an_error_is_named_by_its_path(tmp_path: Path, text: str, expected: str) -> None:
    assert expected in mistakes(tmp_path, one=text)


def test_all_errors_of_all_files_are_reported_at_once(tmp_path: Path) -> None:
    text = mistakes(tmp_path, one=FIRST + "x: 1", two=FIRST + "y: 1")

    assert "one.yaml/x" in text
    assert "two.yaml/y" in text


def test_two_that_begin_alike_and_a_cycle_are_errors(tmp_path: Path) -> None:
    twice = mistakes(tmp_path, one=FIRST, two=FIRST.replace("aaaaaaaaaaaa", A))
    back = "database: master\nbefore: bbbbbbbbbbbb\nafter: aaaaaaaaaaaa\n"
    cycle = mistakes(tmp_path, two=back)

    assert "two.yaml/before: expected another fingerprint than one.yaml has" in twice
    assert cycle.count("expected no cycle, got one through one.yaml, two.yaml") == 1


def test_an_operators_changes_have_no_fingerprints(tmp_path: Path) -> None:
    written(tmp_path, good="database: master\ntables: {users: {convert: {email: NULL::text}}}", bad=FIRST)

    assert load.load_changes(str(tmp_path / "good.yaml")).name == "good.yaml"
    with pytest.raises(Problems, match=r"bad\.yaml/before: unknown key; expected one of database"):
        load.load_changes(str(tmp_path / "bad.yaml"))
