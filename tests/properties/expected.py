"""A tenant's rows and those of them that may go, in plain Python over rows: shares no code with the archiver.

The archiver goes table by table and asks of each row whether it may go. Here it is the other way round: what stays
spreads, row by row, from all that is not the tenant's, and from its own rows that the depth does
not reach.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from inventory.keys import Key
from tests.properties.product import MASTER, Product, Row


def belonging(product: Product, live: Collection[Row], tenant: Key) -> set[Row]:
    """The tenant's rows among the live ones: its own, and all that they lead to in master and in its shard."""
    own = product.tenants[tenant]
    near = {row for row in live if row.place in (MASTER, own.cells.get("shard"))}
    return _spread(product, {own}, near, finding=True)


def leaving(product: Product, live: Collection[Row], tenant: Key) -> set[Row]:
    """Those of the tenant's rows that the depth reaches, and to which no row leads that stays."""
    return leaving_together(product, live, [tenant])


def leaving_together(product: Product, live: Collection[Row], tenants: Collection[Key]) -> set[Row]:
    """Return the same for several tenants that leave at once: rows that only they need are deleted with them."""
    mine = {row for tenant in tenants for row in belonging(product, live, tenant)}
    start, below = reached(product, product.run.depth)
    first = {row for row in mine if row.table == start}
    outside = set(live) - mine
    roots = {product.tenants[tenant] for tenant in tenants}
    claimed = _spread(product, outside, mine - roots, finding=False)
    above = {row for row in mine if row.table not in below}
    return mine - _spread(product, claimed | above, mine - first, finding=False)


def reached(product: Product, depth: str) -> tuple[str, set[str]]:
    """Return the table from which a depth deletes, and all tables which it reaches."""
    start, stay = (product.root.path, ()) if depth == "all" else (product.start, product.stay)
    below = {start}
    while (
        more := {
            link.child
            for link in product.links
            if link.finds and link.parent in below and product.tables[link.child].name not in stay
        }
        - below
    ):
        below |= more
    return start, below


def _spread(product: Product, start: set[Row], among: set[Row], *, finding: bool) -> set[Row]:
    """The rows to start from, and all to which those lead among others, however far."""
    reached, ahead = set(start), list(start)
    while ahead:
        for row in _led_to(product, ahead.pop(), among - reached, finding=finding):
            reached.add(row)
            ahead.append(row)
    return reached


def _led_to(product: Product, parent: Row, among: Collection[Row], *, finding: bool) -> Iterator[Row]:
    links = [link for link in product.links if link.parent == parent.table and (link.finds or not finding)]
    for row in among:
        if any(link.child == row.table and link.leads(parent, row) for link in links):
            yield row
