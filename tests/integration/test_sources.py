"""An environment finds its databases by a service file, by its app at Heroku, or by its own settings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from inventory.model import Database, Environment
from inventory.platforms import Heroku
from platforms.heroku import with_databases
from tests import heroku, oracle
from tests.conftest import PASSWORD
from tests.worlds import World, same, school_ids

Source = Callable[[Environment, Path, pytest.MonkeyPatch], Iterator[Environment]]


def by_service_file(environment: Environment, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """Each database is a service, which says all but the password."""
    file = folder / "pg_service.conf"
    file.write_text("".join(_service(name, each.connection) for name, each in environment.databases.items()))
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    databases = {name: replace(each, connection={"service": name}) for name, each in environment.databases.items()}
    yield replace(environment, databases=databases)


def by_heroku(environment: Environment, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Environment]:
    """Each database is a config var, which says the password too."""
    monkeypatch.setenv("HEROKU_API_KEY", heroku.TOKEN)
    with heroku.serving({f"{name.upper()}_URL": _url(each) for name, each in environment.databases.items()}) as fake:
        databases = {
            name: replace(each, connection={}, config_var=f"{name.upper()}_URL")
            for name, each in environment.databases.items()
        }
        app = Heroku(app=heroku.APP, endpoint=fake.endpoint)
        yield with_databases(replace(environment, databases=databases, heroku=app), lambda pause, why: None)


@pytest.mark.parametrize("source", [by_service_file, by_heroku])
def test_a_school_goes_out_and_comes_back(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Source
) -> None:
    before, school = oracle.snapshot(world.dsns), school_ids(world)[0]
    expected = oracle.expected_after_archive(world.dsns, school, "all", before)
    with contextmanager(source)(world.environment, tmp_path, monkeypatch) as environment:
        elsewhere = replace(world, environment=environment)

        elsewhere.archive(school)
        same(expected, oracle.snapshot(world.dsns))

        elsewhere.restore(school)
        same(before, oracle.snapshot(world.dsns))


def _service(name: str, connection: Mapping[str, str]) -> str:
    return "\n".join([f"[{name}]", *(f"{word}={value}" for word, value in connection.items()), ""])


def _url(database: Database) -> str:
    where = database.connection
    return f"postgres://{where['user']}:{quote(PASSWORD)}@{where['host']}:{where['port']}/{where['dbname']}"
