"""How PostgreSQL's own programs are told where a database is: everybody on the machine can read their words."""

from __future__ import annotations

from archiver.postgres.session import conninfo


def test_no_secret_is_among_a_programs_words() -> None:
    secrets = {"password": "a", "sslpassword": "b", "oauth_client_secret": "c"}
    assert conninfo({"host": "db", "sslkey": "client.key", **secrets}) == "host=db sslkey=client.key"
