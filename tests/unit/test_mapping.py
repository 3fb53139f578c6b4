"""An archived schema onto today's: what is mapped by itself, what a migration must say, and what is lost."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archiver.catalog.model import TableName
from archiver.mapping.schema_mapping import LiveSchema, SchemaMapping, TableMapping, compare
from archiver.postgres.schema import Column, Schema, Table
from inventory.migrations import Changes, Migration, TableChanges

ROLES = "CREATE TYPE public.role AS ENUM ('teacher', 'head''s aide')"


def column(name: str, kind: str = "text", **more: Any) -> Column:
    usual = {"not_null": False, "identity": False, "generated": None, "sequence": None}
    return Column(name=name, type=kind, **{**usual, **more})


def table(*columns: Column) -> Table:
    return Table(
        columns=(column("id", "integer", not_null=True), *columns),
        primary_key=("id",),
        constraints={},
        foreign_keys=(),
    )


def schema(types: dict[str, str] | None = None, **tables: Table) -> Schema:
    return Schema(tables=tables, types=types or {})


def changes(database: str = "master", **of_users: dict[str, str]) -> Changes:
    return Changes(database=database, name="one.yaml", tables={"users": TableChanges(**of_users)})


def mapped(archived: Schema, live: Schema, *chain: Changes, defaults: tuple[str, ...] = ()) -> SchemaMapping:
    today = LiveSchema(schema=live, defaults=frozenset(("users", name) for name in defaults))
    return compare("master", archived, today, chain, list(archived.tables))


def users(*columns: Column) -> Schema:
    return schema(users=table(*columns))


def of_users(mapping: SchemaMapping) -> TableMapping:
    assert mapping.problems == ()
    return mapping.by_target["users"]


def doubts(mapping: SchemaMapping) -> list[str]:
    return [doubt.sentence() for table in mapping.tables for doubt in table.doubts]


PLAIN: dict[str, tuple[Schema, Schema]] = {
    "nothing changed": (users(column("fax")), users(column("fax"))),
    "a column that may be NULL": (users(), users(column("fax"))),
    "a column with a default": (users(), users(column("locale", not_null=True))),
    "a computed column": (users(), users(column("name", not_null=True, generated="first || last"))),
    "the columns in another order": (users(column("a"), column("b")), users(column("b"), column("a"))),
    "a table of today only": (users(), schema(users=table(), badges=table())),
    "one more label": (
        schema({"public.role": ROLES}, users=table(column("role", "public.role"))),
        schema(
            {"public.role": ROLES.replace("'teacher'", "'teacher', 'student'")},
            users=table(column("role", "public.role")),
        ),
    ),
}


@pytest.mark.parametrize("case", PLAIN)
def test_columns_that_map_by_themselves_are_copied_directly(case: str) -> None:
    mapping = mapped(*PLAIN[case], defaults=("locale",))

    assert of_users(mapping).plain
    assert of_users(mapping).lost == {}


LOSSLESS = [
    ("smallint", "integer"),
    ("integer", "bigint"),
    ("integer", "numeric"),
    ("integer", "double precision"),
    ("character varying(255)", "character varying(300)"),
    ("character varying(255)", "text"),
    ("numeric(12,2)", "numeric(14,3)"),
    ("numeric(12,2)", "numeric"),
    ("date", "timestamp without time zone"),
    ("uuid", "text"),
    ("json", "jsonb"),
]
DOUBTFUL = [
    ("bigint", "integer"),
    ("text", "integer"),
    ("character varying(300)", "character varying(255)"),
    ("text", "character varying(255)"),
    ("numeric(12,2)", "numeric(12,3)"),
    ("numeric", "numeric(12,2)"),
    ("bigint", "double precision"),
    ("timestamp without time zone", "date"),
    ("integer[]", "bigint"),
]


ZONES = [
    ("timestamp without time zone", "timestamp with time zone"),
    ("timestamp(3) with time zone", "timestamp without time zone"),
    ("date", "timestamp with time zone"),
    ("time without time zone", "time with time zone"),
]


@pytest.mark.parametrize(("old", "new"), ZONES)
def test_a_time_zone_is_asked_for_and_not_guessed(old: str, new: str) -> None:
    [doubt] = of_users(mapped(users(column("seen", old)), users(column("seen", new)))).doubts

    assert doubt.sentence(3) == (
        f"master.users.seen, 3 rows: {old} becomes {new} by a time zone: which did the live rows get? "
        f"Add to tables/users: convert: {{seen: \"seen::{old.replace('date', 'timestamp')} AT TIME ZONE 'UTC'\"}}"
    )


@pytest.mark.parametrize(("old", "new"), LOSSLESS)
def test_a_wider_type_needs_no_look_at_the_rows(old: str, new: str) -> None:
    mapping = mapped(users(column("grade", old)), users(column("grade", new)))

    assert not of_users(mapping).plain
    assert doubts(mapping) == []


@pytest.mark.parametrize(("old", "new"), DOUBTFUL)
def test_only_the_rows_show_whether_a_value_fits_another_type(old: str, new: str) -> None:
    [doubt] = doubts(mapped(users(column("grade", old)), users(column("grade", new))))

    assert doubt == (
        f"master.users.grade: a value of type {old} does not fit {new} without a loss. "
        "Add to tables/users: convert: {grade: <SQL expression>}"
    )


def test_a_nullable_column_fits_not_null_where_no_row_is_null() -> None:
    archived, live = users(column("fax")), users(column("fax", not_null=True))

    [doubt] = doubts(mapped(archived, live))
    [answered] = mapped(archived, live, changes(fill={"fax": "''"})).tables[0].doubts

    expected = "master.users.fax: NULL does not fit NOT NULL. Add to tables/users: fill: {fax: <SQL expression>}"
    assert doubt == expected
    assert answered.answered


def test_a_removed_label_is_a_doubt_until_a_migration_names_its_replacement() -> None:
    archived = schema({"public.role": ROLES}, users=table(column("role", "public.role")))
    live = schema(
        {"public.role": "CREATE TYPE public.role AS ENUM ('teacher', 'aide')"},
        users=table(column("role", "public.role")),
    )
    renamed = Changes(database="master", labels={"role": {"head's aide": "aide"}})

    [doubt] = doubts(mapped(archived, live))

    assert doubt == (
        "master.users.role: role has no label \"head's aide\" today. Add labels: {role: {head's aide: <today's label>}}"
    )
    assert doubts(mapped(archived, live, renamed)) == []
    assert not of_users(mapped(archived, live, renamed)).plain


def test_a_dropped_column_is_lost_and_reported() -> None:
    dropped = mapped(users(column("fax")), users())
    explained = mapped(users(column("fax")), users(column("pager")), changes(drop={"fax": "nobody faxes"}))

    assert of_users(dropped).lost == {"fax": "today's table has no such column"}
    assert of_users(explained).lost == {"fax": "nobody faxes"}


def test_a_stored_column_that_is_computed_today_is_lost_and_reported_so() -> None:
    computed = mapped(users(column("fax")), users(replace(column("fax"), generated="upper(name)")))

    assert of_users(computed).lost == {"fax": "today's table computes it"}


def test_a_renamed_column_and_table_are_followed_through_a_chain() -> None:
    archived = schema(staff=table(column("surname"), column("fax")))
    first = Migration(
        database="master",
        before="a" * 12,
        after="b" * 12,
        rename_tables={"staff": "people"},
        tables={"people": TableChanges(rename={"surname": "last_name"}, fill={"locale": "'en'"})},
    )
    # `nickname` came between the two, so that this archive has none.
    second = Migration(
        database="master",
        before="b" * 12,
        rename_tables={"people": "users"},
        tables={"users": TableChanges(rename={"last_name": "family_name", "nickname": "nick", "locale": "language"})},
    )
    live = users(column("family_name"), column("nick"), column("language", not_null=True), column("fax"))

    found = of_users(mapped(archived, live, first, second))

    assert (found.source, found.target) == (TableName("master", "staff"), TableName("master", "users"))
    assert found.origins == {"id": "id", "family_name": "surname", "language": None, "fax": "fax"}
    assert found.lost == {}


REFUSED: dict[str, tuple[Schema, Schema, tuple[Changes, ...], str]] = {
    "NOT NULL without default": (
        users(),
        users(column("locale", not_null=True)),
        (),
        "master.users.locale is NOT NULL today without a default, and the archive has no such column. "
        "Add to tables/users: fill: {locale: <SQL expression>}",
    ),
    "a rename, or a loss": (
        users(column("fax")),
        users(column("pager")),
        (),
        "master.users.fax no longer exists, and pager is new: was it renamed? "
        "Add to tables/users: rename: {fax: pager}, or drop: {fax: <why it may be lost>}",
    ),
    "a migration that loses a NOT NULL column": (
        users(column("email", not_null=True)),
        users(column("email", not_null=True)),
        (changes(drop={"email": "not needed"}),),
        "master.users.email is dropped by a migration, and is NOT NULL today without a default.",
    ),
    "a table that is gone": (
        schema(users=table(), faxes=table()),
        users(),
        (),
        "master.faxes holds rows, and there is no such table today. "
        "Add rename_tables: {faxes: <today's name>}, or drop_tables: {faxes: <why its rows may be lost>}",
    ),
    "two tables into one": (
        schema(users=table(), staff=table()),
        users(),
        (Changes(database="master", rename_tables={"staff": "users"}),),
        "master.users: two tables of the archive map to it",
    ),
    "a column that is not computed any more": (
        users(column("name", generated="first || last")),
        users(column("name")),
        (),
        "master.users.name was computed when it was archived, and is stored today. Add to tables/users: fill: {name",
    ),
    "a fill of nothing": (
        users(),
        users(),
        (changes(fill={"locale": "'en'"}),),
        "master.users.locale is filled by a migration, and there is no such column today",
    ),
    "a rename of nothing": (
        users(),
        users(),
        (changes(rename={"fax": "pager"}, drop={"pager": "gone"}),),
        "one.yaml/tables/users/rename/fax: the archive has no such column",
    ),
    "two columns into one": (
        users(column("fax"), column("pager")),
        users(column("pager")),
        (changes(rename={"fax": "pager"}),),
        "one.yaml/tables/users/rename: two columns become pager",
    ),
    "a table of nothing": (
        users(),
        users(),
        (Changes(database="master", name="one.yaml", drop_tables={"x": "gone"}, tables={"y": TableChanges()}),),
        "one.yaml/drop_tables/x: the archive has no such table",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_column_that_cannot_be_mapped_is_refused_with_its_name_and_the_line_to_add(case: str) -> None:
    archived, live, chain, expected = REFUSED[case]

    assert any(problem.startswith(expected) for problem in mapped(archived, live, *chain).problems)


def test_nothing_is_asked_of_a_table_without_rows() -> None:
    archived = schema(users=table(column("fax")), faxes=table())
    today = LiveSchema(schema=users(column("pager", not_null=True)))

    mapping = compare("master", archived, today, (), [])

    assert (mapping.tables, mapping.lost, mapping.problems) == ((), {}, ())


def test_dropped_tables_are_lost_with_the_reason() -> None:
    archived = schema(users=table(), faxes=table())
    step = Changes(database="master", drop_tables={"faxes": "nobody faxes"})

    mapping = mapped(archived, users(), step)

    assert mapping.lost == {TableName("master", "faxes"): "nobody faxes"}
    assert mapping.problems == ()


def test_rows_without_todays_key_are_a_multiset() -> None:
    archived = schema(users=replace(table(), columns=(column("name"),), primary_key=()))

    mapping = mapped(archived, schema(users=table(column("name"))), defaults=("id",))

    assert of_users(mapping).shape.primary_key == ()
