"""The databases of an environment at Heroku: the address of each is in a config var of its app."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from archiver.postgres.session import keywords
from errors import Problems
from inventory.model import Database, Environment

if TYPE_CHECKING:
    from platforms.heroku_api import Wait

POSTGRES = ("postgres://", "postgresql://")


def with_databases(environment: Environment, wait: Wait) -> Environment:
    """Return the environment with the addresses from its app's config vars; unchanged if it names no app.

    Raises UsageError if there is no token, CutoverError if Heroku does not answer, and Problems with every mismatch
    between the config vars and the inventory's databases.
    """
    heroku = environment.heroku
    if heroku is None:
        return environment
    from platforms.heroku_api import config_vars, token_for  # not at the top: every task comes by here

    values = config_vars(heroku, token_for(heroku), wait)
    if mistakes := [*_misfits(environment, values), *_unnamed(environment, heroku.others, values)]:
        hint = "The inventory names them at databases/…/config_var and at heroku/others."
        raise Problems(f"The config vars of {heroku.app} do not fit the inventory:", mistakes, hint=hint)
    databases = {name: _addressed(database, values) for name, database in environment.databases.items()}
    return replace(environment, databases=databases)


def sources(environment: Environment) -> tuple[str, ...]:
    """Return a sentence with the config vars that would be read; none if the environment names no app."""
    if environment.heroku is None:
        return ()
    named = ", ".join(f"{database.config_var} ({name})" for name, database in _by_config_var(environment))
    return (f"Addresses of databases are read from config vars of the Heroku app {environment.heroku.app}: {named}.",)


def _misfits(environment: Environment, values: Mapping[str, str]) -> Iterator[str]:
    """Yield why a database's address can't be determined; no value is repeated, as each contains a password."""
    holders: defaultdict[tuple[str | None, ...], list[str]] = defaultdict(list)
    for name, database in _by_config_var(environment):
        var = str(database.config_var)
        if var not in values:
            yield f"{var}: expected the address of {name}, got no such config var"
        elif (address := _address(values[var])) is None:
            yield f"{var}: expected the address of {name}, a URL that begins with postgres://, got something else"
        else:
            holders[tuple(address.get(word) for word in ("host", "port", "dbname"))].append(var)
    for variables in holders.values():
        if len(variables) > 1:
            yield f"{' and '.join(variables)}: expected a database each, got one and the same"


def _unnamed(environment: Environment, others: tuple[str, ...], values: Mapping[str, str]) -> Iterator[str]:
    """Yield databases missing in the inventory: a forgotten shard would keep its rows of archived schools."""
    named = {str(database.config_var) for _, database in _by_config_var(environment)}
    addresses = {values.get(var) for var in (*named, *others)}  # Heroku lists one address under several names
    for var, value in sorted(values.items()):
        if value.startswith(POSTGRES) and value not in addresses:
            yield f"{var}: expected a name for this database in the inventory, got none"


def _by_config_var(environment: Environment) -> list[tuple[str, Database]]:
    return [(name, database) for name, database in environment.databases.items() if database.config_var]


def _addressed(database: Database, values: Mapping[str, str]) -> Database:
    """Return the database with its address added to the inventory's connection parameters, such as sslmode."""
    address = _address(values[database.config_var]) if database.config_var else None
    return replace(database, connection={**database.connection, **(address or {})})


def _address(value: str) -> dict[str, str] | None:
    try:
        return keywords(value) if value.startswith(POSTGRES) else None
    except ValueError:
        return None
