"""Expected rows after schools moved to another shard, by positions in rows and by SQL of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tests.oracle import Lines, Snapshot
from tests.worlds import World, sql

SHARD_OF_SCHOOL = 4  # the place of the column in a row of schools
# The places of the ids of a shard's own rows, in each of its tables.
IDS = {
    "enrollments": (0,),
    "lesson_enrollments": (0, 1),
    "attempts": (0, 1),
    "hint_views": (0, 1),
    "placement_tests": (0, 1),
    "placement_attempts": (0, 1),
    "enrollment_activities": (0, 1),
    "enrollment_activity_attemptables": (0, 1),
}
KIND, KIND_ID = 2, 3  # of the last of them
OWN_KIND = b"Attempt"  # the only class whose rows lie in the shard


def after_merging(world: World, before: Snapshot, source: str, target: str) -> Snapshot:
    """All schools of one shard on the other, each with the one number added that its move says."""
    tables = {name: dict(each) for name, each in before.tables.items()}
    for school, plus in moved(world, source, target).items():
        leaving = rows_of(world, before, source, school)
        for table, lines in leaving.items():
            tables[source][table] = sorted((Counter(tables[source][table]) - Counter(lines)).elements())
            tables[target][table] = sorted([*tables[target][table], *(added(table, line, plus) for line in lines)])
        tables["master"]["schools"] = sorted(_pointed(line, school, target) for line in tables["master"]["schools"])
    return Snapshot(tables=tables, sequences=before.sequences)


def moved(world: World, source: str, target: str) -> dict[int, int]:
    """Return the number added to the ids of each school."""
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT key::bigint, (offsets -> 0 ->> 2)::bigint FROM archiver.archives WHERE kind = 'move'"
            " AND shard = %s AND target = %s AND state = 'moved' AND jsonb_array_length(offsets) = 1"
            " ORDER BY id",
            (source, target),
        )
        return dict(cursor.fetchall())


def rows_of(world: World, snapshot: Snapshot, shard: str, school: int) -> Mapping[str, Lines]:
    """A school's rows on a shard in a snapshot, found through the classrooms of today."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s", (school,))
        classrooms = {str(row[0]).encode() for row in cursor.fetchall()}
    tables = snapshot.tables[shard]
    found = {"enrollments": [line for line in tables["enrollments"] if line.split(b"\t")[1] in classrooms]}
    for table, parent in PARENTS.items():
        ids = {line.split(b"\t")[0] for line in found[parent]}
        found[table] = [line for line in tables[table] if line.rstrip(b"\n").split(b"\t")[1] in ids]
    return found


PARENTS = {
    "lesson_enrollments": "enrollments",
    "attempts": "lesson_enrollments",
    "hint_views": "attempts",
    "placement_tests": "enrollments",
    "placement_attempts": "placement_tests",
    "enrollment_activities": "lesson_enrollments",
    "enrollment_activity_attemptables": "enrollment_activities",
}


def added(table: str, line: bytes, plus: int) -> bytes:
    """A row with a number added to each of its ids."""
    cells = line.rstrip(b"\n").split(b"\t")
    places = [*IDS[table]]
    if table == "enrollment_activity_attemptables" and cells[KIND] == OWN_KIND:
        places.append(KIND_ID)
    for place in places:
        if cells[place] != b"\\N":
            cells[place] = str(int(cells[place]) + plus).encode()
    return b"\t".join(cells) + b"\n"


def _pointed(line: bytes, school: int, shard: str) -> bytes:
    cells = line.split(b"\t")
    if cells[0] == str(school).encode():
        cells[SHARD_OF_SCHOOL] = shard.encode()
    return b"\t".join(cells)
