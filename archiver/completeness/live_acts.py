"""Triggers and rules of a live database: they act by themselves when rows of a table are written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from archiver.catalog.model import Model, TableName
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session

Acts = Mapping[tuple[str, str], bool]  # by table and name: True if it acts in our sessions


@dataclass(frozen=True, kw_only=True)
class LiveActs:
    """The user triggers and rules of the product's tables. A partition counts as its table."""

    triggers: Acts = field(default_factory=dict)
    rules: Acts = field(default_factory=dict)


def read_acts(session: Session) -> LiveActs:
    """Read them in two queries."""
    triggers = session.rows(_TRIGGERS, (NAMESPACE,), doing="reading the triggers")
    rules = session.rows(_RULES, (NAMESPACE,), doing="reading the rules")
    return LiveActs(
        triggers={(table, name): acts for table, name, acts in triggers},
        rules={(table, name): acts for table, name, acts in rules},
    )


def unknown_acts(model: Model, kind: str, acts: LiveActs) -> Iterator[str]:
    """Yield triggers and rules unknown to the catalog: what they do to other rows is in no archive."""
    for (table, name), acts_here in acts.triggers.items():
        entry = model.catalog_entry(TableName(kind, table))
        if acts_here and entry is not None and name not in {**entry.triggers, **entry.quiet}:
            yield (
                f"{kind}.{table}: the trigger {name} would fire. "
                f"Add to databases/{kind}/{table}: triggers: {{{name}: <why it does no harm>}}, "
                f"or quiet: {{{name}: <why it must not>}}"
            )
    for (table, name), acts_here in acts.rules.items():
        entry = model.catalog_entry(TableName(kind, table))
        if acts_here and entry is not None and name not in entry.rules:
            yield (
                f"{kind}.{table}: the rule {name} would act. "
                f"Drop it, or add to databases/{kind}/{table}: rules: {{{name}: <why it does no harm>}}"
            )


# Our sessions run with session_replication_role = origin, in which a trigger that is ENABLE REPLICA does not fire,
# nor a rule.
_TRIGGERS = """
SELECT c.relname, t.tgname, bool_or(t.tgenabled IN ('O', 'A'))
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = coalesce(pg_partition_root(t.tgrelid), t.tgrelid)
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND NOT t.tgisinternal
 GROUP BY c.relname, t.tgname ORDER BY c.relname, t.tgname
"""
_RULES = """
SELECT c.relname, r.rulename, bool_or(r.ev_enabled IN ('O', 'A'))
  FROM pg_rewrite r
  JOIN pg_class t ON t.oid = r.ev_class AND t.relkind IN ('r', 'p')
  JOIN pg_class c ON c.oid = coalesce(pg_partition_root(t.oid), t.oid)
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s
 GROUP BY c.relname, r.rulename ORDER BY c.relname, r.rulename
"""
