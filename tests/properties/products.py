"""The strategy for a whole product: its tables, its rows, its constraints as far as they hold, and a run over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from inventory.keys import Key
from tests.properties.expected import belonging, leaving, reached
from tests.properties.product import Column, ForeignKey, Link, Product, Row, Run, Table
from tests.properties.rows import Filling
from tests.properties.shapes import Ref, Shape, Sketch, shapes
from tests.properties.values import NAMES, PLAIN
from tests.properties.written import quoted

MOST_COLUMNS = 3
BUILT_IN_TEXT = ("text", "character varying(12)")
TEXT = (*BUILT_IN_TEXT, "public.code")
EMPTY = Run(depth="all", out=(), back=())


@st.composite
def products(draw: DrawFn) -> Product:
    """A product, and which tenants go out and come back."""
    shape = draw(shapes())
    plain = {table.path: draw(_plain_columns(table, root=table is shape.sketches[0])) for table in shape.sketches}
    rows = _with_shards(draw, shape, Filling(draw, shape, plain).rows())
    tables = {table.path: draw(_tables(table, plain[table.path], rows, shape)) for table in shape.sketches}
    carried = [path for path, table in tables.items() if table.carried]
    product = Product(
        shards=shape.shards,
        tables=tables,
        written=tuple(draw(st.permutations(carried))),
        links=shape.links,
        foreign_keys=(),
        rows=rows,
        start=draw(st.sampled_from([path for path in carried if _first_of_its_name(path, carried)])),
        stay=(),
        run=EMPTY,
    )
    stay = draw(st.lists(st.sampled_from([tables[path].name for path in carried]), max_size=2))
    product = replace(product, stay=_that_may_stay(product, stay))
    product = replace(product, run=draw(_runs(list(product.tenants))))
    return replace(product, foreign_keys=tuple(_that_hold(product, shape.refs)))


@st.composite
def _plain_columns(draw: DrawFn, table: Sketch, *, root: bool) -> Sequence[Column]:
    taken = {*table.own_names}
    names = draw(
        st.lists(st.sampled_from([name for name in NAMES if name not in taken]), unique=True, max_size=MOST_COLUMNS)
    )
    plain = [Column(name=name, type=draw(st.sampled_from(list(PLAIN))), nullable=draw(st.booleans())) for name in names]
    if root or not table.carried:
        plain = [Column(name="title", type="text"), *plain]
    return plain


def _with_shards(draw: DrawFn, shape: Shape, rows: Sequence[Row]) -> tuple[Row, ...]:
    """Say of each tenant where its activity lies."""
    root = shape.sketches[0].path
    if not shape.shards:
        return tuple(rows)
    return tuple(
        replace(row, cells={**row.cells, "shard": draw(st.sampled_from(shape.shards))}) if row.table == root else row
        for row in rows
    )


@st.composite
def _tables(draw: DrawFn, table: Sketch, plain: Sequence[Column], rows: Sequence[Row], shape: Shape) -> Table:
    kinds = [Column(name=name, type=kind) for name, kind in table.kinds.items()]
    where = [Column(name="shard", type="text", nullable=False)] if shape.shards and table is shape.sketches[0] else []
    columns = draw(st.permutations([*table.own, *table.refs, *kinds, *where, *plain]))
    named = table.key or tuple(column.name for column in (*table.own, *table.refs))
    partitioned = bool(named) and draw(st.integers(1, 5)) == 5
    return Table(
        database=table.database,
        name=table.name,
        columns=(*columns, *draw(_generated(plain))),
        primary_key=table.key if table.declared == "PRIMARY KEY" else (),
        constraints=tuple(_constraints(table, plain, rows, partitioned=partitioned)),
        partitioned_by=named[0] if partitioned else "",
        carried=table.carried,
    )


@st.composite
def _generated(draw: DrawFn, plain: Sequence[Column]) -> Sequence[Column]:
    # PostgreSQL computes no virtual column from a type of ours.
    names = [column.name for column in plain if column.type in BUILT_IN_TEXT]
    if not names or draw(st.booleans()):
        return ()
    how = draw(st.sampled_from(["STORED", "VIRTUAL"]))
    return (Column(name="generated", type="text", generated=f"(upper({quoted(names[0])})) {how}"),)


def _constraints(table: Sketch, plain: Sequence[Column], rows: Sequence[Row], *, partitioned: bool) -> Iterator[str]:
    texts = [column.name for column in plain if column.type in TEXT]
    for name in texts:
        yield f"CHECK ({quoted(name)} IS NULL OR char_length({quoted(name)}) < 1000)"
    if texts and not partitioned and _distinct(rows, table.path, texts[0]):
        yield f"UNIQUE ({quoted(texts[0])})"
    if table.declared == "UNIQUE":
        yield f"UNIQUE ({', '.join(map(quoted, table.key))})"


def _distinct(rows: Sequence[Row], table: str, column: str) -> bool:
    values = [(row.place, value) for row in rows if row.table == table and (value := row.cells[column]) is not None]
    return len(set(values)) == len(values)


@st.composite
def _runs(draw: DrawFn, tenants: Sequence[Key]) -> Run:
    out = draw(st.permutations(tenants))[: draw(st.integers(2, len(tenants)))]
    depth = draw(st.sampled_from(["all", "all", "students"]))
    return Run(depth=depth, out=tuple(out), back=tuple(draw(st.permutations(out))))


def _that_may_stay(product: Product, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the tables that a depth may keep: check-catalog refuses one whose rows refer to rows that go."""
    stay = tuple(name for name in names if name != product.tables[product.start].name)
    while True:
        below = reached(replace(product, stay=stay), "students")[1]
        refer = {
            product.tables[link.child].name
            for link in product.links
            if link.finds and link.parent in below and link.child not in below and not _is_key(product, link)
        }
        if not refer & set(stay):
            return stay
        stay = tuple(name for name in stay if name not in refer)


