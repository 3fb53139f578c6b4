"""The key of a tenant, as the archiver's own tables keep it and as people write it."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from archiver.format import layout
from archiver.postgres.tenants import Exclude, Include, OwnDepths, Tenant, every
from archiver.records.tenant_lists import exclusion, inclusion
from errors import Problems, RefusedError
from inventory.keys import (
    Key,
    Parts,
    key_listed,
    key_of,
    key_of_text,
    key_order,
    key_text,
    listed,
    typed,
    values_of,
    words_for,
    words_of_list,
)
from runbooks.cli.parse import each_once, parse_listed, parse_listed_word
from tests.answering import SCHOOLS, session


@pytest.mark.parametrize(
    ("key", "text", "people"),
    [
        (13, "13", "13"),
        ("13", '"13"', "13"),
        ("Ecole d'ete", '"Ecole d\'ete"', "Ecole d'ete"),
        ("é\n", '"é\\n"', "é\n"),
        (Parts((2013, "0042")), '[2013,"0042"]', "2013-0042"),
        (Parts((-1, 7)), "[-1,7]", "[-1,7]"),
        (Parts(("a-b", 1)), '["a-b",1]', '["a-b",1]'),
        (Parts(("[a", "b")), '["[a","b"]', '["[a","b"]'),
        (Parts(('"a', "b")), '["\\"a","b"]', '["\\"a","b"]'),
        (Parts(("", "b")), '["","b"]', '["","b"]'),
    ],
)
def test_each_shape_of_key_has_one_text_that_reads_back(key: Key, text: str, people: str) -> None:
    assert (key_text(key), key_of_text(text), str(key), f"{key}") == (text, key, people, people)


@pytest.mark.parametrize("text", ["", "1.5", "null", "true", "[]", "[[1]]", "{}", "[true]"])
def test_a_text_that_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        key_of_text(text)


@pytest.mark.parametrize(
    ("key", "word"),
    [
        (13, "13"),
        ("A1", "A1"),
        ("Ecole d'ete", "'Ecole d'\"'\"'ete'"),
        ("", "'\"\"'"),
        ("-x", "'\"-x\"'"),
        (-5, "'\"-5\"'"),
        ('"', '\'"\\""\''),
        (Parts((2013, "0042")), "2013-0042"),
        (Parts((2013, "")), "2013-"),
        (Parts(("a-b", "1")), '\'["a-b","1"]\''),
    ],
)
def test_a_key_that_is_typed_as_a_hint_shows_it_means_the_same_values(key: Key, word: str) -> None:
    assert typed(key) == word
    values = key if isinstance(key, Parts) else (key,)
    assert values_of(shlex.split(word)[0], len(values)) == tuple(map(str, values))


@pytest.mark.parametrize(
    ("word", "number"),
    [("42", 2), ("2013-0042-1", 2), ("[1]", 2), ('["a",', 2), ("[1,null]", 2), ('"a', 1), ("[1,2.5]", 2)],
)
def test_a_word_of_another_shape_than_the_key_is_refused(word: str, number: int) -> None:
    with pytest.raises(ValueError):
        values_of(word, number)


def test_keys_are_sorted_part_by_part_and_numbers_by_their_size() -> None:
    keys: list[Key] = [Parts((2013, "b")), Parts((2013, 10)), Parts((2013, 9)), Parts((999, 1))]
    assert sorted(keys, key=key_order) == [Parts((999, 1)), Parts((2013, 9)), Parts((2013, 10)), Parts((2013, "b"))]
    mixed: list[Key] = [10, 9, "a", "B"]
    assert sorted(mixed, key=key_order) == [9, 10, "B", "a"]


def test_values_of_a_row_are_a_key_whose_other_types_are_text() -> None:
    assert (key_of((7,)), key_of(("x",)), key_of((2013, "0042"))) == (7, "x", Parts((2013, "0042")))


KEYS: tuple[Key, ...] = (
    *(13, 0, -5, "", ".", "..", "~", "%7E", "a/b", "a%2Fb", "École d'été", "A1", "a1", "0042", "42 ", "é" * 100),
    *("é" * 99 + "e", "x" * 300, "x" * 301, Parts((2013, "0042")), Parts((2013, "0043")), Parts(("a-b", "1"))),
)


@pytest.mark.parametrize("key", KEYS)
def test_a_key_is_one_short_part_of_a_path_that_the_store_shows_as_an_archives(key: Key) -> None:
    part = layout.path_part(key)
    assert part.isascii() and "/" not in part and part not in ("", ".", "..") and len(part) <= layout.LONGEST_PART
    assert layout.is_archive(layout.object_key("school", 2013, key, "20140815T221500-1f3a", encrypted=True))
    assert layout.path_part(13) == "13"


def test_no_two_keys_have_the_same_part_of_a_path() -> None:
    assert len({layout.path_part(key) for key in KEYS}) == len(KEYS)


@pytest.mark.parametrize("key", ["schemas/1f3a.json", "nights/2014-08-15/journal/1/2", "2013/13/x", "purges/a/b/c/d"])
def test_other_objects_of_the_store_are_no_archives(key: str) -> None:
    assert not layout.is_archive(key)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("13", 13),
        ("0042", "0042"),
        ("a/b", "a/b"),
        ("2013-0042", "2013-0042"),
        ('"École d\'été"', "École d'été"),
        ('"a: b"', "a: b"),
        ('["a-b"]', Parts(("a-b",))),
        ('[2013,"a-b"]', Parts(("2013", "a-b"))),
        ('"\\x"', None),
        ("[1,null]", None),
        ("customer 99", None),
        ("school 14", None),
        ("-1", None),
    ],
)
def test_a_list_names_a_key_as_people_write_it(line: str, key: Key | None) -> None:
    try:
        named = exclusion([(1, line)], "list.txt").tenants
    except Problems:
        named = frozenset()
    assert named == (frozenset() if key is None else {key})
    if key is not None:
        assert inclusion([(1, f"{line}: closed")], "list.txt").tenants == {key: "closed"}
        assert each_once(parse_listed, "13")(f"7, {listed(key)}", "--exclude-schools") == {7, key_listed(listed(key))}


def test_a_list_matches_a_tenant_by_the_word_for_its_key() -> None:
    keys: list[Key] = [42, "42", "0042", Parts((2013, "0042"))]
    live = [Tenant(id=key, name="", shard="", customer_id=None, customer_name=None) for key in keys]
    exclude = Exclude(tenants=frozenset({42, "2013-0042"}))
    assert [exclude.names(each) for each in live] == [True, True, False, True]
    only, own = Include(tenants={"0042": "closed"}), OwnDepths(tenants={"2013-0042": "students"})
    assert [only.reason(each) for each in live] == [None, None, "closed", None]
    assert [own.of(each.id, None) for each in live] == [None, None, None, "students"]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "expected a key, got nothing"),
        ("13,", "expected a key, got nothing"),
        ("13,,14", "expected a key, got nothing"),
        ('"a', "expected a key, got '\"a'"),
        ("13 14", "expected a key, got '13 14'"),
        ('a"b,c"', "expected a key, got 'a\"b'"),
        ('"a"b', "expected a key, got '\"a\"b'"),
        ("[1,2", "expected a key, got '\\[1'"),
        ("-1", "expected a key, got '-1'"),
        ('"x, y","x, y"', '"x, y" stands there twice'),
    ],
)
def test_a_list_of_an_option_with_something_else_is_refused(text: str, mistake: str) -> None:
    with pytest.raises(Problems, match=mistake) as refused:
        each_once(parse_listed_word, "13,14")(text, "--schools")
    assert refused.value.hint == "Example: --schools=13,14"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    [
        "x, y: z",
        '"',
        "..",
        "-1",
        "A/1",
        "[1,2]",
        '["a"',
        "\\",
        "a-b",
        "",
        "é",
        "--help",
        "it's",
        "$HOME",
        "~",
        "\n",
        "13",
    ]
)
PART = st.integers(-(2**63), 2**63 - 1) | TEXTS
ANY_KEY: st.SearchStrategy[Key] = PART | st.lists(PART, min_size=2, max_size=4).map(Parts)


@settings(deadline=None)
@example(["0[", Parts((0, -1))])
@given(st.lists(ANY_KEY, min_size=1, max_size=5))
def test_each_key_that_is_shown_is_typed_back_alone_and_in_a_list(keys: list[Key]) -> None:
    values = [tuple(map(str, key if isinstance(key, Parts) else (key,))) for key in keys]

    alone = [shlex.split(f"inv archive.school {typed(key)}")[2] for key in keys]
    [option] = shlex.split(shlex.quote(", ".join(map(listed, keys))))

    assert [values_of(word, len(of_key)) for word, of_key in zip(alone, values, strict=True)] == values
    assert not any(word.startswith("-") for word in alone)  # Invoke would take it for an option
    words = words_of_list(option)
    assert [values_of(word, len(of_key)) for word, of_key in zip(words, values, strict=True)] == values
    assert [str(key_listed(word)) in words_for(key) for word, key in zip(words, keys, strict=True)] == [True] * len(
        keys
    )


@settings(deadline=None)
@given(ANY_KEY, ANY_KEY)
def test_a_word_of_a_list_means_no_other_key_of_such_columns(key: Key, other: Key) -> None:
    values, others = (tuple(map(str, each if isinstance(each, Parts) else (each,))) for each in (key, other))
    if len(values) == len(others) and values != others:
        assert str(key_listed(listed(key))) not in words_for(other)


def test_a_live_tenant_that_no_command_can_name_is_refused() -> None:
    rows = [(2, "Second", "shard_1", None, None), (1, None, None, None, None)]
    found = every(session({"reading schools": rows}), SCHOOLS)
    assert [(each.id, each.name, each.shard) for each in found] == [(1, "", ""), (2, "Second", "shard_1")]
    nameless = session({"reading schools": [(None, "Lincoln", "shard_1", None, None)]})
    with pytest.raises(RefusedError, match="The school 'Lincoln' has no id: no command can name it"):
        every(nameless, SCHOOLS)
