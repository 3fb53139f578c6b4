"""The only module that uses psycopg2: sessions with pinned settings, explicit transactions, errors without row data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from decimal import Decimal
from functools import cache, partial
from typing import Any, Protocol

import psycopg2
import psycopg2.extensions
from psycopg2 import errorcodes, extensions
from psycopg2.sql import SQL, Composable, Composed, Identifier, Literal

from archiver.postgres.database_error import DatabaseError, connect_hint, hint_of, where_of
from archiver.postgres.ownership import Ownership
from archiver.postgres.server_words import words_of
from errors import UnknownError, UsageError
from inventory.model import Pooler

__all__ = ["SQL", "Composable", "Composed", "DatabaseError", "Identifier", "Literal", "Session", "connect"]

_OWN = "psycopg2"  # in place of a SQLSTATE: the statement did not reach the server
_ADDRESS = {"host", "hostaddr", "service", "dbname"}  # a connection needs one of these
_HINT = "Its config_var names them, once Heroku answers."
_LOCKED = "Another session holds a lock there: see pg_stat_activity, or a prepared transaction: see pg_prepared_xacts"
_MOST_NAMED = 3  # prepared transactions in a hint
_CONNECT: Mapping[str, Any] = {
    "connect_timeout": 10,
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "client_encoding": "UTF8",
}


class Sink(Protocol):
    """A writer for the bytes of COPY TO."""

    def write(self, data: bytes, /) -> object: ...


class Source(Protocol):
    """A reader for the bytes of COPY FROM."""

    def read(self, size: int = -1, /) -> bytes: ...
    def readline(self, size: int = -1, /) -> bytes: ...


def parse_dsn(dsn: str) -> dict[str, str]:
    """Return the libpq keywords of a DSN or URL; raise UsageError if it is malformed or holds a password."""
    try:
        connection = keywords(dsn)
    except ValueError:
        hint = 'Example: --dsn="host=db.example.com dbname=shop user=ann", or --dsn="service=shop"'
        raise UsageError("--dsn: expected what libpq understands, got something else.", hint=hint) from None
    if any("password" in word for word in connection):
        hint = "Remove it there, and change it: the shell keeps a history."
        raise UsageError("--dsn: expected ~/.pgpass or a service file to hold the password, got one here.", hint=hint)
    return connection


def keywords(address: str) -> dict[str, str]:
    """Return the libpq keywords of a DSN or URL, with a password if it holds one.

    Raise ValueError, whose text does not quote the address, if it is malformed.
    """
    try:
        return dict(psycopg2.extensions.parse_dsn(address))
    except psycopg2.Error:
        raise ValueError("libpq does not understand it") from None


_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret"})  # among libpq's keywords


def conninfo(connection: Mapping[str, str]) -> str:
    """Return libpq keywords as one argument for PostgreSQL's own programs, without secrets: `ps` shows arguments."""
    public = {word: value for word, value in connection.items() if word not in _SECRET}
    return str(psycopg2.extensions.make_dsn(**public))


def connect(
    connection: Mapping[str, str], *, name: str, pooler: Pooler | None = None, settings: Mapping[str, str] | None = None
) -> Session:
    """Open a session on a database given by libpq keywords; `name` is shown in pg_stat_activity.

    `pooler` is the inventory's word about a pooler before the database; through one of which it says nothing the
    session can only look. `settings` are pinned besides. Raise DatabaseError if the server can't be reached.
    """
    if not _ADDRESS & set(connection):
        # libpq would take any server on this machine.
        raise DatabaseError("Cannot connect: the connection names no host, service or dbname.", hint=_HINT)
    session = Session(partial(_link, connection, name[:63]), where_of(connection))
    try:
        session.ownership.claim(pooler, settings or {})
    except BaseException:
        session.close()
        raise
    return session


def _link(connection: Mapping[str, str], name: str) -> extensions.connection:
    try:
        link: extensions.connection = psycopg2.connect(**{**_CONNECT, **connection}, application_name=name)
    except (psycopg2.Error, ValueError) as error:
        # Before login a server speaks its own language, in any encoding.
        text = error.object.decode(errors="replace") if isinstance(error, UnicodeDecodeError) else str(error)
        reason = " ".join(text.split())
        raise DatabaseError(
            f"Connecting to {where_of(connection)} failed: {reason}.", hint=connect_hint(reason)
        ) from None
    link.autocommit = True
    return link


