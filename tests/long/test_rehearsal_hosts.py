"""The hosts of the lab do what they say: each command's effect, seen through the probes of the inventory."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import urlsplit

import dns.resolver
import paramiko
import pytest

from errors import ExitCode, RefusedError, UsageError
from inventory.load import FOLDER, ROOT, load_file
from inventory.model import Environment
from rehearsal import lab, layout, ports, postgres_server
from rehearsal.blueprint import BACKUPS
from rehearsal.files import write_json
from rehearsal.layout import MARK, Layout
from rehearsal.waiting import await_condition
from runbooks import cutover
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.model.actions import Command, RemoteCommand
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.step import Check, Mark, Step
from runbooks.night import files as night_files
from runbooks.upkeep.free_disk import free_disk
from tests.labs import Lab, just_now, runs, started, started_from

FEW = lab.FEWEST_SCHOOLS
DATABASE_HOSTS = ("db-master", "db-shard-1", "db-shard-2", "db-shard-3", "db-shard-4")


@pytest.fixture(scope="module")
def running() -> Iterator[Lab]:
    with started(FEW) as made:
        yield made


def test_a_second_up_finds_it_running_and_touches_nothing(running: Lab) -> None:
    before = running.primary("db-master").sql("SELECT pg_postmaster_start_time(), pg_current_wal_lsn()")

    assert lab.up(running.home, schools=FEW) == running.endpoints

    assert running.primary("db-master").sql("SELECT pg_postmaster_start_time(), pg_current_wal_lsn()") == before


def test_status_names_every_part(running: Lab) -> None:
    status = lab.look(running.home)

    assert status.healthy
    assert {part.word for part in status.parts} == {"running"}
    hosts = {f"ssh {name}" for name in running.environment.hosts}
    servers = {*DATABASE_HOSTS, *(f"{host}-standby" for host in DATABASE_HOSTS), "scratch", "store", "dns", "app"}
    assert {part.name for part in status.parts} == {*hosts, *servers, "system-watcher"}


def test_every_database_answers_to_its_dsn_as_an_ordinary_role(running: Lab) -> None:
    psql = running.blueprint.programs.bin / "psql"
    query = "SELECT current_database(), current_user, pg_is_in_recovery(), rolsuper FROM pg_roles WHERE rolname = user"

    def ask(dsn: str) -> str:
        done = subprocess.run([psql, "-XAt", "-d", dsn, "-c", query], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert {ask(dsn) for dsn in running.endpoints.databases.values()} == {"apangea|apangea|f|f"}
    assert {ask(dsn) for dsn in running.endpoints.standbys.values()} == {"apangea|apangea|t|f"}
    assert ask(running.endpoints.scratch) == "scratch|apangea|f|f"


def test_no_two_primaries_have_the_same_identity(running: Lab) -> None:
    servers = [running.primary(host) for host in DATABASE_HOSTS]

    assert len({server.sql("SELECT system_identifier FROM pg_control_system()") for server in servers}) == 5


def test_a_host_has_its_own_home_path_and_name(running: Lab) -> None:
    homes = {name: running.say(name, 'cat "$HOME/.inventory-host"; pwd; echo "$PATH"') for name in DATABASE_HOSTS}

    for name, said in homes.items():
        home = Layout(running.home).host(name)
        assert said.split("\n")[:2] == [name, str(home)]
        assert said.split("\n")[2].startswith(f"{home}/bin:")
    assert running.type("watcher", "backup status").code == 127
    assert running.say("watcher", 'echo "$PGHOST"') == ""


def test_output_errors_and_exit_codes_arrive_complete_from_five_hosts_at_once(running: Lab) -> None:
    command = "head -c 1000000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero | tr '\\0' e >&2; exit 42"

    with ThreadPoolExecutor(5) as pool:
        outputs = list(pool.map(lambda host: running.type(host, command), DATABASE_HOSTS))

    for output in outputs:
        assert (output.code, output.text, output.error) == (42, "x" * 1_000_000, "e" * 300_000)


def test_a_command_outlives_its_connection(running: Lab) -> None:
    home = Layout(running.home).host("watcher")
    script = "while [ ! -e go ]; do sleep 0.05; done; echo finished > result"

    lonely = Fleet(running.environment.hosts, running.environment.ssh)
    lonely.run(RemoteCommand(host="watcher", command=f"setsid sh -c '{script}' > /dev/null 2>&1 < /dev/null &"))
    lonely.close()
    (home / "go").touch()

    await_condition((home / "result").exists, doing="Finishing", seconds=10)


def test_commands_start_with_signals_as_they_should_be(running: Lab) -> None:
    assert running.type("control", "sh -c 'kill -INT $$; echo survived'").text == ""


def test_a_client_may_type_into_a_command_or_a_shell_in_a_terminal(running: Lab) -> None:
    host = running.endpoints.hosts["warehouse-new"]
    with paramiko.SSHClient() as client:
        client.load_host_keys(host.known_hosts)
        client.connect(host.address, host.port, host.user, key_filename=host.key, allow_agent=False)
        stdin, stdout, _ = client.exec_command("cat; etl status; exit 3", timeout=10)
        stdin.write("typed\n")
        stdin.channel.shutdown_write()
        said, code = stdout.read(), stdout.channel.recv_exit_status()
        terminal = client.invoke_shell(width=99, height=33)
        terminal.send(b"stty size; cat ~/.inventory-host; exit 4\n")
        shown = terminal.makefile("rb").read()
        left = terminal.recv_exit_status()

    assert (said, code) == (b"typed\ndisabled\n", 3)
    assert b"33 99\r\nwarehouse-new\r\n" in shown
    assert left == 4


def test_an_argument_that_a_command_does_not_know_is_refused(running: Lab) -> None:
    for host, command in (
        ("warehouse-new", "etl"),
        ("warehouse-new", "etl enable"),
        ("db-master", "auto-backup off now"),
        ("control", "ttmscalr maintenance:on -f production"),
        ("control", "ttmscalr maintenance:on"),
        ("warehouse-new", "dns-upsert warehouse-old.farm.ttm.com warehouse-new"),
        ("warehouse-new", "dns-upsert warehouse.ttm.com control"),
    ):
        output = running.type(host, command)
        assert (output.code, output.text) == (2, "")
        assert "xpected" in output.error


def test_maintenance_mode_shuts_the_app(running: Lab) -> None:
    def answer() -> int:
        connection = http.client.HTTPConnection(urlsplit(running.night.app.url).netloc, timeout=10)
        connection.request("GET", "/")
        status = connection.getresponse().status
        connection.close()
        return status

    assert answer() == 200
    running.say("control", running.environment.commands["maintenance.on"])
    assert answer() == 503
    running.say("control", running.environment.commands["maintenance.off"])
    assert answer() == 200


def test_the_watcher_is_a_process_that_comes_and_goes(running: Lab) -> None:
    probe, pid_file = running.night.probes.watcher, Layout(running.home).watcher_pid

    assert running.say("watcher", probe) == "running"
    pid = int(pid_file.read_text())
    running.say("watcher", "system-watcher stop")
    assert running.say("watcher", probe) == "stopped"
    assert not runs(pid)
    assert lab.look(running.home).healthy  # a person switched it off, and the lab is whole
    running.say("watcher", "system-watcher stop")
    running.say("watcher", "system-watcher start")
    running.say("watcher", "system-watcher start")
    assert running.say("watcher", probe) == "running"


def test_sidekiq_is_shut_down_on_whichever_warehouse_it_runs(running: Lab) -> None:
    def etl() -> list[str]:
        return [running.say(host, running.night.probes.etl) for host in ("warehouse-old", "warehouse-new")]

    assert etl() == ["enabled", "disabled"]
    running.say("control", "ttmscalr shutdown:sidekiq -f warehouse-old")
    assert etl() == ["disabled", "disabled"]
    running.say("warehouse-new", "etl on")
    assert etl() == ["disabled", "enabled"]
    running.say("control", "ttmscalr shutdown:sidekiq -f warehouse-new")
    running.say("warehouse-old", "etl on")
    assert etl() == ["enabled", "disabled"]


def test_names_move_between_the_farms_and_the_farms_stay(running: Lab) -> None:
    warehouse, hosts = running.night.warehouse, running.environment.hosts
    old, new = hosts[warehouse.old].address, hosts[warehouse.new].address

    def addresses(name: str, *, tcp: bool = False) -> list[str]:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = [str(running.environment.dns.server)], running.environment.dns.port
        return [answer.to_text() for answer in resolver.resolve(name, "A", tcp=tcp)]

    assert old != new
    assert addresses(warehouse.name) == [old]
    with pytest.raises(dns.resolver.NXDOMAIN):
        addresses("warehouse-2013.ttm.com")

    running.say(warehouse.new, f"dns-upsert {warehouse.name} {warehouse.new}")
    running.say(warehouse.new, f"dns-upsert warehouse-2013.ttm.com {warehouse.old}")
    running.say(warehouse.new, "ttmscalr resize:small -f warehouse-old")

    assert [addresses(warehouse.name), addresses("WAREHOUSE-2013.ttm.com", tcp=True)] == [[new], [old]]
    assert [addresses(warehouse.old_target), addresses(warehouse.new_target)] == [[old], [new]]


def test_a_rebuild_is_reported_with_its_end(running: Lab) -> None:
    probe = running.night.probes.rebuild

    assert running.record("warehouse-new", probe) == {"state": "never", "finished_at": None}
    running.say("warehouse-new", "warehouse rebuild")
    record = running.record("warehouse-new", probe)
    assert record["state"] == "finished"
    assert just_now(record["finished_at"])


def test_the_backup_schedule_is_a_servers_own(running: Lab) -> None:
    def schedules() -> set[str]:
        return {running.say(host, running.night.probes.auto_backup) for host in DATABASE_HOSTS}

    assert schedules() == {"enabled"}
    running.say("db-master", "auto-backup off")
    assert schedules() == {"enabled", "disabled"}
    running.say("db-master", "auto-backup on")
    assert schedules() == {"enabled"}


def test_a_backup_is_verified_stored_and_its_damage_is_seen(running: Lab) -> None:
    backup, copy = running.night.probes.backup, running.night.probes.backup_copy
    assert running.record("db-shard-1", backup) == {}
    assert running.record("db-shard-1", copy) == {}
    assert running.type("db-shard-1", "backup transfer").code == 10

    running.say("db-shard-1", "backup dump")
    running.say("db-shard-1", "backup transfer")
    first, stored = running.record("db-shard-1", backup), running.record("db-shard-1", copy)
    assert first["verified"] is True
    assert just_now(first["finished_at"])
    assert stored["sha256"] == first["sha256"]
    assert str(stored["location"]).startswith("s3://backups/db-shard-1/")

    running.say("db-shard-1", "backup dump")
    second = running.record("db-shard-1", backup)
    assert second["path"] != first["path"]
    assert running.record("db-shard-1", copy)["sha256"] == first["sha256"] != second["sha256"]

    with (Path(str(second["path"])) / "base.tar").open("r+b") as tar:
        tar.seek(2_000_000)
        tar.write(b"damage" * 1000)
    assert running.record("db-shard-1", backup)["verified"] is False


def test_steps_five_and_six_are_done_by_this_tool_where_the_inventory_has_backups(
    running: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlay = Layout(running.home).endpoints
    before = overlay.read_text()
    over = json.loads(before)
    store = {**over["store"], "bucket": BACKUPS, "prefix": "by-this-tool"}
    young = {"backup_max_age": "1h"}
    write_json(overlay, {**over, "backups": {"way": "dump", "store": store}, "nights": {"2014-08-15": young}})
    monkeypatch.setenv(layout.VARIABLE, str(running.home))
    try:
        plan = cutover.plan_of(load_file(FOLDER / "rehearsal.yaml"), date(2014, 8, 15))
        (ready,) = (each.check for each in _preconditions(plan, "db-shard-1") if "store of backups" in each.check.title)
        found = _looked_at(running, ready)
        proofs = [_done_on_its_host(running, plan.step(key)) for key in ("backups.dump", "backups.transfer")]
    finally:
        overlay.write_text(before)

    assert found == "it reads the store of backups, which has none of this server yet"
    assert "/shard_1/20" in proofs[0]
    assert "verified; what was written in the 0 min since could be lost" in proofs[0]
    assert re.search(r"s3://\S+/by-this-tool/shard_1/lists/\S+Z\.json, SHA-256 \w{12}… as on the server", proofs[1])


def _done_on_its_host(lab: Lab, step: Step) -> str:
    """The proof of a step on a shard's server, after the command there that makes it so."""
    task = next(task for task in step.tasks if task.host == "db-shard-1")
    assert isinstance(task.action, Command)
    assert step.shown_mark is Mark.AUTOMATE
    (check,) = task.checks
    lab.say(task.host, task.action.command)
    return _looked_at(lab, check)


