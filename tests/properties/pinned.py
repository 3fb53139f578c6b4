"""Products that came back wrong once, as small as they were found: two tenants, and what it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.properties.product import MASTER, Cells, Column, Link, Product, Row, Run, Table

ID = Column(name="id", type="bigint", nullable=False)
OWNER = Column(name="owner", type="bigint")
TENANTS = Table(database=MASTER, name="accounts", columns=(ID, Column(name="title", type="text")), primary_key=("id",))
SHARDED = Table(**{**vars(TENANTS), "columns": (*TENANTS.columns, Column(name="shard", type="text"))})


def owned(table: str) -> Link:
    """Rows that name their tenant."""
    return Link(table, ("owner",), TENANTS.path, ("id",))


def table(name: str, *columns: Column, key: Sequence[str] = ("id",), database: str = MASTER) -> Table:
    """A carried table."""
    return Table(database=database, name=name, columns=columns, primary_key=tuple(key))


def product(
    tables: Sequence[Table],
    links: Sequence[Link],
    rows: Mapping[str, Sequence[Cells]],
    *,
    start: str = TENANTS.path,
    sharded: bool = False,
) -> Product:
    """Two tenants, 1 and 2, who go out and come back; at the depth `students` where there is a start for it."""
    root = SHARDED if sharded else TENANTS
    more: Cells = {"shard": "shard_1"} if sharded else {}
    own = [Row(table=root.path, place=MASTER, cells={"id": str(number), "title": "", **more}) for number in (1, 2)]
    places = {one.path: MASTER if one.database == MASTER else "shard_1" for one in tables}
    return Product(
        shards=("shard_1",) if sharded else (),
        tables={one.path: one for one in (root, *tables)},
        written=tuple(one.path for one in (root, *tables)),
        links=tuple(links),
        foreign_keys=(),
        rows=(*own, *(Row(table=path, place=places[path], cells=cells) for path in rows for cells in rows[path])),
        start=start,
        stay=(),
        run=Run(depth="all" if start == TENANTS.path else "students", out=(1, 2), back=(1, 2)),
    )


def _keyed_by(kind: str, *values: str) -> Product:
    """Rows of a table with such a key, and rows that name those."""
    name, other = Column(name="name", type=kind, nullable=False), Column(name="other", type=kind)
    keyed, naming = table("keyed", name, OWNER, key=("name",)), table("naming", ID, other)
    return product(
        [keyed, naming],
        [owned(keyed.path), Link(naming.path, ("other",), keyed.path, ("name",))],
        {
            keyed.path: [{"name": value, "owner": "1"} for value in values],
            naming.path: [{"id": str(number), "other": value} for number, value in enumerate(values)],
        },
    )


def _conditional(kind: str, value: str) -> Product:
    """Rows that name a tenant where another column says so, and one where that is NULL."""
    other, kinds = Column(name="other", type="bigint"), Column(name="kind", type=kind)
    tags = table("tags", ID, OWNER, other, kinds)
    links = [Link(tags.path, ("owner",), TENANTS.path, ("id",), ("kind", value))]
    links.append(Link(tags.path, ("other",), TENANTS.path, ("id",)))
    cells: Sequence[Cells] = [
        {"id": "1", "owner": "1", "other": None, "kind": value},
        {"id": "2", "owner": "2", "other": "1", "kind": None},
    ]
    return product([tags], links, {tags.path: cells})


def _met_by_none() -> Product:
    """A row of one tenant that names a row of the other, but for the condition of the link."""
    rooms = table("rooms", ID, OWNER, key=())
    tags = table("tags", ID, OWNER, Column(name="room", type="bigint"), Column(name="kind", type="text"))
    return product(
        [rooms, tags],
        [owned(rooms.path), owned(tags.path), Link(tags.path, ("room",), rooms.path, ("id",), ("kind", "Room"))],
        {
            rooms.path: [{"id": "1", "owner": "1"}, {"id": "2", "owner": "2"}],
            tags.path: [{"id": "1", "owner": "1", "room": "2", "kind": "Planet"}],
        },
    )


def _holding(kind: str, value: str) -> Product:
    """Rows with a value of such a type."""
    things = table("things", ID, OWNER, Column(name="held", type=kind))
    return product([things], [owned(things.path)], {things.path: [{"id": "1", "owner": "1", "held": value}]})


def _wide_ids() -> Product:
    """Ids that have outgrown the columns of old rows that name them."""
    rooms, goals = table("rooms", ID, OWNER), table("goals", ID, Column(name="room", type="integer"))
    return product(
        [rooms, goals],
        [owned(rooms.path), Link(goals.path, ("room",), rooms.path, ("id",))],
        {
            rooms.path: [{"id": str(2**40), "owner": "1"}, {"id": "5", "owner": "1"}],
            goals.path: [{"id": "1", "room": "5"}],
        },
    )


def _dotted() -> Product:
    """A numbered table with a name that only quotes make one."""
    dotted = table("a.b", Column(name="id", type="bigint", nullable=False, numbered="serial"), OWNER)
    return product([dotted], [owned(dotted.path)], {dotted.path: [{"id": "7", "owner": "1"}]})


def _copies() -> Product:
    """Rows without key that two tenants share, with a column that a query might name so, too."""
    notes = table("notes", OWNER, Column(name="copy", type="bigint"), key=())
    also = Link(notes.path, ("copy",), TENANTS.path, ("id",))
    return product(
        [notes], [owned(notes.path), also], {notes.path: [{"owner": "1", "copy": "2"}, {"owner": "1", "copy": "2"}]}
    )


def _needed_in_line() -> Product:
    """Return a product in which a row stays because the other tenant's row references it, and so must another."""
    people = table("people", ID, OWNER, Column(name="helper", type="bigint"))
    need = Link(people.path, ("id",), people.path, ("helper",), None, False)
    cells = [("1", "1", None), ("2", "1", "1"), ("3", "2", "2")]
    return product(
        [people],
        [owned(people.path), need],
        {people.path: [{"id": one, "owner": owner, "helper": helper} for one, owner, helper in cells]},
    )


