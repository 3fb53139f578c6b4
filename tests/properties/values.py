"""Types and values, chosen for what they have done to archives before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hypothesis import strategies as st

# Types of the product's own, made in every database.
TYPES = r"""
CREATE TYPE public."Mood" AS ENUM ('happy', 'it''s', 'back\slash', 'None', '');
CREATE TYPE public.light AS ENUM ('on', 'off');
CREATE DOMAIN public.code AS text CONSTRAINT "not that" CHECK (value <> 'that');
CREATE DOMAIN public.short_code AS public.code CHECK (char_length(value) < 100);
CREATE DOMAIN public.level AS integer CHECK (value > -1000);
CREATE DOMAIN public.lights AS public.light[];
"""

HAZARDS = (
    *(
        "",
        "NULL",
        r"\N",
        r"\.",
        "\t",
        "a\nb",
        "a\r\nb",
        "\\",
        r"\\",
        "'",
        '"',
        '""',
        "a,b",
        "{}",
        "(1,2)",
        " ",
        "%s",
        "%",
    ),
    *("ä", "🎓", "\u0301", "\ufffe", "\uffff", "\u2028", "\x01\x7f", "None", "true", "\u00a0x "),
)
TEXTS = st.one_of(
    st.sampled_from(HAZARDS), st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
)


def _whole(bits: int) -> st.SearchStrategy[str]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(str)


def _of(*values: str) -> st.SearchStrategy[str]:
    return st.sampled_from(values)


# What a plain column may hold, by its type.
PLAIN: Mapping[str, st.SearchStrategy[str]] = {
    "text": TEXTS,
    "character varying(12)": TEXTS,
    "character(3)": _of("", "a", "ab ", "'\\\t", "äöü"),
    '"char"': _of("", "a", "\\"),
    "smallint": _whole(16),
    "integer": _whole(32),
    "bigint": _whole(64),
    "numeric": _of("NaN", "Infinity", "-0.00", "1e50", "123456789.123456789", "1.10"),
    "numeric(10,2)": _of("NaN", "-99999999.99", "0.005"),
    "double precision": st.one_of(_of("NaN", "Infinity", "-Infinity", "-0", "1e-320"), st.floats().map(repr)),
    "real": _of("NaN", "-Infinity", "0.1", "3.4028235e38"),
    "boolean": _of("true", "false"),
    "date": _of("infinity", "-infinity", "0044-03-15 BC", "12014-08-15", "2014-02-28"),
    "timestamp without time zone": _of("infinity", "-infinity", "4713-01-01 BC", "2014-08-15 03:00:00.000001"),
    "timestamp with time zone": _of("infinity", "2014-08-15 03:00:00+05:30", "0001-01-01 00:00:00+00 BC"),
    "timestamp(0) with time zone": _of("2014-08-15 03:00:00.6+00"),
    "time without time zone": _of("24:00:00", "00:00:00.000001"),
    "time with time zone": _of("23:59:59.999999+15:59", "00:00:00-15:59"),
    "interval": _of("1 mon -2 days 03:04:05.6", "-178000000 years", "00:00:00", "infinity"),
    "bytea": _of(r"\x", r"\x00ff5c0a", r"\x5c4e"),
    "jsonb": _of("null", '{"a": "\\u00e4\\n", "b": [1.10, null]}', '"\\\\N"', "[]"),
    "json": _of("null", '{"a":1,  "a" : 2}', '"\\t"', "[\n]"),
    "text[]": _of("{}", '{NULL,"NULL",""}', r'{"a,b","\"","\\","{}"}', "{{a,b},{c,d}}", "[0:1]={x,y}"),
    "integer[]": _of("{}", "{1,NULL}", "[2:3]={4,5}"),
    "uuid": st.uuids().map(str),
    'public."Mood"': _of("happy", "it's", "back\\slash", "None", ""),
    'public."Mood"[]': _of("{}", r'{"it\'s","back\\slash","",NULL}'.replace(r"\'", "'")),
    "public.code": TEXTS.filter(lambda text: text != "that"),
    "public.short_code": _of("", "a\tb"),
    "public.level": _of("-999", "0"),
    "public.lights": _of("{}", "{on,NULL,off}"),
    "inet": _of("::1/128", "10.0.0.1/8"),
    "bit(3)": _of("101"),
    "bit varying": _of("", "0110"),
    "int4range": _of("empty", "[1,3)", "(,)"),
    "tstzmultirange": _of("{}", '{["2014-08-15 00:00:00+00",infinity)}'),
    "point": _of("(0,-0)", "(NaN,1e300)"),
    "tsvector": _of("", "'a b':1A 'it''s':2"),
    "money": _of("$1.00", "-$0.01"),
}

# What rows are named by: distinct values of each type, as PostgreSQL itself writes them.
KEYS: Mapping[str, Sequence[str]] = {
    "bigint": [*map(str, range(1, 9)), *(str(2**40 + number) for number in range(8))],
    "integer": [*map(str, range(1, 14)), "-1", "0", "2147483647"],
    "smallint": [*map(str, range(1, 17))],
    "uuid": [f"{number:08x}-0000-4000-8000-{number:012x}" for number in range(16)],
    "text": [*HAZARDS[:14], "A", "a"],
    "character varying(12)": ["a", "A", "b", *HAZARDS[1:14]],
    "numeric": ["NaN", "0", "1.10", "-1.5", "1000000000000000000000", *(f"{number}.5" for number in range(11))],
    "date": ["infinity", "-infinity", "0044-03-15 BC", "12014-08-15", *(f"2014-08-{day}" for day in range(10, 22))],
    "timestamp with time zone": ["infinity", *(f"2014-08-15 03:00:00.{number:06}+00" for number in range(101, 116))],
    "bytea": [rf"\x{number:02x}5c" for number in range(16)],
    "public.short_code": [*HAZARDS[:14], "A", "a"],
    "public.level": [*map(str, range(16))],
}
# Of a number, what a column that names it may be as well.
OTHER_WIDTH = {"bigint": "integer", "integer": "bigint", "text": "character varying(12)", "public.level": "integer"}
# What a column may be whose value says where a row leads, with such values.
KINDS: Mapping[str, Sequence[str]] = {
    "text": ["School", "None", "it's", "a = b"],
    "character varying(12)": ["School", "None", "x", "1"],
    'public."Mood"': ["happy", "it's", "None", "back\\slash"],
    "integer": ["1", "2", "0", "-1"],
    "boolean": ["true", "false"],
    "character(3)": ["ab ", "abc", "x  ", "y  "],
}
NAMES = (
    *("name", "Name", "two words", 'quo"te', "select", "user", "copy", "key", "digest", "per%cent", "%s", "a.b"),
    *("näme", "s", "l", "missing", "found", "place", "live", "part_0", "o", "f", "c"),
)