def _preconditions(plan: Plan, name: str) -> tuple[Precondition, ...]:
    """Return preflight's preconditions of a subject."""
    return next(subject.preconditions for subject in plan.preflight if subject.name == name)


def _looked_at(lab: Lab, check: Check) -> str:
    """Return the proof that a check holds."""
    seen = tuple(lab.fleet.run(look) for look in check.looks if isinstance(look, RemoteCommand))
    verdict = check.judge(seen, Facts(now=datetime.now(UTC), history=History()))
    assert verdict.holds, verdict.proof
    return verdict.proof


def test_a_standby_is_terminated_and_recreated(running: Lab) -> None:
    primary = running.primary("db-shard-2")
    standby = running.blueprint.standby(running.blueprint.database_on("db-shard-2"))

    for _ in range(2):
        running.say("db-shard-2", "standby terminate")
        assert primary.sql("SELECT count(*) FROM pg_stat_replication") == "0"
        assert not standby.folder.exists()
    assert lab.look(running.home).healthy
    with pytest.raises(OSError, match="in use"), socket.socket() as stranger:  # its port stays ours meanwhile
        stranger.bind((ports.LOOPBACK, standby.port))

    for _ in range(2):
        running.say("db-shard-2", "standby activate")
        assert primary.sql("SELECT application_name, state FROM pg_stat_replication") == f"{standby.name}|streaming"
    assert standby.running


