"""All that an inventory names, apart from any night: hosts, probes, databases with their grants, store and catalog."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archiver.catalog.model import MASTER, SHARD, Model
from archiver.runs.setup import model_of
from errors import UsageError
from inventory.load import FOLDER
from inventory.model import Database, Environment
from runbooks.archives.catalog import compared
from runbooks.cli.debug_host import own_name
from runbooks.engine.model.preconditions import Precondition, Subject
from runbooks.engine.model.step import Step
from runbooks.preflight import archiving, grants, hosts, probes, servers, services
from runbooks.preflight.local import local
from runbooks.steps.context import NightContext

SCRATCH = "scratch database"


def subjects(night: NightContext, steps: Sequence[Step]) -> tuple[Subject, ...]:
    """Return the subjects of an environment; probes are those of a night's steps, if it has a night."""
    environment, model = night.environment, _model_of(night.environment)
    return (
        *(
            Subject(name=host.name, preconditions=(hosts.is_itself(night, host), hosts.clock(host)))
            for host in environment.hosts.values()
        ),
        *(probes.subjects(steps, environment.probes) if environment.probes else ()),
        *(_database(environment, database, model) for database in environment.databases.values()),
        Subject(name=SCRATCH, preconditions=(grants.may_verify(_scratch(environment)),)),
        services.store(),
        services.archives(night),
        Subject(name="catalog", preconditions=(_catalog(night),)),
    )


def with_scratch(environment: Environment) -> Mapping[str, Database]:
    """Return an environment's databases, and the scratch database among them."""
    return {**environment.databases, SCRATCH: _scratch(environment)}


def _scratch(environment: Environment) -> Database:
    return Database(name=SCRATCH, connection=environment.scratch.connection, pooler=environment.scratch.pooler)


def _database(environment: Environment, database: Database, model: Model | None) -> Subject:
    """Return a database; without a catalog it can't be said on which tables the role needs rights."""
    tables = model.of(MASTER if database.name == MASTER else SHARD) if model else ()
    disabled = any(model.triggers_to_disable(table) for table in tables) if model else False
    granted = grants.granted(database, {table.table for table in tables}, owned=disabled or bool(environment.nights))
    return Subject(name=database.name, preconditions=(*servers.of_archiver(database), granted))


def _model_of(environment: Environment) -> Model | None:
    """Return the catalog's model; None if the catalog has mistakes, which its own look says."""
    try:
        return model_of(environment)
    except UsageError:
        return None


def _catalog(night: NightContext) -> Precondition:
    """Return the check of the catalog, on the host that archives."""
    environment, host = night.environment, night.environment.archiver_host
    if host and own_name(environment) != host.name:
        return archiving.catalog(night, host)
    missing = not (FOLDER / environment.catalog).exists()
    draft = f"inv archive.catalog-draft --root=TABLE --env={environment.name} > inventory/{environment.catalog}"
    advice = draft if missing else f"inv archive.check-catalog --env={environment.name} shows each in a line."
    return local("the catalog has every table", lambda: list(compared(environment))[-1], advice)
