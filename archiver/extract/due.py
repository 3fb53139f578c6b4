"""The selected rows that are due, and the trees that are archived together. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, TableName
from archiver.postgres.selection import Key, SelectedRows

Row = tuple[object, ...]
Ended = Mapping[TableName, Collection[Key]]  # identities of the rows that ended in the time span


@dataclass(frozen=True, kw_only=True)
class Due:
    """The rows to archive. A tree is a row with all due rows below it: all of it is archived, or none."""

    rows: Mapping[TableName, SelectedRows]  # tree by tree
    trees: Mapping[TableName, Sequence[int]]  # for each row, the number of its tree
    held_back: Mapping[str, int]  # by table: rows that ended, but stay because of rows below them

    @property
    def total(self) -> int:
        """The total number of rows."""
        return sum(len(rows.rows) for rows in self.rows.values())

    def batches(self, size: int) -> Iterator[Mapping[TableName, int]]:
        """Yield the number of rows per table for each batch: complete trees, about `size` rows in all."""
        of_tree: dict[int, Counter[TableName]] = {}
        for table, numbers in self.trees.items():
            for number in numbers:
                of_tree.setdefault(number, Counter())[table] += 1
        batch: Counter[TableName] = Counter()
        for number in sorted(of_tree):
            if batch and batch.total() + of_tree[number].total() > size:
                yield batch
                batch = Counter()
            batch += of_tree[number]
        if batch:
            yield batch


def due(rules: Rules, selected: Mapping[TableName, SelectedRows], ended: Ended) -> Due:
    """Return the rows that ended, grouped into trees; with a row go the rows below it, by the catalog's rules.

    A row stays, even if it ended, while a row below it has not ended or stays.
    """
    stuck = _stuck(rules, selected, ended)
    trees = _Trees(rules, selected)
    for table in rules.tables:
        roots = None if table not in rules.ended else set(ended[table]) - stuck[table]
        trees.add(table, roots)
    held_back = {str(table): len(stuck[table].intersection(ended[table])) for table in rules.ended}
    return Due(
        rows={table: trees.sorted_rows(table) for table in rules.tables},
        trees={table: sorted(trees.numbers[table].values()) for table in rules.tables},
        held_back={table: rows for table, rows in held_back.items() if rows},
    )


def _stuck(rules: Rules, selected: Mapping[TableName, SelectedRows], ended: Ended) -> dict[TableName, set[Key]]:
    """Return the identities of the rows that stay: not ended, or with such a row somewhere below."""
    stuck: dict[TableName, set[Key]] = {}
    for table in reversed(rules.tables):
        rows = selected[table]
        blocked = [(rows.key_of(link.parent_columns), _named(selected, link, stuck)) for link in rules.below(table)]
        keys = rows.identities()
        done = ended.get(table, set(keys))  # a table without a rule of its own keeps no row back
        stuck[table] = {
            key
            for row, key in zip(rows.rows, keys, strict=True)
            if key not in done or any(key_of(row) in named for key_of, named in blocked)
        }
    return stuck


def _named(selected: Mapping[TableName, SelectedRows], link: Link, stuck: Mapping[TableName, set[Key]]) -> set[Key]:
    """Return the keys of parents above rows that stay."""
    rows = selected[link.child]
    identity = rows.key_of(rows.identity)
    stay = replace(rows, rows=[row for row in rows.rows if identity(row) in stuck[link.child]])
    return stay.linked_keys(link)


@dataclass
class _Trees:
    """Trees of rows, built from parents downward."""

    rules: Rules
    selected: Mapping[TableName, SelectedRows]
    numbers: dict[TableName, dict[Row, int]] = field(default_factory=dict)  # the tree of each row
    _next: Iterator[int] = field(default_factory=count)

    def add(self, table: TableName, roots: Collection[Key] | None) -> None:
        """Add rows of a table: `roots`, each to its parent's tree or as a new tree. None: all rows with a parent in a
        tree."""
        rows, parents = self.selected[table], self._parents(table)
        identity, links = rows.key_of(rows.identity), [(rows.key_in(link), keys) for link, keys in parents.items()]
        self.numbers[table] = {}
        for row in rows.rows:
            tree = next((keys[key] for key_in, keys in links if (key := key_in(row)) in keys), None)
            if roots is None and tree is not None:
                self.numbers[table][row] = tree
            elif roots is not None and identity(row) in roots:
                self.numbers[table][row] = next(self._next) if tree is None else tree

    def _parents(self, table: TableName) -> dict[Link, dict[Key, int]]:
        """Return, for each link to a parent, the tree of each parent key."""
        parents = {}
        for link in self.rules.above(table):
            key_of = self.selected[link.parent].key_of(link.parent_columns)
            parents[link] = {key_of(row): tree for row, tree in self.numbers[link.parent].items()}
        return parents

    def sorted_rows(self, table: TableName) -> SelectedRows:
        """Return a table's rows, tree by tree."""
        numbers = self.numbers[table]
        return replace(self.selected[table], rows=sorted(numbers, key=numbers.__getitem__))