def test_a_snapshot_can_be_started(running: Lab) -> None:
    probe, primary = running.night.probes.snapshot, running.primary("db-master")
    assert running.record("db-master", probe) == {}

    running.say("db-master", "snapshot create")
    record = running.record("db-master", probe)
    assert record["state"] == "completed"
    assert just_now(record["finished_at"])

    files = Layout(running.home).host("db-master") / "snapshots" / str(record["id"])
    with ports.reserved(1) as reservation:
        copy = started_from(files, primary, reservation.ports[0])
    try:
        count = "SELECT count(*) FROM schools"
        assert copy.sql(count, dbname="apangea") == primary.sql(count, dbname="apangea") == str(FEW)
    finally:
        postgres_server.remove(copy)


def test_the_ordinary_role_vacuums_on_the_server_itself(running: Lab) -> None:
    command, server = running.environment.commands["vacuum.full"], running.primary("db-shard-3")
    begun = server.sql("SELECT now()")

    said = running.type("db-shard-3", command.format(database="shard_3"))

    assert (said.code, said.error) == (0, "")
    lines = said.text.splitlines()
    assert all("shard_3" in line for line in lines)
    assert lines[0].startswith("shard_3: ")  # and not that its free disk is unknown
    assert " tables, " in lines[0]
    assert " skipped" in lines[-1]
    query = f"SELECT count(*) > 5, bool_and(last_analyze > '{begun}') FROM pg_stat_user_tables"
    assert server.sql(query, dbname="apangea") == "t|t"


