"""Obstacles of a load, found by staging everything beside the live rows and rolling back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from archiver.completeness.recheck import unknown
from archiver.load.forbidden_rows import ForbiddenRows, forbidden_rows
from archiver.load.load import IncomingArchive, Loaded, lost_tables, sharable
from archiver.load.missing_references import MissingReference, missing_references
from archiver.load.sequences import too_low_for_rows
from archiver.load.staged import Staged
from archiver.load.staging import differing, missing, stage_rows
from archiver.load.unique_conflicts import UniqueConflict, unique_conflicts
from archiver.postgres.session import DatabaseError
from errors import RefusedError

_REJECTED = "23"  # the SQLSTATE class of rows that a constraint rejects


Refusal = UniqueConflict | MissingReference | ForbiddenRows | RefusedError | str


@dataclass(frozen=True, kw_only=True)
class LiveComparison:
    """The archived rows compared with the live ones."""

    tables: Mapping[str, Loaded]  # rows to load and rows already live, by table
    taken: tuple[UniqueConflict, ...] = ()
    missing: tuple[MissingReference, ...] = ()
    forbidden: tuple[ForbiddenRows | str, ...] = ()  # rows, and what would act on loaded rows
    sequences: tuple[RefusedError, ...] = ()  # those that would assign ids twice

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """All that a load would be refused for; missing references without a foreign key are accepted."""
        return (*self.refused_rows, *self.sequences)

    @property
    def refused_rows(self) -> tuple[Refusal, ...]:
        """The same without sequences, for a load before which they are advanced."""
        return (*self.taken, *(each for each in self.missing if each.reference.enforced), *self.forbidden)


def compare_with_live(incoming: IncomingArchive, retained: Collection[str] | None = None) -> LiveComparison:
    """Stage every table beside the live rows, compare, and roll back.

    `retained` are the archived tables of which rows stayed live: no row of the others can be, shared ones aside, so a
    live row with the primary key of one is in its way. None: rows of any table may be live.
    """
    return compare_together([(incoming, retained)])[0]


def compare_together(archives: Sequence[tuple[IncomingArchive, Collection[str] | None]]) -> list[LiveComparison]:
    """Compare archives that are loaded together, each as `compare_with_live` does: rows may refer to one another's."""
    compared = [_Comparing() for _ in archives]
    databases = dict.fromkeys(database for incoming, _ in archives for database in incoming.mappings)
    for database in databases:
        with archives[0][0].placement.sessions[database].rolled_back():
            staged = _staged_together([incoming for incoming, _ in archives], database)
            for number, (incoming, retained) in enumerate(archives):
                if database in incoming.mappings:
                    others = [*staged[:number], *staged[number + 1 :]]
                    compared[number].add(incoming, database, staged[number], retained, others)
    return [each.comparison for each in compared]


def _staged_together(archives: Sequence[IncomingArchive], database: str) -> list[dict[str, Staged]]:
    """Stage the tables of a database of each archive; none of one that lacks it."""
    staged: list[dict[str, Staged]] = []
    for each in archives:
        tables = each.mappings[database].tables if database in each.mappings else ()
        session, first = each.placement.sessions[database], sum(map(len, staged))
        staged.append(stage_rows(session, tables, each.model, each.archive, first))
    return staged


@dataclass(kw_only=True)
class _Comparing:
    """The comparison of an archive, database by database."""

    tables: dict[str, Loaded] = field(default_factory=dict)
    taken: list[UniqueConflict] = field(default_factory=list)
    missing: list[MissingReference] = field(default_factory=list)
    forbidden: list[ForbiddenRows | str] = field(default_factory=list)
    sequences: list[RefusedError] = field(default_factory=list)

    @property
    def comparison(self) -> LiveComparison:
        """All of it."""
        return LiveComparison(
            tables=self.tables,
            taken=tuple(self.taken),
            missing=tuple(self.missing),
            forbidden=tuple(self.forbidden),
            sequences=tuple(self.sequences),
        )

    def add(
        self,
        incoming: IncomingArchive,
        database: str,
        staged: dict[str, Staged],
        retained: Collection[str] | None,
        others: Sequence[Mapping[str, Staged]],
    ) -> None:
        """Add what comparing one database finds; `others` are the tables of the archives that are loaded with it."""
        session, schema = incoming.placement.sessions[database], incoming.placement.schemas[database]
        self.tables |= lost_tables(incoming, database)
        self.tables |= {str(table.table): _would_be(incoming, database, table) for table in staged.values()}
        unshared = [] if retained is None else _unshared(incoming, database, retained)
        self.taken += unique_conflicts(session, staged, unshared)
        self.missing += missing_references(session, staged, schema, incoming.model, others)
        self.forbidden += (*forbidden_rows(session, staged), *unknown(session, incoming.model, database))
        self.sequences += too_low_for_rows(session, staged.values())


@contextmanager
def refused_by_rows(subject: str, hint: str, archives: Iterable[IncomingArchive]) -> Iterator[None]:
    """If a constraint rejects rows of these archives in the block, raise RefusedError with every row in conflict.

    The block rolls its transactions back: the rows are compared in new ones.
    """
    try:
        yield
    except DatabaseError as error:
        if not error.code.startswith(_REJECTED):
            raise
        incoming = list(archives)
        refusals = _refusals(incoming, None) or _refusals(incoming, ())
        if not refusals:
            raise
        raise RefusedError(f"{subject} refused: {'; '.join(map(str, refusals))}.", hint=hint) from error


def _refusals(archives: Iterable[IncomingArchive], retained: Collection[str] | None) -> list[Refusal]:
    comparisons = compare_together([(archive, retained) for archive in archives])
    return [refusal for comparison in comparisons for refusal in comparison.refusals]


def _unshared(incoming: IncomingArchive, database: str, retained: Collection[str]) -> list[str]:
    """Return the tables of which no archived row can be live."""
    shared = sharable(incoming.model, incoming.placement.schemas)
    return [
        table.target.table
        for table in incoming.mappings[database].tables
        if table.target not in shared and str(table.source) not in retained
    ]


def _would_be(incoming: IncomingArchive, database: str, table: Staged) -> Loaded:
    session = incoming.placement.sessions[database]
    came, other = missing(session, table), len(differing(session, table))
    return Loaded(inserted=came, there=table.rows - came - other, differing=other, lost=table.lost)
