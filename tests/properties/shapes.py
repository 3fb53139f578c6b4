"""Random tables, and by which columns a row of one names a row of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.properties.product import MASTER, SHARD, Column, Link
from tests.properties.values import KEYS, KINDS, OTHER_WIDTH

MOST_TABLES = 12
TABLE_NAMES = ("t1", "T1", "user", "Order", "group", "t2", "classes", "t3", "t4", "t5", "t6", "t7", "accounts")
ODD_NAMES = ("two words", 'quo"te', "a.b", "näme", "per%cent", "it's", "%s")
KEY_NAMES = (("id",), ("ID",), ("key",), ("copy",), ("x", "y"), ("y", "x"))
KEY_TYPES = ("bigint", "bigint", "integer", *KEYS)
# The tenants' own table has such a key, too: simple ones first.
ROOT_KEYS = (("id",), ("id",), ("x", "y"), ("y", "x"))
ROOT_TYPES = ("bigint", "bigint", "integer", "uuid", "text", "character varying(12)")
QUIET = ("", "DEFERRABLE INITIALLY DEFERRED")
ACTIONS = (*QUIET, "ON DELETE CASCADE", "ON DELETE SET NULL")


@dataclass(kw_only=True)
class Sketch:
    """A table while it is being drawn."""

    database: str
    name: str
    own: tuple[Column, ...]  # by which its rows are named; may be none
    declared: str = ""  # PRIMARY KEY or UNIQUE
    key: tuple[str, ...] = ()  # over these
    refs: list[Column] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)  # column that says where another leads: its type
    carried: bool = True

    @property
    def path(self) -> str:
        """Its name in these tests: `master.t1`."""
        return f"{self.database}.{self.name}"

    @property
    def own_names(self) -> tuple[str, ...]:
        """The columns by which its rows are named."""
        return tuple(column.name for column in self.own)

    def refer(self, types: Sequence[str], *, nullable: bool) -> tuple[str, ...]:
        """Add columns that name something; their names."""
        first = len(self.refs)
        names = tuple(f"ref{first + number}" for number in range(len(types)))
        pairs = zip(names, types, strict=True)
        self.refs += [Column(name=name, type=kind, nullable=nullable) for name, kind in pairs]
        return names


@dataclass(frozen=True, kw_only=True)
class Ref:
    """Columns of one table that name rows of another; a foreign key says so where it can hold."""

    holder: Sketch
    columns: tuple[str, ...]
    target: Sketch
    where: tuple[str, str] | None = None  # a column of the holder, and the value with which they name this target
    foreign_key: str | None = None  # its words

    def down(self, *, finds: bool = True) -> Link:
        """Return the link by which the holder's rows are found from the rows that they reference."""
        columns, key = self.columns, self.target.own_names
        return Link(self.holder.path, columns, self.target.path, key, self.where, finds)

    def up(self, *, finds: bool = True) -> Link:
        """Return the link by which rows are found from the holder's rows that reference them."""
        return Link(self.target.path, self.target.own_names, self.holder.path, self.columns, None, finds)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Tables and what leads where, without a row."""

    shards: tuple[str, ...]
    sketches: tuple[Sketch, ...]  # the tenants' table first, and those beside the catalog
    refs: tuple[Ref, ...]
    alike: tuple[tuple[Sketch, str], ...]  # columns that hold one of a few words
    links: tuple[Link, ...]


@st.composite
def shapes(draw: DrawFn) -> Shape:
    """Up to twelve carried tables over master and shards, and some beside them."""
    return Shaping(draw).shape()


class Shaping:
    """Draws one shape, table after table; each is found by tables before it."""

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw
        self.shards: tuple[str, ...] = draw(st.sampled_from([(), ("shard_1",), ("shard_1", "shard_2")]))
        self.sketches: list[Sketch] = []
        self.outside: list[Sketch] = []
        self.refs: list[Ref] = []
        self.alike: list[tuple[Sketch, str]] = []
        self.links: list[Link] = []

    def shape(self) -> Shape:
        """The tenants' table, then the others, then what leads to no tenant's rows."""
        self.sketches.append(self._root())
        for _ in range(self.draw(st.integers(1, MOST_TABLES - 1))):
            self._add_table()
        for _ in range(self.draw(st.integers(0, 2))):
            self._add_pointer()
        self._rename_leaves()
        return Shape(
            shards=self.shards,
            sketches=(*self.sketches, *self.outside),
            refs=tuple(self.refs),
            alike=tuple(self.alike),
            links=tuple(dict.fromkeys(self.links)),
        )

    def _root(self) -> Sketch:
        names = self.draw(st.sampled_from(ROOT_KEYS))
        own = tuple(self._numbered(name, self.draw(st.sampled_from(ROOT_TYPES))) for name in names)
        root = _keyed(MASTER, "accounts", own, "PRIMARY KEY")
        if self.draw(st.booleans()):
            customers = _keyed(MASTER, "customers", (Column(name="id", type="bigint"),), "PRIMARY KEY")
            customers.carried = False
            self.outside.append(customers)
            root.refs.append(Column(name="customer", type="bigint"))
            self.refs.append(self._ref(root, ("customer",), customers, ACTIONS))
        return root

    def _add_table(self) -> None:
        table, earlier = self._table(), list(self.sketches)
        for _ in range(self.draw(st.sampled_from([1, 1, 1, 2, 3]))):
            self._lead(self.draw(st.sampled_from(earlier)), table)
        self.sketches.append(table)
        if table.own and self._one_in(4):
            self._lead_within(table)
        if table.own and self._one_in(4):
            self._need(table, earlier)
        if not table.own and table.refs and self._one_in(2):
            table.declared, table.key = "PRIMARY KEY", tuple(column.name for column in table.refs)
            table.refs[:] = [Column(name=one.name, type=one.type, nullable=False) for one in table.refs]

    def _table(self) -> Sketch:
        database = self.draw(st.sampled_from([MASTER, SHARD])) if self.shards else MASTER
        taken = {table.name for table in self.sketches if table.database == database}
        name = self.draw(st.sampled_from([name for name in TABLE_NAMES if name not in taken]))
        if self._one_in(5):
            return Sketch(database=database, name=name, own=())
        names = self.draw(st.sampled_from(KEY_NAMES))
        own = tuple(self._numbered(one, self.draw(st.sampled_from(KEY_TYPES))) for one in names)
        declared = self.draw(st.sampled_from(["PRIMARY KEY", "PRIMARY KEY", "UNIQUE", ""]))
        return _keyed(database, name, own, declared)

    def _numbered(self, name: str, kind: str) -> Column:
        ways = ["", "serial", "ALWAYS", "BY DEFAULT"] if kind in ("smallint", "integer", "bigint") else [""]
        return Column(name=name, type=kind, nullable=False, numbered=self.draw(st.sampled_from(ways)))

    def _lead(self, parent: Sketch, child: Sketch) -> None:
        """Let rows of an earlier table lead to rows of this one, in one of four ways."""
        ways = [*(["down"] * 4 + ["typed"] if parent.own else []), *(["up"] * 2 if child.own else []), "alike"]
        match self.draw(st.sampled_from(ways)):
            case "down":
                ref = self._add_ref(child, parent)
                self.links.append(ref.down())
            case "typed":
                self._lead_typed(parent, child)
            case "up":
                ref = self._add_ref(parent, child)
                self.links.append(ref.up())
            case _:
                self._lead_alike(parent, child)

    def _lead_typed(self, parent: Sketch, child: Sketch) -> None:
        """Let the child reference rows of several tables, with a column that says which."""
        columns = child.refer([column.type for column in parent.own], nullable=True)
        kind = self.draw(st.sampled_from(list(KINDS)))
        child.kinds[column := f"kind{len(child.kinds)}"] = kind
        types = [column.type for column in parent.own]
        alike = [table for table in self.sketches if [column.type for column in table.own] == types]
        for value in KINDS[kind][:2]:
            ref = Ref(holder=child, columns=columns, target=parent, where=(column, value))
            self.refs.append(ref)
            self.links.append(ref.down())
            parent = self.draw(st.sampled_from(alike))

    def _lead_alike(self, parent: Sketch, child: Sketch) -> None:
        """Let rows of both tables hold one of a few words: each leads to many, and many lead to each."""
        [here], [there] = (table.refer(["text"], nullable=True) for table in (child, parent))
        self.alike += [(child, here), (parent, there)]
        self.links.append(Link(child.path, (here,), parent.path, (there,)))

    def _lead_within(self, table: Sketch) -> None:
        """Rows below rows of the same table, or rows before rows."""
        ref = self._add_ref(table, table)
        self.links.append(self.draw(st.sampled_from([ref.down(), ref.up()])))

    def _need(self, table: Sketch, earlier: Sequence[Sketch]) -> None:
        """Let rows that do not lead to this table's keep them alive: of a table beside the catalog, or in it."""
        holder = self.draw(st.sampled_from([None, table, *earlier]))
        if holder is None:
            database = self.draw(st.sampled_from([MASTER, SHARD])) if self.shards else MASTER
            holder = Sketch(database=database, name=f"beside{len(self.outside)}", own=(), carried=False)
            self.outside.append(holder)
        ref = self._add_ref(holder, table)
        self.links.append(ref.up(finds=False))

    def _add_pointer(self) -> None:
        """A column that names a row and leads nowhere, but its foreign key may close a circle."""
        holder = self.draw(st.sampled_from(self.sketches))
        targets = [table for table in self.sketches if table.own and table.database == holder.database]
        if targets:
            self._add_ref(holder, self.draw(st.sampled_from(targets)), actions=QUIET)

    def _rename_leaves(self) -> None:
        """A table that leads nowhere stands in no link's text, and may be called anything."""
        names = self.draw(st.permutations(ODD_NAMES))
        for name, table in zip(names, self.sketches[1:], strict=False):
            if not any(link.parent == table.path for link in self.links) and self._one_in(3):
                old, table.name = table.path, name
                self.links = [replace(link, child=table.path) if link.child == old else link for link in self.links]

    def _add_ref(self, holder: Sketch, target: Sketch, actions: Sequence[str] = ACTIONS) -> Ref:
        types = [self.draw(st.sampled_from([one.type, OTHER_WIDTH.get(one.type, one.type)])) for one in target.own]
        columns = holder.refer(types, nullable=self.draw(st.booleans()))
        ref = self._ref(holder, columns, target, actions)
        self.refs.append(ref)
        return ref

    def _ref(self, holder: Sketch, columns: tuple[str, ...], target: Sketch, actions: Sequence[str]) -> Ref:
        possible = target.declared and holder.database == target.database
        words = self.draw(st.sampled_from([None, *(actions if holder.carried else QUIET)])) if possible else None
        return Ref(holder=holder, columns=columns, target=target, foreign_key=words)

    def _one_in(self, many: int) -> bool:
        # The last number: a simpler product does without.
        return self.draw(st.integers(1, many)) == many


def _keyed(database: str, name: str, own: tuple[Column, ...], declared: str) -> Sketch:
    key = tuple(column.name for column in own) if declared else ()
    return Sketch(database=database, name=name, own=own, declared=declared, key=key)