def test_the_free_disk_of_a_server_is_known_elsewhere_too(running: Lab) -> None:
    warnings: list[str] = []
    database = running.environment.databases["shard_3"]
    with free_disk(running.environment, database, warnings.append) as free:
        found = free()

    assert warnings == []
    assert database.data_directory is not None
    assert found == pytest.approx(shutil.disk_usage(database.data_directory).free, rel=0.1)


def test_the_debug_host_has_the_tool(running: Lab) -> None:
    assert "Invoke" in running.say("debug", "cd / && inv --version")


def test_the_tasks_show_the_endpoints_and_pass_an_exit_code_on(running: Lab) -> None:
    def inv(*words: str) -> tuple[int, str, str]:
        environment = {**os.environ, layout.VARIABLE: str(running.home)}
        command = [sys.executable, "-m", "invoke", *words]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    assert inv("rehearsal.status", "--json") == (0, f"{running.endpoints.to_json()}\n", "")
    code, out, _ = inv("rehearsal.status")
    assert (code, out.count(" running")) == (0, len(lab.look(running.home).parts))
    assert inv("rehearsal.shell", "--host=watcher", "--command=echo so; echo not >&2; exit 7") == (7, "so\n", "not\n")
    for words in (["shell", "--host=moon", "--command=true"], ["shell", "--host=watcher"], ["up", "--schools=few"]):
        code, out, err = inv(f"rehearsal.{words[0]}", *words[1:])
        assert (code, out) == (2, "")
        assert "expected" in err


