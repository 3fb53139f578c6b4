"""Obstacles of a load, found by staging everything beside the live rows and rolling back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

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
    tables: dict[str, Loaded] = {}
    keys: list[UniqueConflict] = []
    references: list[MissingReference] = []
    forbidden: list[ForbiddenRows | str] = []
    sequences: list[RefusedError] = []
    for database, mapping in incoming.mappings.items():
        session, schema = incoming.placement.sessions[database], incoming.placement.schemas[database]
        with session.rolled_back():
            staged = stage_rows(session, mapping.tables, incoming.model, incoming.archive)
            tables |= lost_tables(incoming, database)
            tables |= {str(table.table): _would_be(incoming, database, table) for table in staged.values()}
            unshared = [] if retained is None else _unshared(incoming, database, retained)
            keys += unique_conflicts(session, staged, unshared)
            references += missing_references(session, staged, schema, incoming.model)
            forbidden += (*forbidden_rows(session, staged), *unknown(session, incoming.model, database))
            sequences += too_low_for_rows(session, staged.values())
    return LiveComparison(
        tables=tables,
        taken=tuple(keys),
        missing=tuple(references),
        forbidden=tuple(forbidden),
        sequences=tuple(sequences),
    )


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
    return [refusal for archive in archives for refusal in compare_with_live(archive, retained).refusals]


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
