"""A column on its way through migrations: what is known of its values, and the SQL that carries them; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archiver.postgres.session import SQL, Composable, Identifier, Literal


@dataclass(frozen=True, kw_only=True)
class MigratedColumn:
    """What is known of a column between two migrations."""

    origin: str | None = None  # the archived column; None: a migration made it
    type: str | None = None  # as archived; None: an expression made the value
    labels: tuple[str, ...] | None = None  # of an enum, as they are called by now
    not_null: bool = False
    mapped: bool = False  # by a fill or a convert, whose values are a person's word


@dataclass(frozen=True, kw_only=True)
class ColumnStep:
    """A column from one side of a migration to the other."""

    name: str  # after
    old: str | None  # before; None: there was none
    before: MigratedColumn = field(default_factory=MigratedColumn)
    convert: str | None = None
    fill: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)  # of its enum, before: after

    @property
    def after(self) -> MigratedColumn:
        """What is known of it after the migration."""
        if self.convert is not None:
            return MigratedColumn(origin=self.before.origin, mapped=True)
        labels = self.before.labels and tuple(self.labels.get(label, label) for label in self.before.labels)
        return replace(self.before, labels=labels, mapped=self.before.mapped or self.fill is not None)

    @property
    def value(self) -> Composable:
        """Its value after the migration, as text, in the words of the columns before."""
        if self.convert is not None:
            values = [_text(self.convert)]
        else:
            values = [self._relabelled(Identifier(self.old))] if self.old is not None else []
        if self.fill is not None:
            values.append(_text(self.fill))
        return values[0] if len(values) == 1 else SQL("coalesce({})").format(SQL(", ").join(values))

    def _relabelled(self, value: Composable) -> Composable:
        known = {old: new for old, new in sorted(self.labels.items()) if old in (self.before.labels or ())}
        if not known:
            return value
        cases = (SQL("WHEN {} THEN {}").format(Literal(old), Literal(new)) for old, new in known.items())
        return SQL("CASE {} {} ELSE {} END").format(value, SQL(" ").join(cases), value)


def _text(expression: str) -> Composable:
    return SQL("({})::text").format(SQL(expression))
