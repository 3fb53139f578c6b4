"""An unreachable database is reported with what to look at."""

from __future__ import annotations

import pytest

from archiver.postgres.database_error import hint_of
from archiver.postgres.session import DatabaseError, connect


def test_the_hint_for_an_undefined_service_names_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICEFILE", "/dev/null")

    with pytest.raises(DatabaseError, match="Connecting to no-such-service failed: definition of service") as failed:
        connect({"service": "no-such-service"}, name="test")

    assert failed.value.hint == "~/.pg_service.conf on this machine must have it."


def test_a_server_that_does_not_answer_may_be_down() -> None:
    with pytest.raises(DatabaseError, match="Connecting to shop@/nowhere:5432 failed") as failed:
        connect({"host": "/nowhere", "dbname": "shop"}, name="test")

    assert failed.value.hint == "Is the server up?"


def test_a_refused_write_says_what_may_forbid_it() -> None:
    assert "SELECT pg_is_in_recovery()" in hint_of("25006", "ann")
    assert hint_of("42501", "ann").endswith('ALTER ROLE "ann" BYPASSRLS;')
    assert hint_of("23505", "ann") == ""


@pytest.mark.parametrize("word", ["a\0b", "caf\udce9"], ids=["NUL", "bytes"])
def test_a_keyword_that_no_server_could_take_is_an_error_in_a_sentence(word: str) -> None:
    with pytest.raises(DatabaseError, match=r"Connecting to .* failed"):
        connect({"host": "127.0.0.1", "port": "1", "dbname": word}, name="test")
