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

SHAPES = {
    "of the shell": "PGPASSWORD='it'\"'\"'s hunter2' psql",
    "of a cut-off line": "password='a hunter2",
    "of SQL": "ALTER ROLE ann PASSWORD 'x''hunter2'",
    "of MySQL's SQL": "CREATE USER ann IDENTIFIED BY 'hunter2'",
    "with a comma": "host=db password=a,hunter2 dbname=x",
    "of an option with a space": "tool --db-pass hunter2",
    "of mysqldump": "mysqldump --single-transaction -u app -p'hunter2' shop",
    "of sshpass": "sshpass -p hunter2 ssh host",
    "of redis-cli": "redis-cli -h cache -a hunter2 ping",
    "of openssl": "openssl enc -pass pass:hunter2",
    "of curl's proxy": "curl --proxy-user 'ann:hunter2' https://x.example",
    "of curl, joined": "curl -s -uann:hunter2 https://x.example",
    "in capitals": "CACHE_DSN=redis://cache/0?hunter2 TOOL_PW=hunter2 run",
    "of a redis URL": "redis://:hunter2/@x@cache:6379/0",
    "a URL's user": "cloning https://hunter2hunter2hunter2@git.example/a.git",
    "a hook's path": "POST https://discord.example/api/webhooks/42/hunter2 failed",
    "a hook's host": "POST https://shop.webhook.example/a/hunter2: 500",
    "a bot's": "https://api.telegram.example/bot4711:hunter2/sendMessage",
    "a signed URL's": "GET https://s3.example/k?X-Amz-Signature=hunter2&x=1",
    "a cookie": "Set-Cookie: session=hunter2; Path=/",
    "a token by its look": "cloned by ghp_hunter2hunter2hunter2hunter2",
    "a JSON Web Token": "got eyJhbGciOiJI.eyJodW50ZXIy.hunter2",
    "of JSON in JSON": '{"body": "{\\"password\\": \\"hunter2\\"}"}',
}
# A variable, and a line that has its value in another form.
VALUES = {
    "as decoded": ("DATABASE_URL", "postgres://u:hunter%2F2@h/db", "no access with hunter/2"),
    "as SQL": ("DBPASS", "it's hunter2", "ALTER ROLE ann PASSWORD to it''s hunter2"),
    "as JSON": ("APP_PW", 'hunter"2"x', '{"tried": "hunter\\"2\\"x"}'),
    "of a proxy": ("http_proxy", "http://ann:hunter2secret@proxy:3128", "407 for hunter2secret"),
    "of a URL in a list": ("CACHES", "redis://:hunter21@a,redis://:hunter22@b", "no access to redis://:hunter22@b"),
}
LEFT = {
    "PWD": "/home/ann/cutover",
    "OLDPWD": "/home/ann",
    "SSH_ASKPASS": "/usr/bin/ksshaskpass",
    "LESSKEY_FILE": "/x/y/z",
}
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


@pytest.mark.parametrize("shape", SHAPES)
def test_a_secret_is_recognized_by_its_shape(shape: str) -> None:
    cleaned = Redactor().clean(SHAPES[shape])

    assert MASK in cleaned
    assert "hunter2" not in cleaned


@pytest.mark.parametrize("form", VALUES)
def test_a_variables_secret_is_recognized_in_every_form(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, value, line = VALUES[form]
    monkeypatch.setenv(name, value)

    cleaned = redactor_for().clean(line)

    assert MASK in cleaned
    assert "hunter" not in cleaned


@pytest.mark.parametrize("name", LEFT)
def test_a_variable_that_only_ends_like_a_secrets_is_left(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, LEFT[name])

    assert redactor_for().clean(f"working in {LEFT[name]}") == f"working in {LEFT[name]}"


@pytest.mark.parametrize(
    "text",
    [
        "see https://app.example:8080/start",
        "PWD=/home/ann",
        "primary key (id)",
        "ssh -p 2222 ann@host",
        "backups.dump",
        "3 tokens",
        "sha256 of the key: none",
        "/home/ann/.ssh/id_ed25519",
        "",
    ],
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
