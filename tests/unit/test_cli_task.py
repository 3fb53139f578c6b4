"""The edge of the tool: arguments parsed strictly, errors reported in a sentence, exit codes as documented."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from functools import partial

import pytest
from invoke.collection import Collection
from invoke.config import Config
from invoke.context import Context
from invoke.exceptions import Exit

import tasks
from errors import AbortedError, CutoverError, ExitCode, LockedError, Problems, UnknownError, UsageError
from runbooks.cli.environment import load_environment
from runbooks.cli.parse import parse_date, parse_id
from runbooks.cli.task import task
from runbooks.engine.model.debts import DebtLeft
from tests.inside import Said, inv_inside


def raising(error: BaseException) -> Exit:
    """Return the exit of a task that raises this error."""

    @task("tests.failing")
    def failing() -> None:
        """Fail."""
        raise error

    with pytest.raises(Exit) as left:
        failing(Context())
    return left.value


@pytest.fixture
def inv(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    """The tool, away from any rehearsal that may be up and from what the developer has set."""
    for variable in ("HOME", "REHEARSAL_HOME"):
        monkeypatch.setenv(variable, "/nonexistent")
    monkeypatch.delenv("CUTOVER_ENV", raising=False)
    return partial(inv_inside, capsys)


@pytest.mark.parametrize(
    "text", ["", "2014-02-30", "2014-8-15", "14-08-15", "2014-08-15 ", "\uff12014-08-15", "20140815", "--help"]
)
def test_a_date_is_a_day_of_the_calendar_or_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected a day written YYYY-MM-DD") as refused:
        parse_date(text)
    assert refused.value.exit_code is ExitCode.USAGE


def test_a_date_is_read() -> None:
    assert parse_date("2014-08-15") == datetime.date(2014, 8, 15)


@pytest.mark.parametrize("text", ["", "abc", "-1", "0", "1.0", "1e3", " 13", "\uff113", "9" * 30, "--pretend"])
def test_an_id_is_a_positive_number_or_refused(text: str) -> None:
    with pytest.raises(UsageError, match="school: expected an id"):
        parse_id(text, "school")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("13",), "The rehearsal is not up."),
        (("--sample=3", "--all"), "The rehearsal is not up."),
        (("13", "--all"), "Name a school, or --all; not both."),
        ((), "did not receive required positional arguments: 'school'"),
    ],
)
def test_an_option_can_stand_in_for_a_positional_argument(
    inv: Callable[..., Said], words: tuple[str, ...], said: str
) -> None:
    assert said in inv("archive.verify", *words).err


def test_an_id_is_read() -> None:
    assert parse_id("0013", "school") == 13


def test_the_default_environment_is_the_rehearsal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUTOVER_ENV", raising=False)
    assert load_environment("").name == "rehearsal"
    monkeypatch.setenv("CUTOVER_ENV", "staging")
    assert load_environment("").name == "staging"
    assert load_environment("rehearsal").name == "rehearsal"


def test_production_must_be_named_explicitly() -> None:
    with pytest.raises(UsageError, match="would act on it") as refused:
        load_environment("production")
    assert "--yes-production" in refused.value.hint
    assert load_environment("production", yes_production=True).production
    assert load_environment("production", read_only=True).production


def test_an_unknown_environment_is_refused() -> None:
    with pytest.raises(UsageError, match="No environment 'nowhere'"):
        load_environment("nowhere")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("no"), 2),
        (Problems("no", ["a", "b"]), 2),
        (CutoverError("no"), 10),
        (AbortedError("no"), 11),
        (UnknownError("no"), 12),
        (DebtLeft("no"), 13),
        (LockedError("no"), 14),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("no"), 10),
    ],
)
def test_every_error_has_its_documented_exit_code(error: BaseException, code: int) -> None:
    assert raising(error).code == code


def test_a_message_is_a_sentence_with_its_hint_below() -> None:
    assert raising(CutoverError("It failed.", hint="Try again.")).message == "It failed.\nhint: Try again."
    assert raising(CutoverError("It failed.")).message == "It failed."


def test_an_unexpected_error_is_one_sentence_and_a_traceback_only_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = raising(ValueError("odd\nthing"))
    assert str(left.message).splitlines()[0] == "This should not have happened: ValueError: odd thing"
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("CUTOVER_DEBUG", "1")
    raising(ValueError("odd"))
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["dry", "warn"])
def test_partial_options_of_invoke_are_refused(setting: str) -> None:
    ran: list[bool] = []

    @task("tests.act")
    def act() -> None:
        """Act."""
        ran.append(True)

    with pytest.raises(Exit) as left:
        act(Context(config=Config(overrides={"run": {setting: True}})))
    assert left.value.code == 2
    assert ran == []


def test_two_tasks_of_one_name_are_not_taken_for_one() -> None:
    archive, restore = (tasks.namespace[name] for name in ("archive.school", "restore.school"))
    assert archive != restore


def test_every_task_has_a_sentence_and_help_for_each_option_and_no_short_flags() -> None:
    for name in tasks.namespace.task_names:
        found = tasks.namespace[name]
        assert (found.__doc__ or "").strip(), name
        for argument in found.get_arguments():
            assert argument.help, f"{name} --{argument.name}"
            assert all(len(flag) > 1 for flag in argument.names), f"{name} --{argument.name}"


def test_each_step_is_a_task_named_by_its_key() -> None:
    assert isinstance(tasks.namespace, Collection)
    assert {"maintenance.on", "warehouse.stop-etl", "backups.dump", "archiving.run"} <= set(tasks.namespace.task_names)


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("cutover.run",), 2, "--date: expected a day written YYYY-MM-DD, got nothing."),
        (("cutover.run", "--date=2014-02-30"), 2, "got '2014-02-30'"),
        (("cutover.run", "--date=2014-08-15", "--env=nowhere"), 2, "No environment 'nowhere'"),
        (("cutover.run", "--date=2014-08-16", "--dry-run"), 2, "no night 2014-08-16"),
        (("cutover.run", "--date=2014-08-15", "--dryrun"), 1, "No idea what '--dryrun' is!"),
        (("cutover.run", "--date=2014-08-15", "--dry"), 2, "would stop only some of the acts"),
        (("--warn-only", "cutover.run", "--date=2014-08-15"), 2, "would let a failure pass for success"),
        (("cutover.run", "--date=2014-08-15", "--env=production"), 2, "is a production environment"),
        (("cutover.run", "--date=2014-08-15"), 2, "These steps ask a person, and there is no terminal"),
        (("archive.school", ""), 2, "school: expected a key, got nothing."),
        (("archive.school", "-1"), 2, "school: expected a key, got '-1'."),
    ],
)
def test_bad_arguments_are_reported_in_a_sentence_and_change_nothing(
    inv: Callable[..., Said], words: tuple[str, ...], code: int, says: str
) -> None:
    said = inv(*words)
    assert (said.code, said.out) == (code, "")
    assert says in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    "words",
    [
        ("cutover.run", "--help"),
        ("cutover.run", "--date=2014-08-15", "-h"),
        ("--help", "backups.dump"),
        ("archive.school", "--help"),
        ("archive.school", "13", "--help"),
        ("archive.school", "--env=rehearsal", "-h"),
        ("restore.school", "--help"),
        ("--help", "archive.all"),
    ],
)
def test_help_anywhere_shows_the_help_and_touches_nothing(inv: Callable[..., Said], words: tuple[str, ...]) -> None:
    said = inv(*words)
    assert said.code == 0, said.err
    assert said.out.startswith("Usage: inv")


def test_a_variable_that_hides_failures_is_refused(inv: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVOKE_RUN_WARN", "1")
    said = inv("cutover.run", "--date=2014-08-15", "--dry-run")
    assert said.code == 2
