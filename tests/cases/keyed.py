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
    customers: Sequence[Key]  # of the type of the last column

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
        on = ", ".join(f"desk_{name}" for name, _ in self.columns)
        sticks = f"({on}) = desks.({own})" if len(self.columns) > 1 else f"{on} = desks.{own}"
        return f"""
tenant: {{noun: school, table: schools, key: [{own}], title: name, shard: shard,
  customer: {{column: customer_id, table: customers, key: id, title: name}},
  parts: {{room: rooms, user: users, desk: desks}}}}
databases:
  master:
    schools: {{group: school}}
    rooms: {{group: school, found_by: ["{found}"]}}
    desks: {{group: school, found_by: ["{found}"]}}
    stickers: {{group: school, found_by: ["{sticks}"]}}
    memberships: {{group: school, found_by: ["{found}"]}}
    users: {{group: school, found_by: [id = memberships.user_id]}}
  shard:
    visits: {{group: school, found_by: ["{link.format("master.")}"]}}
    notes: {{group: school, found_by: [visit_id = visits.id]}}
depths: {{all: {{start: schools}}}}
excluded: {{master: {{customers: outlive their schools}}}}
activity: {{visits: {{ended: ended_on, takes: [notes]}}}}
"""

    @property
    def _master(self) -> str:
        own = ", ".join(f"{name} {type_} NOT NULL" for name, type_ in self.columns)
        key, referring = ", ".join(name for name, _ in self.columns), self._referring
        names = ", ".join(f"school_{name}" for name, _ in self.columns)
        schools = ", ".join(
            f"({self._values(key)}, 'school {number}', 'shard_1', {self._customer_of(number)})"
            for number, key in enumerate(self.keys, start=1)
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
        desks = ", ".join(
            f"({self._values(self.desk(number))}, {self._values(key)})" for number, key in enumerate(self.keys, start=1)
        )
        desked = enumerate(map(self.desk, range(1, len(self.keys) + 1)), start=1)
        stickers = ", ".join(f"({number}, {self._values(desk)})" for number, desk in desked)
        customers = ", ".join(f"({self._values(each)}, 'of {number}')" for number, each in enumerate(self.customers))
        on = ", ".join(f"desk_{name}" for name, _ in self.columns)
        stuck = ", ".join(f"desk_{name} {type_} NOT NULL" for name, type_ in self.columns)
        return f"""
CREATE TABLE customers (id {self.columns[-1][1]} PRIMARY KEY, name text);
INSERT INTO customers VALUES {customers};
CREATE TABLE schools ({own}, name text, shard text, customer_id {self.columns[-1][1]}, PRIMARY KEY ({key}));
CREATE TABLE rooms (id integer PRIMARY KEY, {referring}, FOREIGN KEY ({names}) REFERENCES schools);
CREATE TABLE desks ({own}, {referring}, PRIMARY KEY ({key}), FOREIGN KEY ({names}) REFERENCES schools);
CREATE TABLE stickers (id integer PRIMARY KEY, {stuck}, FOREIGN KEY ({on}) REFERENCES desks);
CREATE TABLE users (id integer PRIMARY KEY, name text);
CREATE TABLE memberships (
    {referring}, user_id integer REFERENCES users, PRIMARY KEY ({names}, user_id),
    FOREIGN KEY ({names}) REFERENCES schools
);
INSERT INTO schools VALUES {schools};
INSERT INTO rooms VALUES {rooms};
INSERT INTO desks VALUES {desks};
INSERT INTO stickers VALUES {stickers};
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

    def desk(self, number: int) -> Key:
        """Return the key of a school's desk: of the same columns, and every part of it another than the school's."""
        key = self.keys[number - 1]
        parts = [self._other(part, number) for part in (key if isinstance(key, Parts) else (key,))]
        return Parts(parts) if len(parts) > 1 else parts[0]

    def customer_of(self, number: int) -> Key | None:
        """Return a school's customer; the last school has none."""
        return self.customers[number % len(self.customers)] if number < len(self.keys) else None

    def _customer_of(self, number: int) -> str:
        customer = self.customer_of(number)
        return "NULL" if customer is None else self._values(customer)

    def _other(self, part: int | str, number: int) -> int | str:
        if isinstance(part, int):
            return part + 100 * number
        return f"4{part[1:]}" if len(part) == 36 else f'{part}, desk "{number}"'

    def _values(self, key: Key) -> str:
        values = key if isinstance(key, Parts) else (key,)
        return ", ".join("'" + str(value).replace("'", "''") + "'" for value in values)


KEYED = {
    "uuid": Keyed(
        columns=[("id", "uuid")],
        customers=["3f0e4a3c-0000-4000-8000-00000000000c", "3f0e4a3c-0000-4000-8000-00000000000d"],
        keys=["3f0e4a3c-0000-4000-8000-00000000000a", "3f0e4a3c-0000-4000-8000-00000000000b"],
    ),
    "text": Keyed(
        columns=[("id", "text")],
        customers=['Acme, Inc: "A"', "7", "-7"],
        keys=["0042", "42", "A/1", "a/1", "École d'été", '"', "..", "x, y: z", "-1", "100%"],
    ),
    "year and id": Keyed(
        columns=[("syear", "smallint"), ("id", "character varying(20)")],
        customers=["a b", "13"],
        keys=[Parts((2012, "0042")), Parts((2013, "0042")), Parts((2013, "42")), Parts((2013, "a-b"))],
    ),
    "two numbers": Keyed(
        columns=[("syear", "integer"), ("id", "bigint")],
        customers=[5, 9_000_000_000],
        keys=[Parts((2012, 7)), Parts((2013, 7)), Parts((2013, 10)), Parts((2013, 9_000_000_000))],
    ),
}