class Session:
    """One connection. Outside `begin` and `commit` every statement is its own transaction."""

    def __init__(self, link: Callable[[], extensions.connection], where: str) -> None:
        self._open_link = link
        self._link = link()
        self.ownership = Ownership(self.row, self._link.info.backend_pid, where)
        self.where = where

    def rows(self, query: str | Composable, args: Sequence[object] | None = None, *, doing: str = "reading") -> Any:
        """Return all rows of a query, as tuples."""
        with self._cursor(doing) as cursor:
            cursor.execute(query, args)
            return cursor.fetchall()

    def keys(self, query: Composable, *, doing: str) -> list[tuple[Any, ...]]:
        """Return all rows of a query over keys, as values that find the same row again.

        Integers and booleans are returned as such, numerics as exact numbers, all else as text: Python's dates end
        with the year 9999. Equal values are the same value, for which zero has no sign and padding is left out.
        """
        with self._cursor(doing) as cursor:
            for typecaster in _exact():
                extensions.register_type(typecaster, cursor)
            cursor.execute(query)
            return cursor.fetchall()

    def row(self, query: str | Composable, args: Sequence[object] | None = None, *, doing: str = "reading") -> Any:
        """Return the first row of a query, or None."""
        rows = self.rows(query, args, doing=doing)
        return rows[0] if rows else None

    def execute(self, query: str | Composable, args: Sequence[object] | None = None, *, doing: str = "writing") -> int:
        """Run a statement. Return the number of rows it affected."""
        with self._cursor(doing) as cursor:
            cursor.execute(query, args)
            return int(cursor.rowcount)

    def counts(self, statements: Sequence[Composable], *, doing: str) -> list[int]:
        """Run several INSERT, UPDATE or DELETE as one statement: constraints are checked at its end.

        Return the number of rows that each affected.
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
        """Write the rows of a query as COPY text to a sink. Return their number. The query takes no arguments."""
        return self._stream(SQL("COPY ({}) TO STDOUT").format(query), sink, doing)

    def csv_out(self, query: str, sink: Sink, *, doing: str) -> None:
        """Write the rows of a query as CSV with a header to a sink. The caller ensures that it is a single query."""
        # The parenthesis is on its own line: the query may end in a comment.
        self._stream(SQL("COPY ({}\n) TO STDOUT (FORMAT csv, HEADER)").format(SQL(query)), sink, doing)

    def _stream(self, statement: Composable, sink: Sink, doing: str) -> int:
        with self._cursor(doing) as cursor:
            try:
                cursor.copy_expert(statement, sink)
            except OSError:
                # The sink failed: a rollback would first read the rest of the COPY.
                self.close()
                raise
            return int(cursor.rowcount)

    def copy_in(self, target: Composable, source: Source, *, doing: str) -> int:
        """Load COPY text into `table (columns)`. Return the number of rows."""
        with self._cursor(doing) as cursor:
            cursor.copy_expert(SQL("COPY {} FROM STDIN").format(target), source)
            return int(cursor.rowcount)

    def begin(self, isolation: str = "READ COMMITTED") -> None:
        """Open a transaction."""
        with self._translated("opening a transaction"), self._link.cursor() as cursor:
            cursor.execute(f"BEGIN ISOLATION LEVEL {isolation};{self.ownership.in_each_transaction}")

    def commit(self, *, doing: str) -> None:
        """Commit; raise UnknownError if the connection broke before the server answered.

        Raise DatabaseError, with nothing committed, if the session is no longer this run's own.
        """
        if self.ownership.locks or self.ownership.in_each_transaction:
            self.ownership.prove(doing)
        try:
            self.execute("COMMIT", doing=doing)
        except DatabaseError as error:
            if error.lost:
                raise UnknownError(
                    f"{doing.capitalize()} on {self.where}: the connection broke at COMMIT, its outcome is unknown.",
                    hint="Run the same command again: it checks, and goes on from there.",
                ) from error
            raise

    def rollback(self) -> None:
        """Roll the transaction back; do nothing if there is none or the connection is lost."""
        with suppress(DatabaseError, psycopg2.Error):
            if not self._link.closed and self._link.info.transaction_status:
                self.execute("ROLLBACK", doing="rolling back")

    @contextmanager
    def transaction(self, isolation: str = "READ COMMITTED", *, doing: str = "writing") -> Iterator[None]:
        """Commit at the end of the block, or roll back if the block raises.

        Raise RefusedError if a pooler may lend the session to others.
        """
        self.ownership.require(doing)
        self.begin(isolation)
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self.commit(doing=doing)

    @contextmanager
    def rolled_back(self, isolation: str = "READ COMMITTED") -> Iterator[None]:
        """Open a transaction and always roll it back at the end of the block.

        What was read under a lock is believed only if the session was its own: raise DatabaseError if it was not.
        """
        self.begin(isolation)
        try:
            yield
            if self.ownership.locks and self._link.info.transaction_status == extensions.TRANSACTION_STATUS_INTRANS:
                self.ownership.prove("reading")
        finally:
            self.rollback()

    def close(self) -> None:
        """End the session; the server rolls an open transaction back. A pooler gets its connection as it was."""
        with suppress(DatabaseError, psycopg2.Error):
            if not self._link.closed and self._link.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE:
                self.ownership.give_back()
        with suppress(psycopg2.Error):
            self._link.close()

    @property
    def server_version(self) -> str:
        """The server's version: `18.6`."""
        return str(self._link.info.parameter_status("server_version"))

    @contextmanager
    def _cursor(self, doing: str) -> Iterator[extensions.cursor]:
        """Yield a cursor; if the session only looks, then in a transaction that leaves nothing behind."""
        alone = self.ownership.looks_only and self._link.info.transaction_status == extensions.TRANSACTION_STATUS_IDLE
        if alone:
            self.begin()
        try:
            with self._translated(doing), self._link.cursor() as cursor:
                yield cursor
        finally:
            if alone:
                self.rollback()

    @contextmanager
    def _translated(self, doing: str) -> Iterator[None]:
        try:
            yield
        except psycopg2.Error as error:
            if self.ownership.looks_only and error.pgcode == errorcodes.READ_ONLY_SQL_TRANSACTION:
                raise self.ownership.refusal(doing) from None
            operation = f"{doing[:1].upper()}{doing[1:]} on {self.where}"
            failed = _translated(error, operation, lost=bool(self._link.closed))
            if failed.code == errorcodes.LOCK_NOT_AVAILABLE:
                failed.hint = f"{_LOCKED}{self._prepared()}."
            failed.hint = failed.hint or hint_of(failed.code, self._link.info.user)
            raise failed from None

    def _prepared(self) -> str:
        """Return which transactions are prepared in this database, asked beside this session: its own has failed."""
        with suppress(DatabaseError, psycopg2.Error), closing(self._open_link()) as link, link.cursor() as cursor:
            cursor.execute(_PREPARED)
            names = [f"{name!r} since {since} UTC" for name, since in cursor.fetchmany(_MOST_NAMED)]
            return f" (there: {', '.join(names)})" if names else ""
        return ""


