"""Products whose schools have other keys than whole numbers: a uuid, a text, and the year with an id."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inventory.keys import Key, Parts
from tests.cases.products import Product


@dataclass(frozen=True, kw_only=True)
class Keyed:
    """A product of schools with keys of these columns."""

    columns: Sequence[tuple[str, str]]  # each with its type
    keys: Sequence[Key]

    @property
    def product(self) -> Product:
        """Rooms, users that schools share, rows of a shard, and notes that end; the same for each school."""
        return Product(
            tables=self._master, catalog=self._catalog, shards={"shard_1": self._shard, "shard_2": self._empty_shard}
        )

    @property
    def _catalog(self) -> str:
        own = ", ".join(name for name, _ in self.columns)
        referring = ", ".join(f"school_{name}" for name, _ in self.columns)
        link = f"({referring}) = {{}}schools.({own})" if len(self.columns) > 1 else f"{referring} = {{}}schools.{own}"
        found = link.format("")
        return f"""
tenant: {{noun: school, table: schools, key: [{own}], title: name, shard: shard, parts: {{room: rooms}}}}
databases:
  master:
    schools: {{group: school}}
    rooms: {{group: school, found_by: ["{found}"]}}
    memberships: {{group: school, found_by: ["{found}"]}}
    users: {{group: school, found_by: [id = memberships.user_id]}}
  shard:
    visits: {{group: school, found_by: ["{link.format("master.")}"]}}
    notes: {{group: school, found_by: [visit_id = visits.id]}}
depths: {{all: {{start: schools}}}}
activity: {{visits: {{ended: ended_on, takes: [notes]}}}}
"""

    @property
    def _master(self) -> str:
        own = ", ".join(f"{name} {type_} NOT NULL" for name, type_ in self.columns)
        key, referring = ", ".join(name for name, _ in self.columns), self._referring
        names = ", ".join(f"school_{name}" for name, _ in self.columns)
        schools = ", ".join(
            f"({self._values(key)}, 'school {number}', 'shard_1')" for number, key in enumerate(self.keys, start=1)
        )
        rooms = ", ".join(
            f"({number * 10 + room}, {self._values(key)})"
            for number, key in enumerate(self.keys, start=1)
            for room in (1, 2)
        )
        users = ", ".join(f"({number}, 'user {number}')" for number in range(len(self.keys) + 1))
        members = ", ".join(
            f"({self._values(key)}, {user})" for number, key in enumerate(self.keys, start=1) for user in (0, number)
        )
        return f"""
CREATE TABLE schools ({own}, name text, shard text, PRIMARY KEY ({key}));
CREATE TABLE rooms (id integer PRIMARY KEY, {referring}, FOREIGN KEY ({names}) REFERENCES schools);
CREATE TABLE users (id integer PRIMARY KEY, name text);
CREATE TABLE memberships (
    {referring}, user_id integer REFERENCES users, PRIMARY KEY ({names}, user_id),
    FOREIGN KEY ({names}) REFERENCES schools
);
INSERT INTO schools VALUES {schools};
INSERT INTO rooms VALUES {rooms};
INSERT INTO users VALUES {users};
INSERT INTO memberships VALUES {members};
ANALYZE;
"""

    @property
    def _shard(self) -> str:
        visits = ", ".join(
            f"({number * 10 + day}, {self._values(key)}, '2014-0{day}-15')"
            for number, key in enumerate(self.keys, start=1)
            for day in (1, 6)
        )
        return (
            f"{self._empty_shard} INSERT INTO visits VALUES {visits};"
            " INSERT INTO notes SELECT id * 10 + place, id FROM visits, generate_series(1, 2) place; ANALYZE;"
        )

    @property
    def _empty_shard(self) -> str:
        return (
            f"CREATE TABLE visits (id integer PRIMARY KEY, {self._referring}, ended_on date);"
            " CREATE TABLE notes (id integer PRIMARY KEY, visit_id integer REFERENCES visits);"
        )

    @property
    def _referring(self) -> str:
        return ", ".join(f"school_{name} {type_} NOT NULL" for name, type_ in self.columns)

    def _values(self, key: Key) -> str:
        values = key if isinstance(key, Parts) else (key,)
        return ", ".join("'" + str(value).replace("'", "''") + "'" for value in values)


KEYED = {
    "uuid": Keyed(
        columns=[("id", "uuid")],
        keys=["3f0e4a3c-0000-4000-8000-00000000000a", "3f0e4a3c-0000-4000-8000-00000000000b"],
    ),
    "text": Keyed(
        columns=[("id", "text")],
        keys=["0042", "42", "A/1", "a/1", "École d'été", '"', "..", "x, y: z", "-1", "100%"],
    ),
    "year and id": Keyed(
        columns=[("syear", "smallint"), ("id", "character varying(20)")],
        keys=[Parts((2012, "0042")), Parts((2013, "0042")), Parts((2013, "42")), Parts((2013, "a-b"))],
    ),
    "two numbers": Keyed(
        columns=[("syear", "integer"), ("id", "bigint")],
        keys=[Parts((2012, 7)), Parts((2013, 7)), Parts((2013, 10)), Parts((2013, 9_000_000_000))],
    ),
}
