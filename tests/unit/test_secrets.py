"""Passwords and keys of the inventory and of the environment: in no journal, on no screen and in no error."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from inventory.model import Environment
from runbooks.cli.task import task
from runbooks.engine.live.console import Console
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.redactor import MASK, Redactor, redactor_for
from runbooks.engine.model.step import HostTask, Step
from runbooks.night import files, run
from tests.fakes import FakeNight, FakeObjectStore, FakePerson, FakeSsh, night_plan, rehearsal

IN_COMMANDS = ("tok-4711-tok", "url-hunter2", "of the vacuum", "key-0815-key")
IN_VARIABLES = {"PGPASSWORD": "it's p@ss/word", "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG"}


@pytest.mark.parametrize(
    "text",
    [
        "PGPASSWORD=hunter2 psql",
        "PGPASSWORD='a hunter2' psql",
        "mysql --password hunter2",
        "password: hunter2",
        'connection {"password": "hunter2"}',
        "postgres://apangea:hunter2@db/apangea",
        "AWS_SECRET_ACCESS_KEY=hunter2",
        "curl -H 'Authorization: Bearer hunter2.hunter2.hunter2'",
        "AGE-SECRET-KEY-1HUNTER2hunter2",
        "-----BEGIN OPENSSH PRIVATE KEY-----\nhunter2\n-----END OPENSSH PRIVATE KEY-----\n",
        "the one that is known: s3cr3t-value!",
        "the one that is known, in a URL: s3cr3t-value%21",
    ],
)
def test_secrets_are_taken_out_at_any_depth(text: str) -> None:
    cleaned = Redactor(["s3cr3t-value!"]).clean({"proof": text, "rows": [[text]], "password": "hunter2"})
    assert MASK in cleaned["proof"]
    assert not [word for word in ("hunter2", "HUNTER2", "s3cr3t") if word in str(cleaned)]


@pytest.mark.parametrize(
    "text", ["backups.dump", "3 tokens", "sha256 of the key: none", "/home/ann/.ssh/id_ed25519", ""]
)
def test_text_without_a_secret_stays(text: str) -> None:
    assert redactor_for(rehearsal()).clean(text) == text


class Telling(FakePerson):
    """Sees on the screen what is to be done."""

    def __init__(self, ssh: FakeSsh, console: Console) -> None:
        super().__init__(ssh)
        self._console = console

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        self._console.instruct(task.host, task.by_hand)
        return super().perform(step, task, note)


def leaking() -> Environment:
    """An inventory full of secrets, as it should not be and some day will."""
    environment = rehearsal()
    commands = {
        "maintenance.on": "ttmscalr maintenance:on -f rehearsal --token=tok-4711-tok",
        "vacuum.full": "inv databases.vacuum --server=postgres://me:url-hunter2@db/x --password 'of the vacuum'",
    }
    instructions = {"watcher.stop": "Stop it.\n$ system-watcher stop --api-key=key-0815-key"}
    return replace(
        environment,
        commands={**environment.commands, **commands},
        instructions={**environment.instructions, **instructions},
    )


def test_a_night_with_passwords_and_keys_shows_none_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, secret in IN_VARIABLES.items():
        monkeypatch.setenv(name, secret)
    environment, object_store = replace(leaking(), state=str(tmp_path), overlay=None), FakeObjectStore()
    plan, secrets = night_plan(environment), (*IN_COMMANDS, *IN_VARIABLES.values())
    fake_night, console = FakeNight(plan=plan), run.terminal_of(environment).console
    cast = run.Terminal(fake_night.clock, console, Telling(fake_night.ssh, console))  # type: ignore[arg-type]
    monkeypatch.setattr(run, "live_executor", lambda *_: nullcontext(fake_night.executor))
    monkeypatch.setattr(files, "object_store_of", lambda _: object_store)

    @task("tests.conduct")
    def conduct() -> None:
        """Conduct the night."""
        (run.resume if object_store.names("nights/") else run.run)(environment, plan, cast)

    # A command fails and quotes every secret; later a probe prints them all, in a form that no judge can parse.
    quoting = f"no access with {' or '.join(secrets)}"
    vacuum = f"db-master: {environment.commands['vacuum.full']}"
    leaks = {vacuum: ProbeOutput(code=1, error=quoting), "warehouse-old: etl status": ProbeOutput(text=quoting)}
    for place, output in leaks.items():
        fake_night.production.broken = {place: lambda output=output: output}  # type: ignore[misc]
        with pytest.raises(Exit) as left:
            conduct(Context())
        assert f"no access with {MASK}" in str(left.value.message)
        assert [secret for secret in secrets if secret in str(left.value.message)] == []

    journal = next(tmp_path.glob("**/journal.jsonl")).read_text()
    for told in (journal, "".join(object_store.texts.values()), capsys.readouterr().out):
        assert f"no access with {MASK}" in told
        assert [secret for secret in secrets if secret in told] == []
