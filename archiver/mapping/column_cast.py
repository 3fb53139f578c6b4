"""A column through the migrations: what is known of its values, and the SQL that converts them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archiver.postgres.session import SQL, Composable, Identifier, Literal


@dataclass(frozen=True, kw_only=True)
class MigratedColumn:
    """The properties of a column between two migrations."""

    origin: str | None = None  # the archived column; None: a migration made it
    type: str | None = None  # as archived; None: an expression made the value
    labels: tuple[str, ...] | None = None  # of an enum, with their names after the migrations so far
    not_null: bool = False
    mapped: bool = False  # by a fill or a convert: a person's SQL, whose values only the rows can show


@dataclass(frozen=True, kw_only=True)
class ColumnStep:
    """A column before and after one migration."""

    name: str  # after
    old: str | None  # before; None: there was none
    before: MigratedColumn = field(default_factory=MigratedColumn)
    convert: str | None = None
    fill: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # of its enum, before: after

    @property
    def after(self) -> MigratedColumn:
        """The column after the migration."""
        if self.convert is not None:
            return MigratedColumn(origin=self.before.origin, mapped=True)
        labels = self.before.labels and tuple(self.labels.get(label, label) for label in self.before.labels)
        return replace(self.before, labels=labels, mapped=self.before.mapped or self.fill is not None)

    @property
    def value(self) -> Composable:
        """SQL: its value after the migration, as text, from the columns before."""
        if self.convert is not None:
            values = [_text(self.convert)]
        else:
            values = [self._relabelled(Identifier(self.old))] if self.old is not None else []
        if self.fill is not None:
            values.append(_text(self.fill))
        return values[0] if len(values) == 1 else SQL("coalesce({})").format(SQL(", ").join(values))

    def _relabelled(self, value: Composable) -> Composable:
        renamed = {old: new for old, new in sorted(self.labels.items()) if old in (self.before.labels or ())}
        if not renamed:
            return value
        cases = (SQL("WHEN {} THEN {}").format(Literal(old), Literal(new)) for old, new in renamed.items())
        return SQL("CASE {} {} ELSE {} END").format(value, SQL(" ").join(cases), value)


def _text(expression: str) -> Composable:
    return SQL("({})::text").format(SQL(expression))
