"""Past months of another product: one database, no shards, dates without a time, and keys of several columns."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from errors import Problems
from tests import oracle
from tests.months import Meanwhile, archive_months, restore_months
from tests.worlds import NewWorld, World, same, sql

CATALOG = """
tenant: {noun: company, table: companies, key: id, title: name}
databases:
  master:
    companies: {group: company}
    orders: {group: company, found_by: [company_id = companies.id]}
    order_lines: {group: company, found_by: ["(order_no, part) = orders.(no, part)"]}
depths: {all: {start: companies}}
activity:
  orders: {ended: closed_on, takes: [order_lines]}
"""
TABLES = r"""
CREATE TABLE companies (id integer PRIMARY KEY, name text);
CREATE TABLE orders (
    no text, part integer, company_id integer, closed_on date, PRIMARY KEY (no, part)
);
CREATE TABLE order_lines (order_no text, part integer, place integer, what text, PRIMARY KEY (order_no, part, place));
INSERT INTO companies VALUES (1, 'one'), (2, 'two');
INSERT INTO orders VALUES (E'a\tb\\', 1, 1, '2014-01-31'), (E'a\tb\\', 2, 1, '2014-02-01'), ('c', 1, 2, '-infinity'),
    ('d', 1, 2, NULL), ('e', 1, 3, '2013-12-24'), ('f', 1, NULL, '2014-01-31');
INSERT INTO order_lines SELECT no, part, place, 'x' FROM orders, generate_series(1, 3) place;
"""
DAY, MONTH = date(2014, 3, 5), "2014-01"


def test_a_product_in_one_database_has_its_months_out_and_back(new_world: NewWorld, tmp_path: Path) -> None:
    with new_world(("master",)) as bare:
        world = product(bare, tmp_path)
        before = oracle.snapshot(world.dsns)

        [shard] = archive_months(world, DAY)

        assert orders(world) == {("a\tb\\", 2), ("d", 1)}
        assert shard.deleted == {"master/orders.copy": 4, "master/order_lines.copy": 12}
        restore_months(world, MONTH)
        same(before, oracle.snapshot(world.dsns))


def test_changed_rows_stay_by_their_whole_key(new_world: NewWorld, tmp_path: Path) -> None:
    with new_world(("master",)) as bare:
        world = product(bare, tmp_path)
        before = oracle.snapshot(world.dsns)
        [shard] = archive_months(world, DAY, throttle=Meanwhile(act=lambda: change(world)))

        assert shard.changed == {"master/orders.copy": 1, "master/order_lines.copy": 3}
        assert orders(world) == {("a\tb\\", 1), ("a\tb\\", 2), ("d", 1)}
        restore_months(world, MONTH)
        found = oracle.snapshot(world.dsns)
        assert found.count("master", "order_lines") == before.count("master", "order_lines")


def test_a_table_without_a_key_and_a_text_column_are_refused(new_world: NewWorld, tmp_path: Path) -> None:
    with new_world(("master",)) as bare:
        world = product(bare, tmp_path)
        with sql(world, "master") as cursor:
            cursor.execute("ALTER TABLE order_lines DROP CONSTRAINT order_lines_pkey")
            cursor.execute("ALTER TABLE orders ALTER closed_on TYPE text")
        with pytest.raises(Problems, match=r"activity: master\.order_lines has no primary key") as refused:
            archive_months(world, DAY)
        assert "activity/orders/ended: expected a date or timestamp column, got 'closed_on'" in str(refused.value)


def product(world: World, folder: Path) -> World:
    """Return the other product, beside tables that the catalog does not mention."""
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG)
    with sql(world, "master") as cursor:
        cursor.execute(TABLES)
    return replace(world, environment=replace(world.environment, catalog=str(catalog)))


def orders(world: World) -> set[tuple[str, int]]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT no, part FROM orders")
        return {(no, part) for no, part in cursor.fetchall()}


def change(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE order_lines SET what = 'y' WHERE order_no LIKE 'a%' AND part = 1 AND place = 2")
