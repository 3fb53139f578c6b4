"""The file that makes the archiver's own tables: migrations numbered from 1, each with a name, nothing beside them."""

from __future__ import annotations

import pytest

from archiver.postgres.own_schema import Migration, migrations_in, own_migrations

TWO = """\
-- What this is.

-- migration 1: the first tables
CREATE TABLE a ();
-- a remark
-- migration 2: one more
CREATE TABLE b ();
"""


def test_a_file_is_read_as_its_migrations() -> None:
    assert migrations_in(TWO) == (
        Migration(1, "the first tables", "\nCREATE TABLE a ();\n-- a remark\n"),
        Migration(2, "one more", "\nCREATE TABLE b ();\n"),
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TWO.replace("migration 2", "migration 3"), "got 1, 3"),
        (TWO.replace("migration 2", "migration 1"), "got 1, 1"),
        (TWO.replace("migration 1", "migration 0"), "got 0, 2"),
        (TWO.replace("-- What this is.", "DROP TABLE a;"), "statements stand before the first"),
        ("", "got none"),
    ],
)
def test_a_gap_a_repeated_number_and_statements_without_one_are_refused(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        migrations_in(text)


def test_the_first_migration_adopts_what_has_no_number() -> None:
    assert own_migrations()[0].name == "the tables of versions without migration numbers, and archiver.version"
