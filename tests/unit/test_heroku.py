"""The databases of an app at Heroku: found by its config vars, or a sentence that says why not, and no secret in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from errors import CutoverError, ExitCode, Problems, UsageError
from inventory.check import environment_mistakes
from inventory.model import Environment
from inventory.platforms import Heroku
from platforms.heroku import with_databases
from platforms.heroku_api import PATIENCE, retry_after
from runbooks import cutover
from runbooks.cli import environment as cli_environment
from runbooks.engine.model.actions import SqlQuery
from runbooks.engine.model.redactor import MASK, redactor_for
from runbooks.night.live_ports import Databases
from tests import heroku
from tests.fakes import NIGHT, night_plan, rehearsal

VARS = {"master": "DATABASE_URL", **{f"shard_{number}": f"SHARD_{number}_URL" for number in range(1, 5)}}
PASSWORD = "p@ss/word"
CONFIG = {
    var: f"postgres://u{name}:p%40ss%2Fword@{name}.compute.amazonaws.com:5432/d{name}" for name, var in VARS.items()
} | {"RACK_ENV": "staging", "REDIS_URL": "redis://:x@redis:6379"}


@dataclass
class Staging:
    """An environment whose databases an app at Heroku knows, and the pauses that were made in asking it."""

    fake: heroku.Fake
    pauses: list[float] = field(default_factory=list)

    @property
    def environment(self) -> Environment:
        written = rehearsal()
        databases = {
            name: replace(each, connection={"sslmode": "prefer"}, config_var=VARS[name])
            for name, each in written.databases.items()
        }
        return replace(written, databases=databases, heroku=Heroku(app=heroku.APP, endpoint=self.fake.endpoint))

    def found(self) -> Environment:
        return with_databases(self.environment, lambda pause, why: self.pauses.append(pause.total_seconds()))

    def refused(self) -> CutoverError:
        with pytest.raises(CutoverError) as raised:
            self.found()
        told = f"{raised.value} {raised.value.hint}"
        assert not [secret for secret in (heroku.TOKEN, PASSWORD, "p%40ss") if secret in told]
        return raised.value


@pytest.fixture
def staging(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Staging]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HEROKU_API_KEY", heroku.TOKEN)
    with heroku.serving(CONFIG) as fake:
        staging = Staging(fake)
        assert environment_mistakes(staging.environment) == []
        yield staging


def test_each_database_is_at_the_address_in_its_config_var(staging: Staging) -> None:
    found = staging.found()

    assert found.databases["shard_3"].connection == {
        "sslmode": "prefer",
        "host": "shard_3.compute.amazonaws.com",
        "port": "5432",
        "dbname": "dshard_3",
        "user": "ushard_3",
        "password": PASSWORD,
    }
    assert staging.fake.asked == ["/apps/apangea-staging/config-vars: 200"]
    assert redactor_for(found).clean(f"no access with {PASSWORD}") == f"no access with {MASK}"


def test_a_token_of_netrc_serves_where_the_variable_is_not_set(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("HEROKU_API_KEY")
    entry = "machine {} login ann@example.com password {}\n"
    (tmp_path / ".netrc").write_text(entry.format("elsewhere", "of-another") + "default login x password y\n")
    missing = staging.refused()
    (tmp_path / ".netrc").write_text(entry.format("127.0.0.1", heroku.TOKEN))

    assert isinstance(missing, UsageError)
    assert str(missing) == (
        "There is no token for Heroku: HEROKU_API_KEY is not set, and ~/.netrc has no entry for 127.0.0.1."
    )
    assert staging.found().master.connection["dbname"] == "dmaster"
    assert len(staging.fake.asked) == 1  # without a token no request is sent


def test_an_expired_token_is_reported_and_tried_once(staging: Staging, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEROKU_API_KEY", "HRKU-of-last-year")

    error = staging.refused()

    assert str(error) == (
        "Reading the config vars of apangea-staging failed: Heroku rejects the token from HEROKU_API_KEY or "
        "~/.netrc (401 Unauthorized); it may have expired."
    )
    assert (error.exit_code, staging.pauses) == (ExitCode.FAILED, [])


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [
        ([(429, {"Retry-After": "7"})], [7]),
        ([(429, {})], [1]),
        ([(503, {}), (500, {}), (502, {"Retry-After": "0"})], [1, 2, 1]),
        ([(429, {"Retry-After": "59"}), (500, {})], None),  # 59 s and 2 s are more than a minute
        ([(429, {"Retry-After": "3600"})], None),
        ([(503, {})] * 5, None),
    ],
)
def test_a_busy_heroku_is_asked_again_when_it_asks_for_it_and_within_a_minute(
    staging: Staging, answers: list[tuple[int, dict[str, str]]], pauses: list[float] | None
) -> None:
    staging.fake.answers = list(answers)

    if pauses is None:
        error = staging.refused()
        assert f"{answers[-1][0]} " in str(error)
        assert sum(staging.pauses) <= PATIENCE.total_seconds()
    else:
        assert staging.found().master.connection["dbname"] == "dmaster"
        assert staging.pauses == pauses


def test_the_request_and_the_number_of_tries_are_reported(staging: Staging) -> None:
    staging.fake.answers = [(429, {"Retry-After": "3600"}), *[(503, {})] * 5]

    assert "429 Too Many Requests; it requests a pause of 3600 s, and this tool waits 60 s at most" in str(
        staging.refused()
    )
    assert str(staging.refused()).endswith("failed: Heroku answered 503 Service Unavailable, 5 times.")


def test_a_redirect_is_not_followed_with_the_token(staging: Staging) -> None:
    with heroku.serving({}) as elsewhere:
        staging.fake.answers = [(302, {"Location": f"{elsewhere.endpoint}/apps/{heroku.APP}/config-vars"})]

        assert "Heroku answered 302 Found" in str(staging.refused())
        assert elsewhere.asked == []


def test_an_invalid_server_is_reported(staging: Staging) -> None:
    environment = replace(staging.environment, heroku=Heroku(app=heroku.APP, endpoint="http://127.0.0.1:1"))

    with pytest.raises(CutoverError, match=r"http://127\.0\.0\.1:1 could not be reached \(.*refused\), 5 times\."):
        with_databases(environment, lambda pause, why: None)


def test_every_config_var_that_does_not_fit_is_reported_at_once(staging: Staging) -> None:
    config = staging.fake.config
    del config["SHARD_1_URL"]
    config["SHARD_2_URL"] = f"mysql://u:{PASSWORD}@db/x"
    config["SHARD_4_URL"] = config["SHARD_3_URL"]
    config["HEROKU_POSTGRESQL_RED_URL"] = f"postgres://u:{PASSWORD}@db/forgotten"
    config["HEROKU_POSTGRESQL_PINK_URL"] = config["DATABASE_URL"]  # another name of master

    error = staging.refused()

    assert isinstance(error, Problems)
    assert list(error.problems) == [
        "SHARD_1_URL: expected the address of shard_1, got no such config var",
        "SHARD_2_URL: expected the address of shard_2, a URL that begins with postgres://, got something else",
        "SHARD_3_URL and SHARD_4_URL: expected a database each, got one and the same",
        "HEROKU_POSTGRESQL_RED_URL: expected a name for this database in the inventory, got none",
    ]


def test_a_database_may_be_named_as_none_of_this_environments(staging: Staging) -> None:
    staging.fake.config["WAREHOUSE_URL"] = "postgres://u:p@warehouse/x"
    named = Heroku(app=heroku.APP, endpoint=staging.fake.endpoint, others=("WAREHOUSE_URL",))

    assert with_databases(replace(staging.environment, heroku=named), lambda pause, why: None).master.connection


def test_a_run_asks_once_and_a_dry_run_never_but_shows_what_it_would_read(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_environment, "load", lambda name: staging.environment)
    cutover.run(Context(), date="2014-08-15", dry_run=True)
    cutover.plan(Context(), date="2014-08-15")
    asked_dry = list(staging.fake.asked)
    cli_environment.load_environment("staging")

    assert (asked_dry, len(staging.fake.asked)) == ([], 1)
    assert capsys.readouterr().out.count("DATABASE_URL (master), SHARD_1_URL (shard_1)") == 2


def test_a_night_without_known_databases_is_not_begun(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(
        cli_environment, "load", lambda name: replace(staging.environment, state=str(tmp_path / "state"))
    )
    staging.fake.answers = [(401, {})]

    with pytest.raises(Exit) as left:
        cutover.run(Context(), date="2014-08-15")

    assert left.value.code == ExitCode.FAILED
    assert "it may have expired.\nhint: Create a new one: heroku login" in str(left.value.message)
    assert not (tmp_path / "state").exists()  # neither a journal nor a lock


def test_a_night_that_has_begun_goes_on_without_heroku_and_takes_no_other_database(
    staging: Staging, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_environment, "load", lambda name: staging.environment)
    staging.fake.answers = [(401, {})]

    environment = cli_environment.load_environment("staging", addresses=cli_environment.Addresses.WELCOME)

    assert "it may have expired.\nGoing on without the databases" in capsys.readouterr().err
    asked = Databases(environment.databases)
    with pytest.raises(CutoverError, match="the connection names no host, service or dbname"):
        asked.query(SqlQuery(database="master", name="anything", statement="SELECT 1"))


def test_the_plan_is_the_same_before_and_after_heroku_was_asked(staging: Staging) -> None:
    vacuum = {"vacuum.full": "vacuumdb --dbname={dbname}"}
    named = replace(staging.environment, commands={**staging.environment.commands, **vacuum})

    assert night_plan(staging.found()).digest == night_plan(staging.environment).digest
    for environment in (named, replace(named, databases=staging.found().databases)):
        with pytest.raises(Problems, match="its database's connection says no dbname"):
            cutover.plan_of(environment, NIGHT)


def test_a_pause_is_asked_for_in_seconds_or_until_a_date() -> None:
    now = datetime(2014, 8, 15, 22, 0, 0, tzinfo=UTC)

    found = [retry_after(text, now) for text in ("30", "0", "Fri, 15 Aug 2014 22:00:20 GMT", "soon", "9" * 30, None)]

    assert found == [timedelta(seconds=30), timedelta(seconds=1), timedelta(seconds=20), None, None, None]
