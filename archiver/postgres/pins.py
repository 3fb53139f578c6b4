"""The settings that every session pins: those that shape a value's text or a statement's meaning, and limits."""

from __future__ import annotations

from collections.abc import Mapping

# A value's text depends on these settings, written or read: every manifest records them, and the scripts in an archive
# set them. lc_monetary C shows money as its number of cents whatever the database's locale, and so reads it again.
SETTINGS: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmlbinary": "base64",
    "xmloption": "content",
    "array_nulls": "on",
    "lc_monetary": "C",
    "lc_numeric": "C",
    "standard_conforming_strings": "on",
    "backslash_quote": "safe_encoding",
    "transform_null_equals": "off",
    "search_path": "pg_catalog",
    "row_security": "off",
    "synchronize_seqscans": "off",
}
# quote_all_identifiers shapes the definitions that are compared; a limited GIN scan would leave rows out at random.
_SESSION: Mapping[str, str] = {
    "quote_all_identifiers": "off",
    "gin_fuzzy_search_limit": "0",
    "lock_timeout": "60s",
    "statement_timeout": "0",
    "jit": "off",
}
# A session may be idle while the run works in another database. Not every server version knows all of these.
IDLE = ("idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout")


# What only looks through a connection that a pooler may lend to others writes nothing.
LOOKING: Mapping[str, str] = {"transaction_read_only": "on"}


def pinned(synchronous_commit: str) -> dict[str, str]:
    """Return the settings of a session on a database that commits so.

    Where that is `off`, a crash may lose what was confirmed. A session then waits for the server's own disk; where a
    database waits for more, such as its standbys, it stays as it is.
    """
    return {**SETTINGS, **_SESSION, **({"synchronous_commit": "local"} if synchronous_commit == "off" else {})}


def script(settings: Mapping[str, str], *, local: bool = False) -> str:
    """Return SQL that sets these for a session, or until a transaction's end; the values are the tool's own words."""
    scope = "SET LOCAL" if local else "SET"
    return "\n".join(f"{scope} {name} TO '{value}';" for name, value in settings.items())
