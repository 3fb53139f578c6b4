"""Mistakes in the catalog's activity rules, and live tables that do not fit them."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.activity_rules import Rules, condition_of, mistakes
from archiver.catalog.model import Model, TableName
from archiver.completeness.stale_entries import Lives
from archiver.postgres.schema import Table

MOMENTS = ("timestamp", "date")  # how the type of a date or timestamp column begins


def activity_mistakes(model: Model, lives: Lives) -> Iterator[str]:
    """Yield every problem with its path. Columns are checked only in databases that have the table."""
    wrong = list(mistakes(model))
    if wrong:
        yield from wrong
        return
    rules = Rules(model=model)
    for name, live in lives[rules.database].items() if model.catalog.activity else ():
        for table in rules.tables:
            if shape := live.tables.get(table.table):
                yield from _misfits(rules, table, shape, f" on {name}" if len(lives[rules.database]) > 1 else "")


def _misfits(rules: Rules, table: TableName, shape: Table, where: str) -> Iterator[str]:
    columns = {column.name: column.type for column in shape.columns}
    if not shape.primary_key:
        yield f"activity: {table} has no primary key{where}: its deleted rows could not be recorded"
    if rule := rules.ended.get(table):
        if not columns.get(rule.ended, "").startswith(MOMENTS):
            yield f"activity/{table.table}/ended: expected a date or timestamp column{where}, got {rule.ended!r}"
        if (condition := condition_of(rule)) and condition[0] not in columns:
            yield f"activity/{table.table}/where: there is no {table}.{condition[0]}{where}"
