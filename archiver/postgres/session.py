"""The only door to psycopg2: sessions with pinned settings, explicit transactions, and errors without people's data."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import cache
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions
from psycopg2 import errorcodes, extensions
from psycopg2.sql import SQL, Composable, Composed, Identifier, Literal

from errors import CutoverError, UnknownError, UsageError

__all__ = ["SETTINGS", "SQL", "Composable", "Composed", "DatabaseError", "Identifier", "Literal", "Session", "connect"]

# What a value looks like as text depends on these, so every session pins them and every manifest records them.
SETTINGS: Mapping[str, str] = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "xmloption": "content",
    "search_path": "pg_catalog",
    "row_security": "off",
    "synchronize_seqscans": "off",
}
_SESSION: Mapping[str, str] = {"lock_timeout": "60s", "statement_timeout": "0", "jit": "off"}
# One database of two lies idle while the other works; not every version knows all of these.
_IDLE = ["idle_in_transaction_session_timeout", "idle_session_timeout", "transaction_timeout"]
_OWN = "psycopg2"  # in place of a SQLSTATE: it never came to the server
_PLACE = {"host", "hostaddr", "service", "dbname"}  # one of these says where a database is
_ASK = "Its config_var says so, once Heroku answers."
_CONNECT: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}


class DatabaseError(CutoverError):
    """PostgreSQL refused; `code` is its SQLSTATE, empty where the link broke."""

    def __init__(self, message: str, *, code: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, so that nobody knows what became of the statement."""
        return not self.code or self.code.startswith(("08", "57P", "25P03", "25P04"))

    @property
    def transient(self) -> bool:
        """Whether it may go when it is tried again: a lost link, a lock, a deadlock, a cancelled statement."""
        return self.lost or self.code in ("55P03", "40P01", "40001", "57014")


class Sink(Protocol):
    """Where COPY's bytes go."""

    def write(self, data: bytes, /) -> object: ...


class Source(Protocol):
    """Where COPY's bytes come from."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


def parse_dsn(dsn: str) -> dict[str, str]:
    """The libpq keywords of a DSN or URL; UsageError where it is none, or holds a password."""
    try:
        found = keywords(dsn)
    except ValueError:
        hint = 'Example: --dsn="host=db.example.com dbname=shop user=ann", or --dsn="service=shop"'
        raise UsageError("--dsn: expected what libpq understands, got something else.", hint=hint) from None
    if any("password" in word for word in found):
        hint = "Take it out there, and change it: the shell remembers what was typed."
        raise UsageError("--dsn: expected ~/.pgpass or a service file to hold the password, got one here.", hint=hint)
    return found


def keywords(address: str) -> dict[str, str]:
    """The libpq keywords of a DSN or URL, a password among them; ValueError, without its words, where it is none."""
    try:
        return dict(psycopg2.extensions.parse_dsn(address))
    except psycopg2.Error:
        raise ValueError("libpq does not understand it") from None


_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret"})  # among libpq's keywords


def conninfo(connection: Mapping[str, str]) -> str:
    """Libpq keywords as one word for PostgreSQL's own programs, without what is secret, which everybody could read."""
    shown = {word: value for word, value in connection.items() if word not in _SECRET}
    return str(psycopg2.extensions.make_dsn(**shown))


def connect(connection: Mapping[str, str], *, name: str) -> Session:
    """Opens a session on a database given by libpq keywords; `name` is shown in pg_stat_activity.

    Raises DatabaseError when the server can't be reached.
    """
    if not _PLACE & set(connection):
        # libpq would take whatever listens on this machine.
        raise DatabaseError("Connecting to a database failed: nobody has said where it is.", hint=_ASK)
    where = _where(connection)
    try:
        link = psycopg2.connect(**{**_CONNECT, **connection}, application_name=name[:63])
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())
        raise DatabaseError(f"Connecting to {where} failed: {reason}.", hint=_way_in(reason)) from None
    link.autocommit = True
    session = Session(link, where)
    pins = {**SETTINGS, **_SESSION}
    session.execute(SQL("; ").join(SQL("SET {} TO {}").format(Identifier(key), Literal(pins[key])) for key in pins))
    session.rows("SELECT set_config(name, '0', false) FROM pg_settings WHERE name = ANY(%s)", (_IDLE,))
    return session