def _is_key(product: Product, link: Link) -> bool:
    """True if a link's columns are a key of its child, so that the parent's rows refer to the child's."""
    table = product.tables[link.child]
    unique = f"UNIQUE ({', '.join(map(quoted, link.columns))})"
    return link.columns == table.primary_key or unique in table.constraints


def _first_of_its_name(path: str, carried: Sequence[str]) -> bool:
    """True if a depth can start there: it names no database, and means master's table before a shard's."""
    return path.replace("shard.", "master.", 1) == path or path.replace("shard.", "master.", 1) not in carried


def _that_hold(product: Product, refs: Sequence[Ref]) -> Iterator[ForeignKey]:
    """The foreign keys that forbid no step of the run."""
    states = list(states_of(product))
    for ref in refs:
        if ref.foreign_key is not None:
            key = ForeignKey(
                table=ref.holder.path,
                columns=ref.columns,
                target=ref.target.path,
                target_columns=ref.target.own_names,
                words=ref.foreign_key,
            )
            if all(key.holds(state) for state in states) and not _leaves_a_depth(product, key):
                yield key


def _leaves_a_depth(product: Product, key: ForeignKey) -> bool:
    """True if a key deletes or changes rows that a depth keeps: check-catalog refuses it, whatever the rows are."""
    below = [reached(product, depth)[1] for depth in ("all", "students")]
    return "ON DELETE" in key.words and any(key.target in each and key.table not in each for each in below)


def states_of(product: Product) -> Iterator[Sequence[Row]]:
    """The rows that are live: at first, and after each step of the run."""
    live, archived = set(product.rows), dict[Key, set[Row]]()
    yield product.rows
    first = product.run.out[0]
    yield list(live - leaving(product, live, first))
    for tenant in product.run.out:
        archived[tenant] = belonging(product, live, tenant)
        live -= leaving(product, live, tenant)
        yield list(live)
    for tenant in product.run.back:
        live |= archived[tenant]
        yield list(live)
