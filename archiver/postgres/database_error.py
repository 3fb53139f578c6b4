"""A failure of PostgreSQL, and the words for one that can't be reached. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from errors import CutoverError


class DatabaseError(CutoverError):
    """A failure of PostgreSQL; `code` is its SQLSTATE, empty if the connection broke."""

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code

    @property
    def lost(self) -> bool:
        """True if the connection is lost, so that the outcome of the statement is unknown."""
        return not self.code or self.code.startswith(("08", "57P", "25P03", "25P04"))

    @property
    def transient(self) -> bool:
        """True if a retry may succeed: a lost connection, a lock, a deadlock, a canceled statement."""
        return self.lost or self.code in ("55P03", "40P01", "40001", "57014")


def where_of(connection: Mapping[str, str]) -> str:
    """Return a database by the name that messages give it: `shop@db.example.com:5432`."""
    server = connection.get("service") or f"{connection.get('host', 'localhost')}:{connection.get('port', 5432)}"
    return f"{connection['dbname']}@{server}" if "dbname" in connection else server


def hint_of(code: str, role: str) -> str:
    """Return a hint for an error's SQLSTATE, with the session's role; empty for most."""
    if code == "25006":
        return (
            "Is this server a standby, or are the role's transactions read only by default? Run: "
            "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only');"
        )
    if code == "42501":
        return f'Connect as the owner of the tables. If row security is forced on them: ALTER ROLE "{role}" BYPASSRLS;'
    return ""


def connect_hint(reason: str) -> str:
    """Return a hint for libpq's reason why it can't connect."""
    if "definition of service" in reason:
        return "~/.pg_service.conf on this machine must have it."
    if "password" in reason:
        return "~/.pgpass on this machine must have it, for this server, database and user."
    return "Is the server up?"
