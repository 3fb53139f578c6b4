"""Archives encrypted to today's recipients: the task `inv archive.reencrypt`."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.kinds import registry
from archiver.records import resolve
from archiver.records.placement_history import shard_of
from archiver.runs.context import Archiver
from archiver.runs.kind import ArchiveOfKind
from archiver.runs.reencrypt import reencrypt as reencrypt_all
from archiver.runs.setup import archiver as open_archiver
from inventory.model import Environment, Role
from runbooks.cli.options import ACTS, ARCHIVE_OR_ALL, IDENTITY, YEAR, Option
from runbooks.cli.outcomes import Results
from runbooks.cli.task import task
from runbooks.cli.text import archives

ALL = Option(
    name="all",
    help="every archive, of all years unless --year names one; also past months' and purges'",
    default=False,
)


@task("archive.reencrypt", ARCHIVE_OR_ALL, ALL, YEAR, IDENTITY, *ACTS, example="13", runs_on=Role.DEBUG)
def reencrypt(environment: Environment, school: str | None, year: int | None, identity: str) -> None:
    """Encrypt archives anew, to the inventory's present recipients; objects already in the store stay there."""
    with open_archiver(environment, f"archive.reencrypt {school or '--all'}", identity=identity) as archiver:
        if school is None:
            _reencrypt_all(archiver, year)
        else:
            _reencrypt_one(archiver, school, year)


def _reencrypt_all(archiver: Archiver, year: int | None) -> None:
    with archiver.databases.exclusive_lock():
        _reencrypt(archiver, registry.openable(archiver.databases.master, year))


def _reencrypt_one(archiver: Archiver, school: str, year: int | None) -> None:
    if school.startswith(registry.LOCATION):
        with archiver.databases.exclusive_lock():
            _reencrypt(archiver, [registry.chosen(archiver.databases, school, year, resolve.one_to_restore)])
        return
    record = resolve.one_to_restore(archiver.databases, archiver.databases.key_typed(school), year)
    with archiver.databases.tenant_lock(record.tenant_id, shard_of(archiver.databases, record)):
        _reencrypt(archiver, [registry.archive_of(archiver.databases.master, record.id)])


def _reencrypt(archiver: Archiver, of_kinds: Sequence[ArchiveOfKind]) -> None:
    words = archives.reencrypt_words(archiver.model.tenant.noun)
    results = Results(words, len(of_kinds), items=of_kinds, alone=len(of_kinds) == 1)
    results.settle(reencrypt_all(archiver, of_kinds, results.show))


tasks = (reencrypt,)
