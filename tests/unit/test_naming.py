"""Columns and types that mean a row of another table, in the ways in which products name them."""

from __future__ import annotations

import pytest

from archiver.catalog.naming import id_column, key_word, key_words, table_of_class


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("school_id", ["school_id"]),
        ("schoolId", ["school_id"]),
        ("home_school_id", ["home_school_id", "school_id"]),
        ("lastClassRoomId", ["last_class_room_id", "class_room_id", "room_id"]),
        ("school_ids", ["school_id"]),
        ("schools_ids", ["school_id"]),
        ("formerSchoolIds", ["former_school_id", "school_id"]),
        ("id", []),
        ("ids", []),
        ("covid", []),
        ("paid_ids", ["paid_id"]),
    ],
)
def test_a_column_means_the_key_that_its_name_ends_in(column: str, words: list[str]) -> None:
    assert list(key_words(column)) == words


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("ClassRoom", "class_room"),
        ("Apangea::School", "school"),
        ("App\\Models\\ClassRoom", "class_room"),
        ("app.School", "school"),
        ("school", "school"),
    ],
)
def test_a_class_means_a_table_whatever_its_namespace(name: str, table: str) -> None:
    assert table_of_class(name) == table


@pytest.mark.parametrize(
    ("type_column", "id_"),
    [
        ("taggable_type", "taggable_id"),
        ("taggableType", "taggableId"),
        ("content_type_id", "object_id"),
        ("prototype", None),
    ],
)
def test_a_type_stands_beside_an_id(type_column: str, id_: str | None) -> None:
    assert id_column(type_column) == id_


@pytest.mark.parametrize("table", ["class_rooms", "ClassRoom", "classRooms"])
def test_a_tables_key_has_one_word(table: str) -> None:
    assert key_word(table) == "class_room_id"
