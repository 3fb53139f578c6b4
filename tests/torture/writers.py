"""An application that never stops: one writer a database, on a school's rows, who keeps books of what was committed."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 (a class, named like a function)

from tests import oracle
from tests.oracle import Snapshot
from tests.worlds import World

PACES = (0.0, 0.01, 0.05, 0.3)  # the longest pause between two writes, in seconds
POLL = 0.002  # seconds between two looks at whether it may begin
Look = Callable[[], bool]
Change = tuple[str, bytes | None, bytes | None]  # of which table, which row became which, as COPY lines


@dataclass(frozen=True)
class Write:
    """A statement: `values` begin an INSERT's row, `change` is an UPDATE's, neither: a DELETE."""

    table: str
    row: str = ""  # which one, where it is there already: a pool's name
    values: str = ""
    change: str = ""


MASTER = (
    Write("taggings", values="(tag_id, taggable_type, taggable_id) VALUES (%(number)s, 'School', %(school)s)"),
    Write("taggings", row="tagging"),
    Write("classrooms", values="(school_id, name, created_at, updated_at) VALUES (%(school)s, 'new', now(), now())"),
    Write("classrooms", row="classroom", change="name = name || '!'"),
    Write("classrooms", row="classroom", change="name = name"),  # touched, and says the same
    Write("classroom_students", values="VALUES (%(classroom)s, %(student)s)"),
    Write("classroom_students", values="VALUES (%(classroom_elsewhere)s, %(student)s)"),  # he is shared from now on
    Write("students", row="student", change="last_name = 'Löwe' || %(number)s"),
    Write("student_sessions", values="(student_id, started_at) VALUES (%(student)s, now())"),
    Write("student_sessions", row="student_session"),
    Write("users", row="teacher", change="last_name = 'Married' || %(number)s"),
)
OF_ONE_SCHOOL = tuple(write for write in MASTER if "elsewhere" not in write.values)  # of master's
SHARD = (
    Write(
        "enrollments",
        values="(classroom_id, student_id, created_at, updated_at) VALUES (%(classroom)s, %(student)s, now(), now())",
    ),
    Write("enrollments", row="enrollment", change="pathway = 'p' || %(number)s"),
    Write("lesson_enrollments", row="lesson_enrollment", change="status = 's' || %(number)s"),
    Write("attempts", values="(lesson_enrollment_id, created_at) VALUES (%(lesson_enrollment)s, now())"),
    Write("hint_views", values="(attempt_id, created_at) VALUES (%(attempt)s, now())"),
    Write("hint_views", row="hint_view"),
)
POOLS: Mapping[str, Mapping[str, str]] = {
    "master": {
        "tagging": "SELECT id FROM taggings WHERE taggable_type = 'School' AND taggable_id = %(school)s",
        "classroom": "SELECT id FROM classrooms WHERE school_id = %(school)s",
        "classroom_elsewhere": "SELECT id FROM classrooms WHERE school_id <> %(school)s",
        "student": "SELECT student_id FROM classroom_students JOIN classrooms ON id = classroom_id"
        " WHERE school_id = %(school)s",
        "student_session": "SELECT s.id FROM student_sessions s JOIN classroom_students cs USING (student_id)"
        " JOIN classrooms c ON c.id = cs.classroom_id WHERE c.school_id = %(school)s",
        "teacher": "SELECT user_id FROM school_assignments WHERE school_id = %(school)s",
    },
    "shard": {
        "enrollment": "SELECT id FROM enrollments WHERE classroom_id = ANY(%(classroom)s)",
        "lesson_enrollment": "SELECT id FROM lesson_enrollments WHERE enrollment_id = ANY(%(enrollment)s)",
        "attempt": "SELECT id FROM attempts WHERE lesson_enrollment_id = ANY(%(lesson_enrollment)s)",
        "hint_view": "SELECT id FROM hint_views WHERE attempt_id = ANY(%(attempt)s)",
    },
}


class Writer(threading.Thread):
    """Writes to one database until stopped; `changes` are those that the server confirmed as committed."""

    def __init__(
        self, dsn: str, writes: Sequence[Write], pools: Mapping[str, list[int]], seed: str, may_begin: Look
    ) -> None:
        super().__init__()
        self._may_begin = may_begin
        self.changes: list[Change] = []
        self.turned_away = 0
        self.failure: BaseException | None = None
        self._dsn, self._pools = dsn, pools
        self._choice = random.Random(seed)
        self._writes = self._choice.sample(writes, self._choice.randint(1, len(writes)))
        self._pace = self._choice.choice(PACES)
        self._enough = threading.Event()
        self.ready = threading.Event()

    def run(self) -> None:
        """One transaction after the other, once it may begin."""
        link = psycopg2.connect(self._dsn, application_name="hammer")
        try:
            with link.cursor() as cursor:
                cursor.execute(f"{oracle.SETTINGS}; SET lock_timeout = '5s'")
                link.commit()
                self.ready.set()
                while not self._enough.wait(POLL) and not self._may_begin():
                    pass
                while not self._enough.wait(self._choice.random() * self._pace):
                    self._transaction(link, cursor)
        except BaseException as error:
            self.failure = error
        finally:
            link.close()

    def stop(self) -> None:
        """End it and wait until it has ended."""
        self._enough.set()
        self.join()
        if self.failure:
            raise self.failure

    def _transaction(self, link: psycopg2.extensions.connection, cursor: Cursor) -> None:
        try:
            change = self._write(cursor, self._choice.choice(self._writes))
            link.commit()
        except psycopg2.Error:
            link.rollback()
            self.turned_away += 1
        else:
            self.changes += [change] if change else []

    def _write(self, cursor: Cursor, write: Write) -> Change | None:
        chosen = {name: self._choice.choice(ids) for name, ids in self._pools.items() if ids}
        chosen["number"] = self._choice.randrange(1000)
        if write.values:
            place = _place(cursor, f"INSERT INTO {write.table} {write.values} RETURNING ctid::text", chosen)
            return write.table, None, _line(cursor, write.table, place)
        if write.row not in chosen:
            return None
        which = f"WHERE id = %({write.row})s"
        place = _place(cursor, f"SELECT ctid::text FROM {write.table} {which} FOR UPDATE", chosen)
        if not place:
            return None
        old = _line(cursor, write.table, place)
        if not write.change:
            cursor.execute(f"DELETE FROM {write.table} {which}", chosen)
            return write.table, old, None
        place = _place(cursor, f"UPDATE {write.table} SET {write.change} {which} RETURNING ctid::text", chosen)
        return write.table, old, _line(cursor, write.table, place)


def _place(cursor: Cursor, query: str, chosen: Mapping[str, int]) -> str:
    cursor.execute(query, chosen)
    found = cursor.fetchone()
    return str(found[0]) if found else ""


def _line(cursor: Cursor, table: str, place: str) -> bytes:
    line = BytesIO()
    cursor.copy_expert(f"COPY (SELECT t.* FROM {table} t WHERE t.ctid = '{place}'::tid) TO STDOUT", line)
    assert line.getvalue().count(b"\n") == 1
    return line.getvalue()


@dataclass(frozen=True, kw_only=True)
class Hammer:
    """The writers at a school, by database."""

    writers: Mapping[str, Writer]

    @property
    def writes(self) -> int:
        """The number of committed writes."""
        return sum(len(writer.changes) for writer in self.writers.values())

    def deleted(self, database: str, table: str) -> Counter[bytes]:
        """Return the rows of a table that existed and were deleted."""
        changes = self.writers[database].changes
        return Counter(old for name, old, new in changes if name == table and old and not new)

    def after(self, before: Snapshot) -> Snapshot:
        """Return all tables as they would be without any other writer."""
        tables = {database: dict(rows) for database, rows in before.tables.items()}
        for database, writer in self.writers.items():
            for table in {change[0] for change in writer.changes}:
                rows = Counter(tables[database][table])
                for _, old, new in (change for change in writer.changes if change[0] == table):
                    rows.update([new] if new else [])
                    rows.subtract([old] if old else [])
                assert min(rows.values()) >= 0, f"the writers' books of {table} do not balance"
                tables[database][table] = sorted(rows.elements())
        return Snapshot(tables=tables, sequences=before.sequences)


@contextmanager
def hammering(
    world: World,
    school: int,
    shard: str,
    seed: int,
    master: Sequence[Write] = MASTER,
    activity: Sequence[Write] = SHARD,
) -> Iterator[Hammer]:
    """Writers at a school's rows while the block runs: every third seed from the start, others once its rows go."""
    pools, early = _pools(world, school, shard), seed % 3 == 0
    with _watch(world, school) as deleting:
        writers = {
            database: Writer(
                world.dsns[database], writes, pools, f"{seed} {database}", (lambda: True) if early else deleting
            )
            for database, writes in (("master", master), (shard, activity))
        }
        for writer in writers.values():
            writer.start()
            writer.ready.wait()
        try:
            yield Hammer(writers=writers)
        finally:
            for writer in writers.values():
                writer.stop()


@contextmanager
def _watch(world: World, school: int) -> Iterator[Look]:
    """Yield a check: True if the school's rows are being verified and deleted, which is the moment that matters."""
    link, one_at_a_time = psycopg2.connect(world.dsns["master"]), threading.Lock()
    link.autocommit = True

    def deleting() -> bool:
        with one_at_a_time, link.cursor() as cursor:
            cursor.execute("SELECT state FROM archiver.archives WHERE kind = 'tenant' AND key = %s::text", (school,))
            return cursor.fetchall() in ([("deleting",)], [("archived",)])

    try:
        yield deleting
    finally:
        link.close()


def _pools(world: World, school: int, shard: str) -> dict[str, list[int]]:
    pools: dict[str, list[int]] = {"school": [school]}
    for kind, queries in POOLS.items():
        link = psycopg2.connect(world.dsns["master" if kind == "master" else shard])
        try:
            with link.cursor() as cursor:
                for name, query in queries.items():
                    cursor.execute(query, {**pools, "school": school})
                    pools[name] = sorted({row[0] for row in cursor.fetchall() if row[0] is not None})
        finally:
            link.close()
    return pools