class Session:
    """One connection. Outside `begin` … `commit` every statement is its own transaction."""

    def __init__(self, link: psycopg2.extensions.connection, where: str) -> None:
        self._link = link
        self.where = where

    def rows(self, query: str | Composable, args: Sequence[object] | None = None, *, doing: str = "reading") -> Any:
        """All rows of a query, as tuples."""
        with self._translated(doing), self._link.cursor() as cursor:
            cursor.execute(query, args)
            return cursor.fetchall()

    def keys(self, query: Composable, *, doing: str) -> list[tuple[Any, ...]]:
        """All rows of a query over keys, so that what is read here finds its row again.

        Whole numbers and truths come as such, all else as text: Python's dates end with the year 9999.
        """
        with self._translated(doing), self._link.cursor() as cursor:
            for reading in _exact():
                extensions.register_type(reading, cursor)
            cursor.execute(query)
            return cursor.fetchall()

    def row(self, query: str | Composable, args: Sequence[object] | None = None, *, doing: str = "reading") -> Any:
        """The first row of a query, or None."""
        rows = self.rows(query, args, doing=doing)
        return rows[0] if rows else None

    def execute(self, query: str | Composable, args: Sequence[object] | None = None, *, doing: str = "writing") -> int:
        """Runs a statement; the number of rows it touched."""
        with self._translated(doing), self._link.cursor() as cursor:
            cursor.execute(query, args)
            return int(cursor.rowcount)

    def counts(self, statements: Sequence[Composable], *, doing: str) -> list[int]:
        """Runs several INSERT, UPDATE or DELETE as one statement, which sees its constraints when all of it is done.

        Returns the number of rows that each touched.
        """
        if len(statements) == 1:
            return [self.execute(statements[0], doing=doing)]
        parts = [Identifier(f"part_{number}") for number in range(len(statements))]
        query = SQL("WITH {} SELECT {}").format(
            SQL(", ").join(
                SQL("{} AS ({} RETURNING 1)").format(part, text) for part, text in zip(parts, statements, strict=True)
            ),
            SQL(", ").join(SQL("(SELECT count(*) FROM {})").format(part) for part in parts),
        )
        return list(self.row(query, doing=doing))

    def copy_out(self, query: Composable, sink: Sink, *, doing: str) -> int:
        """Streams the rows of a query, its values written in as Literals, as COPY text into a sink; how many."""
        return self._stream(SQL("COPY ({}) TO STDOUT").format(query), sink, doing)

    def csv_out(self, query: str, sink: Sink, *, doing: str) -> None:
        """Streams the rows of a query as CSV with a header into a sink. The caller has seen that the text is one."""
        # The bracket is on a line of its own: the text may end in a comment.
        self._stream(SQL("COPY ({}\n) TO STDOUT (FORMAT csv, HEADER)").format(SQL(query)), sink, doing)

    def _stream(self, statement: Composable, sink: Sink, doing: str) -> int:
        with self._translated(doing), self._link.cursor() as cursor:
            try:
                cursor.copy_expert(statement, sink)
            except OSError:
                # The sink failed: a rollback would first drain what is left of the COPY.
                self.close()
                raise
            return int(cursor.rowcount)

    def copy_in(self, target: Composable, source: Source, *, doing: str) -> int:
        """Streams COPY text into `table (columns)`; the number of rows."""
        with self._translated(doing), self._link.cursor() as cursor:
            cursor.copy_expert(SQL("COPY {} FROM STDIN").format(target), source)
            return int(cursor.rowcount)

    def begin(self, isolation: str = "READ COMMITTED") -> None:
        """Opens a transaction."""
        self.execute(SQL("BEGIN ISOLATION LEVEL " + isolation), doing="opening a transaction")

    def commit(self, *, doing: str) -> None:
        """Commits; raises UnknownError where the link broke before the answer came."""
        try:
            self.execute("COMMIT", doing=doing)
        except DatabaseError as error:
            if error.lost:
                raise UnknownError(
                    f"{doing.capitalize()} on {self.where}: the connection broke at COMMIT, nobody knows its outcome.",
                    hint="Run the same command again: it looks and goes on from there.",
                ) from error
            raise

    def rollback(self) -> None:
        """Gives the transaction up; quiet where there is none or the link is gone."""
        with suppress(DatabaseError, psycopg2.Error):
            if not self._link.closed and self._link.info.transaction_status:
                self.execute("ROLLBACK", doing="rolling back")

    @contextmanager
    def transaction(self, isolation: str = "READ COMMITTED", *, doing: str = "writing") -> Iterator[None]:
        """Commits what the block did, or rolls it back when the block raises."""
        self.begin(isolation)
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit(doing=doing)

    @contextmanager
    def rolled_back(self, isolation: str = "READ COMMITTED") -> Iterator[None]:
        """A transaction of which nothing stays."""
        self.begin(isolation)
        try:
            yield
        finally:
            self.rollback()

    def close(self) -> None:
        """Ends the session; the server rolls back what was open."""
        with suppress(psycopg2.Error):
            self._link.close()

    @property
    def server_version(self) -> str:
        """The server's version, as `18.6`."""
        return str(self._link.info.parameter_status("server_version"))

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            operation = f"{doing[:1].upper()}{doing[1:]} on {self.where}"
            raise _translated(error, operation, lost=bool(self._link.closed)) from None


