"""Which of the rows found are due, and which go together; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, TableName
from archiver.postgres.selection import Key, SelectedRows

Row = tuple[object, ...]
Ended = Mapping[TableName, Collection[Key]]  # identities of the rows that ended in the span


@dataclass(frozen=True, kw_only=True)
class Due:
    """The rows that go. A tree is a row with all that goes below it: it goes whole, or stays whole."""

    rows: Mapping[TableName, SelectedRows]  # tree by tree
    trees: Mapping[TableName, Sequence[int]]  # of each row, the number of its tree
    held_back: Mapping[str, int]  # rows by table that ended, and stay because of rows below them

    @property
    def total(self) -> int:
        """Rows in all."""
        return sum(len(rows.rows) for rows in self.rows.values())

    def batches(self, size: int) -> Iterator[Mapping[TableName, int]]:
        """How many rows of each table go at a time: whole trees, of about so many rows."""
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


def due(rules: Rules, found: Mapping[TableName, SelectedRows], ended: Ended) -> Due:
    """A row is due that ended, with all of its own; with it goes what its table takes.

    A row stays, whatever it says itself, while a row below it has not ended or stays.
    """
    stuck = _stuck(rules, found, ended)
    growing = _Growing(rules, found)
    for table in rules.tables:
        goes = None if table not in rules.ended else set(ended[table]) - stuck[table]
        growing.add(table, goes)
    held = {str(table): len(stuck[table].intersection(ended[table])) for table in rules.ended}
    return Due(
        rows={table: growing.sorted_rows(table) for table in rules.tables},
        trees={table: sorted(growing.trees[table].values()) for table in rules.tables},
        held_back={table: rows for table, rows in held.items() if rows},
    )


def _stuck(rules: Rules, found: Mapping[TableName, SelectedRows], ended: Ended) -> dict[TableName, set[Key]]:
    """The rows that cannot go: not ended, or with such a row somewhere below."""
    stuck: dict[TableName, set[Key]] = {}
    for table in reversed(rules.tables):
        rows = found[table]
        blocked = [(rows.key_of(link.parent_columns), _named(found, link, stuck)) for link in rules.below(table)]
        keys = rows.identities()
        done = ended.get(table, set(keys))  # a table without a rule of its own says nothing against its rows
        stuck[table] = {
            key
            for row, key in zip(rows.rows, keys, strict=True)
            if key not in done or any(key_of(row) in named for key_of, named in blocked)
        }
    return stuck


def _named(found: Mapping[TableName, SelectedRows], link: Link, stuck: Mapping[TableName, set[Key]]) -> set[Key]:
    """The keys of parents above rows that are stuck."""
    rows = found[link.child]
    identity = rows.key_of(rows.identity)
    stay = replace(rows, rows=[row for row in rows.rows if identity(row) in stuck[link.child]])
    return stay.linked_keys(link)


@dataclass
class _Growing:
    """Trees, grown from parents to what is below them."""

    rules: Rules
    found: Mapping[TableName, SelectedRows]
    trees: dict[TableName, dict[Row, int]] = field(default_factory=dict)
    _next: Iterator[int] = field(default_factory=count)

    def add(self, table: TableName, goes: Collection[Key] | None) -> None:
        """Adds the rows of a table that go: these, each where its parent goes or as a tree of its own; without such a
        choice those whose parent goes."""
        rows, parents = self.found[table], self._parents(table)
        identity, links = rows.key_of(rows.identity), [(rows.key_in(link), keys) for link, keys in parents.items()]
        self.trees[table] = {}
        for row in rows.rows:
            tree = next((keys[key] for key_in, keys in links if (key := key_in(row)) in keys), None)
            if goes is None and tree is not None:
                self.trees[table][row] = tree
            elif goes is not None and identity(row) in goes:
                self.trees[table][row] = next(self._next) if tree is None else tree

    def _parents(self, table: TableName) -> dict[Link, dict[Key, int]]:
        """For each link, which key leads into which tree."""
        parents = {}
        for link in self.rules.above(table):
            key_of = self.found[link.parent].key_of(link.parent_columns)
            parents[link] = {key_of(row): tree for row, tree in self.trees[link.parent].items()}
        return parents

    def sorted_rows(self, table: TableName) -> SelectedRows:
        """A table's rows that go, tree by tree."""
        trees = self.trees[table]
        return replace(self.found[table], rows=sorted(trees, key=trees.__getitem__))
