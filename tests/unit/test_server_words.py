"""Only the server's own words are shown: who raised an error is told by its source file, whatever code it gave."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from archiver.postgres.server_words import words_of

EMAIL = "jane.roe@example.org"


@dataclass(frozen=True)
class Raised:
    """An error's fields, as the server sends them."""

    message_primary: str | None
    source_file: str | None
    source_function: str | None = "of_c"
    context: str | None = None


@pytest.mark.parametrize(
    "source",
    ["pl_exec.c", "plpy_elog.c", "plperl.c", "pltcl.c", "plv8.cc", "src/lib.rs", "Exception.java", None, ""],
)
def test_words_of_a_function_in_any_language_are_not_shown(source: str | None) -> None:
    assert words_of(Raised(EMAIL, source), "23514", "CHECK_VIOLATION") == "check violation"


@pytest.mark.parametrize("function", ["pgfdw_report_error", "pgfdw_report", "dblink_res_error"])
def test_words_that_another_server_sent_are_not_shown(function: str) -> None:
    assert words_of(Raised(EMAIL, "connection.c", function), "23514", "CHECK_VIOLATION") == "check violation"


@pytest.mark.parametrize("source", ["planner.c", "plancat.c", "placeholder.c", "ri_triggers.c", "scan.l", "gram.y"])
def test_the_servers_own_words_are_shown(source: str) -> None:
    assert words_of(Raised("canceling statement", source), "57014", "QUERY_CANCELED") == "canceling statement"


def test_words_about_a_statement_that_a_function_made_are_not_shown() -> None:
    raised = Raised(f'column "{EMAIL}" does not exist', "parse_relation.c", context="PL/pgSQL-Funktion speak()")
    assert words_of(raised, "42703", "UNDEFINED_COLUMN") == "undefined column"


@pytest.mark.parametrize("text", [f"ungültige Zahl: »{EMAIL}«", f"valeur « {EMAIL} » en dehors", f"zła „{EMAIL}”"])
def test_a_value_is_cut_off_in_every_language_of_the_server(text: str) -> None:
    assert EMAIL not in words_of(Raised(text, "numutils.c"), "22P02", "INVALID_TEXT_REPRESENTATION")


def test_an_error_whose_words_begin_with_a_value_has_its_codes_name() -> None:
    raised = Raised(f'"{EMAIL}" is not a valid binary digit', "varbit.c")
    assert words_of(raised, "22P02", "INVALID_TEXT_REPRESENTATION") == "invalid text representation"
