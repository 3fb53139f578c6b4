"""Connection settings of PostgreSQL's own programs: every user of the machine can read their arguments."""

from __future__ import annotations

from archiver.postgres.session import conninfo


def test_no_secret_is_among_a_programs_arguments() -> None:
    secrets = {"password": "a", "sslpassword": "b", "oauth_client_secret": "c"}
    assert conninfo({"host": "db", "sslkey": "client.key", **secrets}) == "host=db sslkey=client.key"
