"""Archive one school with the steps of the tool of 2013, in a separate process; prints its seconds as JSON."""

from __future__ import annotations

import json
import sys
import tarfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import md5
from pathlib import Path
from tempfile import TemporaryDirectory

from archiver.postgres.session import SQL, Identifier, Literal, Session, connect
from archiver.store.bucket import Bucket, file_digests
from bench.peers.old_tables import DELETE_MASTER, ENROLLMENT, OF_CLASSROOM, OF_SCHOOL, OF_STUDENT
from bench.peers.paths import PATHS
from inventory.load import load
from inventory.model import Environment

COLUMNS = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
 WHERE attrelid = ('public.' || %s)::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""
ARCHIVE = "2013_school_{}.tar.gz"


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The resources of the tool."""

    master: Session
    shard: Session
    local: Mapping[str, Session]  # master and shard
    bucket: Bucket
    work: Path
    columns: dict[tuple[str, str], str] = field(default_factory=dict)

    def columns_of(self, database: str, table: str) -> str:
        """Return the columns that COPY may write, queried once per table."""
        if (database, table) not in self.columns:
            self.columns[database, table] = self.local[database].row(COLUMNS, (table,))[0]
        return self.columns[database, table]


def archive(desk: Desk, school: int) -> None:
    """Run the steps in order."""
    rooms = _ids(desk, "SELECT id FROM classrooms WHERE school_id = %s ORDER BY 1", school)
    listed = "SELECT student_id FROM classroom_students WHERE classroom_id = ANY(%s) ORDER BY 1"
    students = sorted(set(_ids(desk, listed, rooms)))
    _dump(desk, "master", OF_SCHOOL, school)
    for room in rooms:
        _dump(desk, "master", OF_CLASSROOM, room)
    for student in students:
        _dump(desk, "master", OF_STUDENT, student)
        _dump(desk, "shard", ENROLLMENT, student)
    packed = _pack(desk, school)
    md5(packed.read_bytes()).hexdigest()
    desk.bucket.put(f"old/{school}.tar.gz", packed, file_digests(packed))
    _restore(desk, school)
    _delete(desk, school, rooms, students)


def _ids(desk: Desk, query: str, what: object) -> list[int]:
    return [row[0] for row in desk.master.rows(query, (what,))]


def _dump(desk: Desk, database: str, tables: Mapping[str, str], key: int) -> None:
    session: Session = getattr(desk, database)
    for table, query in tables.items():
        columns = ", ".join(f"t.{column}" for column in desk.columns_of(database, table).split(", "))
        chosen = query.replace("t.*", columns).format(id=key)
        with (desk.work / f"{database}.{table}").open("ab") as file:
            session.copy_out(SQL(chosen), file, doing="copying out")


def _pack(desk: Desk, school: int) -> Path:
    packed = desk.work / ARCHIVE.format(school)
    with tarfile.open(packed, "w:gz", compresslevel=6) as tar:
        for file in sorted(desk.work.glob("*.*")):
            if file != packed:
                tar.add(file, file.name)
    return packed


def _restore(desk: Desk, school: int) -> None:
    """Restore from the store into the local databases, and roll back."""
    fetched = desk.work / "fetched"
    desk.bucket.get(f"old/{school}.tar.gz", fetched)
    with ExitStack() as opened:
        for session in desk.local.values():
            opened.enter_context(session.rolled_back())
        tar = opened.enter_context(tarfile.open(fetched))
        for name in tar.getnames():
            _load(desk, tar, *name.split("."))


def _load(desk: Desk, tar: tarfile.TarFile, database: str, table: str) -> None:
    """Load a table's file; a user of both the school and a classroom is in it twice."""
    source = tar.extractfile(f"{database}.{table}")
    assert source is not None
    session, columns = desk.local[database], SQL(desk.columns_of(database, table))
    stage, target = Identifier(f"loaded_{table}"), Identifier("public", table)
    session.execute(SQL("CREATE TEMP TABLE {} AS SELECT {} FROM {} LIMIT 0").format(stage, columns, target))
    session.copy_in(SQL("{} ({})").format(stage, columns), source, doing="loading")
    insert = SQL("INSERT INTO {} ({columns}) OVERRIDING SYSTEM VALUE SELECT {columns} FROM {} ON CONFLICT DO NOTHING")
    session.execute(insert.format(target, stage, columns=columns))


def _delete(desk: Desk, school: int, rooms: list[int], students: list[int]) -> None:
    """Delete the shard's rows, children first, then master's; rows still referenced by others stay."""
    with desk.shard.transaction():
        for path in reversed(list(PATHS.values())):
            chosen = path.of_classrooms(", ".join(map(str, rooms))).replace("t.*", "t.id")
            desk.shard.execute(SQL("DELETE FROM {} WHERE id IN ({})").format(Identifier(path.table), SQL(chosen)))
    with desk.master.transaction():
        for statement in DELETE_MASTER:
            whose = SQL(statement).format(school=Literal(school), rooms=Literal(rooms), students=Literal(students))
            desk.master.execute(whose)


def _desk(environment: Environment, school: int, work: Path) -> Desk:
    def session(database: str) -> Session:
        opened = connect(connection | {"dbname": database}, name="bench: the old way")
        opened.execute("SET search_path TO public")
        return opened

    connection = dict(environment.master.connection)
    master = session("master")
    return Desk(
        master=master,
        shard=session(master.row("SELECT shard FROM schools WHERE id = %s", (school,))[0]),
        local={"master": session("local_master"), "shard": session("local_shard")},
        bucket=Bucket(environment.store),
        work=work,
    )


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        desk = _desk(load("rehearsal"), int(sys.argv[1]), Path(folder))
        began = time.monotonic()
        archive(desk, int(sys.argv[1]))
        json.dump({"school_seconds": time.monotonic() - began}, sys.stdout)
