"""The property: only rows that may go are deleted, the archive holds the tenant's rows, and all come back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from archiver.runs.context import ArchiveOutcome
from inventory.keys import Key
from tests import oracle
from tests.oracle import Snapshot
from tests.properties.databases import Line, build, standing
from tests.properties.expected import belonging, leaving, leaving_together
from tests.properties.product import MASTER, SHARD, Product, Row
from tests.torture import judge
from tests.worlds import World, same


def out_and_back(shared_world: World, product: Product, catalog_file: Path) -> None:
    """One tenant out and back, then several out and back in another order, then out at once; judged after each step."""
    built = build(shared_world, product, catalog_file)
    with standing(built.world) as world:
        trial = Trial(world, product, built.lines)
        trial.archive(product.run.out[0])
        trial.restore(product.run.out[0])
        for tenant in product.run.out:
            trial.archive(tenant)
        for tenant in product.run.back:
            trial.restore(tenant)
        if world.goes_in_sets(depth=product.run.depth):
            trial.archive_together(product.run.out)
            for tenant in product.run.back:
                trial.restore(tenant)
        assert trial.live == set(product.rows)


class Trial:
    """A product, and what must be live in it at this moment."""

    def __init__(self, world: World, product: Product, lines: Mapping[Row, Line]) -> None:
        self.world, self.product, self.lines = world, product, lines
        self.before = oracle.snapshot(world.dsns)
        self.live = set(product.rows)
        self.archived: dict[Key, set[Row]] = {}

    def archive(self, tenant: Key) -> None:
        """Archive a tenant, and assert that its rows are gone and its tarball holds just what belongs to it."""
        mine = belonging(self.product, self.live, tenant)
        goes = leaving(self.product, self.live, tenant)
        [outcome] = self.world.archive(tenant, depth=self.product.run.depth)
        self.live -= goes
        self.archived[tenant] = mine
        self._counts(outcome, mine, goes)
        self._holds(tenant, mine)
        self.assert_live()

    def archive_together(self, tenants: Sequence[Key]) -> None:
        """Archive tenants in a set, and not one by one: no foreign key may forbid the order of deletion."""
        mine = {tenant: belonging(self.product, self.live, tenant) for tenant in tenants}
        goes, strategies = leaving_together(self.product, self.live, tenants), list[str]()
        outcomes = self.world.archive_together(*tenants, depth=self.product.run.depth, on_strategy=strategies.append)
        assert not any(strategy.startswith("one by one") for strategy in strategies), strategies
        self.live -= goes
        self.archived |= mine
        deleted: Counter[str] = Counter()
        for outcome in outcomes:
            assert outcome.detail is not None
            deleted += Counter(outcome.detail.deleted)
            had = Counter(row.table for row in mine[outcome.item])
            assert had == Counter(outcome.detail.deleted) + Counter(outcome.detail.retained), outcome
            self._holds(outcome.item, mine[outcome.item])
        assert deleted == Counter(row.table for row in goes), deleted
        self.assert_live()

    def restore(self, tenant: Key) -> None:
        """Restore a tenant, and assert that its rows are live beside those that were."""
        mine = self.archived.pop(tenant)
        [restored] = self.world.restore(tenant)
        came = Counter(row.table for row in mine - self.live)
        loaded = restored.result()
        assert came == {name: one.inserted for name, one in loaded.items() if one.inserted}, (came, loaded)
        assert not any(one.replaced or one.differing for one in loaded.values()), loaded
        self.live |= mine
        self.assert_live()

    def assert_live(self) -> None:
        """Assert that every row of every table, and every sequence, is what it was, but the rows that are away."""
        away = self._said(set(self.product.rows) - self.live)
        same(_without(self.before, away), oracle.snapshot(self.world.dsns))

    def _counts(self, outcome: ArchiveOutcome, mine: Collection[Row], goes: Collection[Row]) -> None:
        assert outcome.detail is not None
        deleted, kept = outcome.detail.deleted, outcome.detail.retained
        went, had = (Counter(row.table for row in rows) for rows in (goes, mine))
        assert went == {name: rows for name, rows in deleted.items() if rows}, (went, deleted)
        assert had - went == kept, (had - went, kept)
        assert not outcome.detail.appeared, outcome.detail.appeared

    def _holds(self, tenant: Key, mine: Collection[Row]) -> None:
        [(_, location)] = judge.books(self.world, tenant).records
        stored = judge.stored(self.world.environment.store, location)
        expected = {key: Counter[bytes]() for key in stored.rows}
        for row in mine:
            database = row.place if self.product.tables[row.table].database == SHARD else MASTER
            key = (database, self.product.tables[row.table].name)
            expected[key] += stored.shown(key, Counter([self.lines[row].text]))
        assert stored.rows == expected

    def _said(self, rows: Iterable[Row]) -> Mapping[tuple[str, str], Counter[bytes]]:
        """Rows as the oracle reads them; what lies in a partition is seen in its table as well."""
        lines: dict[tuple[str, str], Counter[bytes]] = {}
        for row in rows:
            line = self.lines[row]
            for table in {self.product.tables[row.table].name, line.leaf}:
                lines.setdefault((row.place, table), Counter())[line.text] += 1
        return lines


def _without(before: Snapshot, lines: Mapping[tuple[str, str], Counter[bytes]]) -> Snapshot:
    tables = {
        database: {
            table: sorted((Counter(rows) - lines.get((database, table), Counter())).elements())
            for table, rows in each.items()
        }
        for database, each in before.tables.items()
    }
    return Snapshot(tables=tables, sequences=before.sequences)