def test_a_night_is_refused_by_each_wrong_host_key_and_server_before_its_first_step(
    running: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(layout.VARIABLE, str(running.home))
    environment, day = with_faults(running, tmp_path / "known_hosts"), date(2014, 8, 15)

    with pytest.raises(RefusedError) as refused:
        cutover.rehearse(environment, day)

    problems = str(refused.value).splitlines()[1:]
    expected = {
        "debug: ": "its host key is not in known_hosts",
        "db-master: ": "its host key differs from the one in known_hosts",
        "shard_2 on db-shard-2: ": "its system identifier is ",
    }
    for subject, reason in expected.items():
        assert [problem for problem in problems if problem.startswith(f"  - {subject}") and reason in problem]
    assert refused.value.exit_code is ExitCode.FAILED
    assert "1/16" not in capsys.readouterr().out
    assert night_files.events_of(environment, str(day)) == ()


def with_faults(running: Lab, known_hosts: Path) -> Environment:
    """The lab's inventory with an unknown host key, a changed one, and another server's system identifier."""
    environment, hosts = running.environment, running.environment.hosts
    keys = dict(line.split(" ", 1) for line in Path(environment.ssh.known_hosts).read_text().splitlines())
    debug, master, watcher = (
        f"[{hosts[name].address}]:{hosts[name].port}" for name in ("debug", "db-master", "watcher")
    )
    keys[master] = keys[watcher]
    del keys[debug]
    known_hosts.write_text("".join(f"{where} {key}\n" for where, key in keys.items()))
    wrong = replace(environment.databases["shard_2"], system_identifier=environment.master.system_identifier)
    return replace(
        environment,
        ssh=replace(environment.ssh, known_hosts=str(known_hosts)),
        databases={**environment.databases, "shard_2": wrong},
    )


def test_a_host_of_the_lab_cannot_take_it_down(running: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARK, str(running.home))

    with pytest.raises(UsageError, match="from one of its own hosts"):
        lab.down(running.home)