def _translated(error: psycopg2.Error, operation: str, *, lost: bool) -> DatabaseError:
    """The error without DETAIL and CONTEXT, and without values: those hold people's data."""
    code = error.pgcode or ""
    if not code and lost:
        return DatabaseError(f"{operation} failed: the connection is lost.", hint="Run the same command again.")
    if not code:
        return DatabaseError(f"{operation} failed: psycopg2 refused it ({type(error).__name__}).", code=_OWN)
    message = error.diag.message_primary or errorcodes.lookup(code)
    if code.startswith("22"):  # a data exception quotes the value
        message = re.split(r'[:"]', message)[0].strip()
    if code.startswith("P0"):  # the words are the product's own, of a trigger, and may name people
        message = errorcodes.lookup(code).replace("_", " ").lower()
    hint = "Somebody holds a lock there: see pg_stat_activity." if code == errorcodes.LOCK_NOT_AVAILABLE else ""
    return DatabaseError(f"{operation} failed: {message} ({code}).", code=code, hint=hint)


@cache
def _exact() -> tuple[Any, ...]:
    """How keys are read: as PostgreSQL writes them, but numbers by their worth, so that 1.0 is found for 1.00."""
    apart = {*extensions.INTEGER.values, *extensions.LONGINTEGER.values, *extensions.BOOLEAN.values}
    numeric = extensions.DECIMAL.values
    text = tuple(oid for oid in extensions.string_types if oid not in {*apart, *numeric})
    return (
        extensions.new_type(text, "EXACT", lambda value, cursor: value),
        extensions.new_type(numeric, "EXACT NUMERIC", _exact_number),
    )


def _exact_number(value: str | bytes | None, cursor: object) -> object:
    """A number, or as text what does not equal itself in Python, NaN, or could not be given back, infinity."""
    if not isinstance(value, str):
        return value
    number = Decimal(value)
    return number if number.is_finite() else value


def _where(connection: Mapping[str, str]) -> str:
    server = connection.get("service") or f"{connection.get('host', 'localhost')}:{connection.get('port', 5432)}"
    return f"{connection['dbname']}@{server}" if "dbname" in connection else server


def _way_in(reason: str) -> str:
    """What to look at, by libpq's words for why it can't connect."""
    if "definition of service" in reason:
        return "~/.pg_service.conf on this machine must have it."
    if "password" in reason:
        return "~/.pgpass on this machine must have it, for this server, database and user."
    return "Is the server up?"
