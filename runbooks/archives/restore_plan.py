"""The effects of a restore, shown before it does anything: the task `inv restore.plan`."""

from __future__ import annotations

from collections.abc import Iterator

from invoke.exceptions import Exit

from archiver.load.obstacles import LiveComparison
from archiver.mapping.schema_mapping import SchemaMapping, TableMapping
from archiver.records import resolve
from archiver.runs.restore_plan import MonthPlan, RestorePlan
from archiver.runs.restore_plan import plan as look_ahead
from archiver.runs.setup import archiver as open_archiver
from errors import ExitCode
from inventory.load import load_changes
from inventory.model import Environment, Role
from runbooks.cli.options import ACTS, IDENTITY, SCHOOL, YEAR_OF_SEVERAL, Option
from runbooks.cli.task import task
from runbooks.cli.text.archives import counts, losses
from runbooks.engine.live.console import say

MAPPING = Option(
    name="mapping",
    help="a file on the debug host, like inventory/migrations/example.yaml: the last changes, for this one archive",
)


@task("restore.plan", SCHOOL, YEAR_OF_SEVERAL, MAPPING, IDENTITY, *ACTS, example="13", runs_on=Role.DEBUG)
def plan(environment: Environment, school: str, year: int | None, mapping: str, identity: str) -> None:
    """Show what restoring a school would do: the mapping onto today's tables, what is lost, what prevents it."""
    last = load_changes(mapping) if mapping else None
    with open_archiver(environment, f"restore.plan {school}", identity=identity) as archiver:
        record = resolve.one_to_restore(archiver.databases, archiver.databases.key_typed(school), year)
        preview = look_ahead(archiver, record, last)
    for line in plan_lines(archiver.model.tenant.noun, preview):
        say(line)
    if preview.refused:
        raise Exit(code=ExitCode.FAILED)


def plan_lines(noun: str, plan: RestorePlan) -> Iterator[str]:
    """Yield a plan, a line each."""
    into = "" if plan.shard == plan.record.shard else f", into {plan.shard}"
    yield f"{noun} {plan.record.tenant_id} of {plan.record.year}, from {plan.record.shard}{into}"
    for database, mapping in plan.mappings.items():
        yield from _mapping_lines(database, mapping)
    if plan.problems:
        yield "does not fit:"
        yield from (f"  {problem}" for problem in plan.problems)
    if plan.comparison.tables:
        yield from _rows_lines(plan.comparison)
    for month in plan.months:
        yield from _month_lines(month)
    yield "It would be REFUSED." if plan.refused else "It can be restored."


def _month_lines(month: MonthPlan) -> Iterator[str]:
    yield f"month {month.slice.month.month}, {month.slice.deleted_rows:,} rows in {month.slice.month.location}"
    if month.error:
        yield f"  refused: {month.error}"
        yield from (f"  hint: {hint}" for hint in [month.error.hint] if hint)
    yield from (f"  {line}" for line in _rows_lines(month.comparison) if month.comparison.tables)


def _mapping_lines(database: str, mapping: SchemaMapping) -> Iterator[str]:
    moved = [line for table in mapping.tables for line in _table_lines(table)]
    moved += [f"  {table}: its rows are lost ({why})" for table, why in mapping.lost.items()]
    yield f"{database}: {'mapped onto the tables of today' if moved else 'the tables are as they were'}"
    yield from moved


def _table_lines(table: TableMapping) -> Iterator[str]:
    if table.source.table != table.target.table:
        yield f"  {table.target} <- {table.source.table}"
    for column in table.shape.columns:
        origin = table.origins[column.name]
        was = table.archived.type_of(origin) if origin else ""
        if origin is None:
            yield f"  {table.target}.{column.name} <- filled by a migration"
        elif origin != column.name or was != column.type:
            cast = f" ({was} to {column.type})" if was != column.type else ""
            yield f"  {table.target}.{column.name} <- {origin}{cast}"
    for column_name, why in table.lost.items():
        yield f"  {table.source}.{column_name} is lost ({why})"


def _rows_lines(comparison: LiveComparison) -> Iterator[str]:
    tables = comparison.tables
    inserted = sum(table.inserted for table in tables.values())
    yield f"rows: {inserted:,} come back, {_already_live(comparison):,} are live already"
    differing = {name: table.differing for name, table in tables.items() if table.differing}
    if differing:
        yield f"live with other content: {counts(differing)}"
    if losses(tables):
        yield f"lost: {losses(tables)}"
    for taken in comparison.taken:
        yield f"taken: {taken}"
    for forbidden in (*comparison.forbidden, *comparison.sequences):
        yield f"refused: {forbidden}"
    for missing in comparison.missing:
        enforced = missing.reference.enforced
        yield f"missing: {missing}{'' if enforced else ' (no foreign key forbids it: it is restored as it is)'}"


def _already_live(comparison: LiveComparison) -> int:
    return sum(table.there + table.differing for table in comparison.tables.values())
