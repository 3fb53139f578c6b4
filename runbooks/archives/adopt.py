"""Archives that no record names, taken back into the ledger: the task `inv archive.adopt`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from invoke.exceptions import Exit

from archiver.checks.unrecorded import unrecorded
from archiver.format import encryption
from archiver.postgres.databases import Databases
from archiver.records import adopted
from archiver.runs.adopt import Write, adopter
from archiver.runs.adopt import adopt as adopt_all
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of, spool_folder
from archiver.store.bucket import Bucket
from errors import ExitCode
from inventory.model import Environment, Role
from runbooks.cli.options import ACTS, IDENTITY, Option
from runbooks.cli.outcomes import Results
from runbooks.cli.tables import show
from runbooks.cli.task import task
from runbooks.cli.text import adoptions

ACCEPT = Option(name="accept", help="write what is shown without it into the ledger", default=False)


@task("archive.adopt", ACCEPT, IDENTITY, *ACTS, runs_on=Role.DEBUG)
def adopt(environment: Environment, accept: bool, identity: str) -> None:
    """Show which archives of the store no record names; with `--accept`, record them: after master was set back."""
    bucket, keys = Bucket(environment.store), encryption.keys(environment.store.recipients, identity)
    with _opened(environment, accept, identity) as (databases, write), databases.exclusive_lock():
        differences = unrecorded(bucket, databases)
        words = adoptions.AdoptionWords(verb="adopted" if accept else "would be adopted")
        results = Results(words, len(differences.objects), items=differences.objects)
        resources = adopter(databases, bucket, keys, spool_folder(), environment.zone, differences.objects)
        show(adoptions.missing_lines(differences.records))
        results.settle(adopt_all(resources, write, results.show))
    if differences.records:
        raise Exit(code=ExitCode.FAILED)


@contextmanager
def _opened(environment: Environment, accept: bool, identity: str) -> Iterator[tuple[Databases, Write]]:
    """Yield the databases, and what is done with an adoption: it is written, or it is only shown."""
    if accept:
        with open_archiver(environment, "archive.adopt --accept", identity=identity) as archiver:
            databases = archiver.databases
            adopted.skip_known_ids(databases.master, [databases.session(name) for name in databases.shards])
            yield databases, partial(adopted.adopt, databases.master)
    else:
        with databases_of(environment, "archive.adopt") as databases:
            yield databases, lambda adoption: None


tasks = (adopt,)