def _start_shared() -> Product:
    """A depth that starts from rows which two tenants share."""
    seats, rooms = table("seats", ID, OWNER, Column(name="room", type="bigint")), table("rooms", ID)
    return product(
        [seats, rooms],
        [owned(seats.path), Link(rooms.path, ("id",), seats.path, ("room",))],
        {
            rooms.path: [{"id": "7"}, {"id": "8"}],
            seats.path: [
                {"id": "1", "owner": "1", "room": "7"},
                {"id": "2", "owner": "2", "room": "7"},
                {"id": "3", "owner": "1", "room": "8"},
            ],
        },
        start=rooms.path,
    )


def _namesake() -> Product:
    """A shard's table that is called as the tenants' own, with a row that two tenants share."""
    twin = table("accounts", ID, OWNER, Column(name="other", type="bigint"), database="shard")
    links = [Link(twin.path, (name,), TENANTS.path, ("id",)) for name in ("owner", "other")]
    return product([twin], links, {twin.path: [{"id": "1", "owner": "1", "other": "2"}]}, sharded=True)


def _empty_shards() -> Product:
    """Return a product whose shards hold no table of the catalog."""
    rooms = table("rooms", ID, OWNER)
    return product([rooms], [owned(rooms.path)], {rooms.path: [{"id": "1", "owner": "1"}]}, sharded=True)


PINNED = {
    "a key that is a date beyond Python's": _keyed_by("date", "infinity", "0044-03-15 BC", "12014-08-15"),
    "a key that is NaN": _keyed_by("numeric", "NaN", "Infinity", "1.10"),
    "a condition on a boolean": _conditional("boolean", "true"),
    "a condition on padded text": _conditional("character(3)", "a  "),
    "a condition that says None": _conditional("text", "None"),
    "a condition that a row does not meet": _met_by_none(),
    "a domain over an array of an enum": _holding("public.lights", "{on,NULL}"),
    "ids wider than what names them": _wide_ids(),
    "a name with a dot in it": _dotted(),
    "a column that is called copy": _copies(),
    "rows that need rows of their table": _needed_in_line(),
    "a depth that starts from shared rows": _start_shared(),
    "a shard's table that is called as the tenants'": _namesake(),
    "shards without a table of the catalog": _empty_shards(),
}