def _translated(error: psycopg2.Error, operation: str, *, lost: bool) -> DatabaseError:
    """Return the error without DETAIL, CONTEXT and values: those hold personal data."""
    code = error.pgcode or ""
    if not code and lost:
        return DatabaseError(f"{operation} failed: the connection is lost.", hint="Run the same command again.")
    if not code:
        return DatabaseError(f"{operation} failed: psycopg2 refused it ({type(error).__name__}).", code=_OWN)
    message = words_of(error.diag, code, _name(code))
    return DatabaseError(f"{operation} failed: {message} ({code}).", code=code)


def _name(code: str) -> str:
    """Return the name of a SQLSTATE; a function may raise one that has none."""
    try:
        return str(errorcodes.lookup(code))
    except KeyError:
        return "an error of a function"


@cache
def _exact() -> tuple[Any, ...]:
    """Return the typecasters for keys: text as PostgreSQL writes it, numerics as numbers, so that 1.0 finds 1.00."""
    native = {*extensions.INTEGER.values, *extensions.LONGINTEGER.values, *extensions.BOOLEAN.values}
    numeric, floating = extensions.DECIMAL.values, extensions.FLOAT.values
    text = tuple(oid for oid in extensions.string_types if oid not in {*native, *numeric, *floating, _PADDED})
    return (
        extensions.new_type((_PADDED,), "EXACT PADDED", _without_padding),
        extensions.new_type(floating, "EXACT FLOAT", lambda value, cursor: "0" if value == "-0" else value),
        extensions.new_type(text, "EXACT", lambda value, cursor: value),
        extensions.new_type(numeric, "EXACT NUMERIC", _exact_number),
    )


_PADDED = 1042  # the OID of character(n), whose values of two lengths are equal


def _without_padding(value: str | bytes | None, cursor: object) -> object:
    """Return a value of a type that pads with spaces, without them."""
    return value.rstrip(" ") if isinstance(value, str) else value


def _exact_number(value: str | bytes | None, cursor: object) -> object:
    """Return a number; as text NaN, which does not equal itself, and infinity, which could not be written back."""
    if not isinstance(value, str):
        return value
    number = Decimal(value)
    return number if number.is_finite() else value


_PREPARED = """
SELECT p.gid, to_char(p.prepared AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')
  FROM pg_prepared_xacts p WHERE p.database = current_database() ORDER BY p.prepared, p.gid
"""
