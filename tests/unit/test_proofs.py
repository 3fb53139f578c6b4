"""Proofs of the steps: every judge on its possible output, as a table. Wrong differs from unknown."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from inventory.model import Environment
from inventory.platforms import Aws
from platforms.ec2 import Row
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts, read_history
from runbooks.engine.model.journal import Journal, Kind
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.model.step import Check, Truth, Verdict
from tests.fakes import EVENING, NIGHT, night_plan, rehearsal

HOLDS, FAILS, UNSEEN = Truth.HOLDS, Truth.FAILS, Truth.UNSEEN
LATER, EARLIER = EVENING + timedelta(hours=1), EVENING - timedelta(hours=1)
SHA = "ab" * 32


def facts(*done: tuple[str, str]) -> Facts:
    """A night in which these steps were done at its beginning, and it is two hours later now."""
    journal = Journal(now=lambda: EVENING, operator="tester")
    journal.append(Kind.BEGAN, run="r", digest="d")
    for step, host in done:
        journal.append(Kind.READING, step=step, host=host, rows=[[812_000_000]])
        journal.append(Kind.RESULT, step=step, host=host, outcome="done", proof="")
    return Facts(now=EVENING + timedelta(hours=2), history=read_history(journal.events))


def check_of(key: str, index: int = 0, environment: Environment | None = None) -> Check:
    return night_plan(environment).step(key).tasks[0].checks[index]


def judged(check: Check, *outputs: ProbeOutput, known: Facts | None = None) -> Verdict:
    try:
        return check.judge(outputs, known or facts())
    except Unreadable as error:
        return Verdict(truth=UNSEEN, proof=str(error))


def printed(text: object, code: int = 0, error: str = "") -> ProbeOutput:
    return ProbeOutput(code=code, text=text if isinstance(text, str) else json.dumps(text), error=error)


def at(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds")


@pytest.mark.parametrize(
    ("key", "index", "output", "truth", "proof"),
    [
        (
            "maintenance.on",
            0,
            ProbeOutput(code=503, text="Service Unavailable"),
            HOLDS,
            "503 Service Unavailable at http://app",
        ),
        ("maintenance.on", 0, ProbeOutput(code=200, text="OK"), FAILS, "200 OK at http://app.rehearsal/, expected 503"),
        ("maintenance.off", 0, ProbeOutput(code=200, text="OK"), HOLDS, "200 OK"),
        ("maintenance.off", 0, ProbeOutput(code=502, text="Bad Gateway"), FAILS, "expected 200"),
        ("watcher.stop", 0, printed("stopped\n"), HOLDS, "System Watcher is stopped"),
        ("watcher.stop", 0, printed("running\n"), FAILS, "System Watcher is running, expected stopped"),
        ("watcher.stop", 0, printed("", 127, "not found"), UNSEEN, "got nothing (exit 127: not found)"),
        ("watcher.start", 0, printed("running"), HOLDS, "is running"),
        ("warehouse.stop-etl", 0, printed("disabled"), HOLDS, "ETL is disabled on warehouse-old"),
        ("warehouse.stop-etl", 1, printed("enabled"), FAILS, "ETL is enabled on warehouse-new, expected disabled"),
        ("warehouse.stop-etl", 1, printed("maybe"), UNSEEN, "ETL on warehouse-new: expected one of enabled, disabled"),
        ("backups.disable", 0, printed("enabled"), FAILS, "auto-backup is enabled, expected disabled"),
        ("backups.enable", 0, printed("enabled"), HOLDS, "auto-backup is enabled"),
        ("replicas.terminate", 0, ProbeOutput(), HOLDS, "pg_stat_replication is empty"),
        (
            "replicas.terminate",
            0,
            ProbeOutput(rows=(("s1", "10.0.0.9", "streaming", 0),)),
            FAILS,
            "s1 (10.0.0.9, streaming)",
        ),
        ("replicas.activate", 0, ProbeOutput(), FAILS, "no standby streams"),
        ("replicas.activate", 0, ProbeOutput(rows=(("s1", "x", "streaming", 1000),)), HOLDS, "s1 streams, lag 1.0 kB"),
        (
            "replicas.activate",
            0,
            ProbeOutput(rows=(("s1", "x", "catchup", 0),)),
            FAILS,
            "no standby streams (1 connected)",
        ),
        (
            "replicas.activate",
            0,
            ProbeOutput(rows=(("s1", "x", "streaming", 10**9),)),
            FAILS,
            "lag 1.0 GB, allowed 17 MB",
        ),
        ("replicas.activate", 0, ProbeOutput(rows=(("s1", "x", "streaming", None),)), FAILS, "lag unknown"),
    ],
)
def test_switches_and_standbys(key: str, index: int, output: ProbeOutput, truth: Truth, proof: str) -> None:
    verdict = judged(check_of(key, index), output)
    assert (verdict.truth, proof in verdict.proof) == (truth, True), verdict.proof


@pytest.mark.parametrize(
    ("backup", "truth", "proof"),
    [
        ({}, FAILS, "there is no backup"),
        ({"path": "/b", "finished_at": at(LATER), "verified": True}, HOLDS, "/b of 2014-08-15 22:00:00 UTC, verified"),
        ({"path": "/b", "finished_at": at(EVENING), "verified": True}, HOLDS, "verified"),
        ({"path": "/b", "finished_at": at(EARLIER), "verified": True}, FAILS, "is older than 2014-08-15 21:00:00 UTC"),
        ({"path": "/b", "finished_at": at(LATER), "verified": False}, FAILS, "is not verified"),
        ({"path": "/b", "finished_at": at(LATER), "verified": "yes"}, FAILS, "is not verified"),
        ({"path": "/b", "finished_at": "2014-08-15T22:00:00", "verified": True}, UNSEEN, "expected a time as"),
        ({"path": "/b", "verified": True}, UNSEEN, "expected a time as"),
        ("no json", UNSEEN, "expected a JSON object, got 'no json'"),
        ([1], UNSEEN, "expected a JSON object"),
    ],
)
def test_a_backup_is_younger_than_maintenance_mode_and_verified(backup: object, truth: Truth, proof: str) -> None:
    known = facts(("maintenance.on", "control"))
    verdict = judged(check_of("backups.dump"), printed(backup), known=known)
    assert (verdict.truth, proof in verdict.proof) == (truth, True), verdict.proof


def test_without_maintenance_mode_no_backup_is_young_enough() -> None:
    backup = {"path": "/b", "finished_at": at(LATER), "verified": True}
    assert judged(check_of("backups.dump"), printed(backup)).truth is FAILS


def test_the_inventory_may_accept_last_nights_backup() -> None:
    environment = rehearsal()
    night = replace(environment.nights[NIGHT], backup_max_age=timedelta(hours=26))
    check = check_of("backups.dump", environment=replace(environment, nights={NIGHT: night}))
    backup = {"path": "/b", "finished_at": at(EARLIER), "verified": True}
    verdict = judged(check, printed(backup))
    assert verdict.truth is HOLDS
    assert verdict.proof.endswith("verified; what was written in the 3 h since could be lost")
    old = {**backup, "finished_at": at(EVENING - timedelta(hours=27))}
    assert judged(check, printed(old)).truth is FAILS


@pytest.mark.parametrize(
    ("copy", "backup", "truth"),
    [
        ({"location": "s3://b/1", "sha256": SHA}, {"sha256": SHA}, HOLDS),
        ({"location": "s3://b/1", "sha256": "0" * 64}, {"sha256": SHA}, FAILS),
        ({}, {"sha256": SHA}, FAILS),
        ({"location": "s3://b/1", "sha256": SHA}, {}, FAILS),
        ({}, {}, FAILS),
        ({"location": "s3://b/1", "sha256": ""}, {"sha256": ""}, FAILS),
        ("", {"sha256": SHA}, UNSEEN),
    ],
)
def test_the_stored_copy_has_the_servers_checksum(copy: object, backup: object, truth: Truth) -> None:
    assert judged(check_of("backups.transfer"), printed(copy), printed(backup)).truth is truth


@pytest.mark.parametrize(
    ("changes", "truth", "proof"),
    [
        ({}, HOLDS, "35 of 35 schools have a record, none of their rows is left; 1 left out"),
        ({"archived": 33, "unarchived": [7, 9]}, FAILS, "33 of 35 schools have a record; not yet: 7, 9"),
        ({"left": {"13": 4}}, FAILS, "rows are left of 13"),
        (
            {"elsewhere": {"master: crm.notes.student_id": 3}},
            FAILS,
            "refer to their rows: master: crm.notes.student_id",
        ),
        (
            {"otherwise": {"13": "all"}},
            FAILS,
            "35 of 35 schools have a record; archived to another depth than the night's: 13",
        ),
        ({"dangling": {"purge 7": 3}}, HOLDS, "live rows refer to what was deleted by purge 7"),
        ({"missing": [13, 17]}, FAILS, "not in the store as they were stored: archives of 13, 17"),
        ({"missing": []}, HOLDS, "none of their rows is left"),
        ({"archived": 0, "unarchived": list(range(35))}, FAILS, "8, 9 and 25 more"),
        ({"archived": 34}, FAILS, "34 of 35"),
    ],
)
def test_every_school_has_a_record_and_nothing_is_left(changes: dict[str, object], truth: Truth, proof: str) -> None:
    audit = {"selected": 35, "archived": 35, "excluded": 1, "unarchived": [], "left": {}, "rows": 9, "size": 8}
    verdict = judged(check_of("archiving.run"), printed(f"a warning\n{json.dumps({**audit, **changes})}\n", code=10))
    assert (verdict.truth, proof in verdict.proof) == (truth, True), verdict.proof
    if verdict.holds:
        assert verdict.figures == {"selected": 35, "excluded": 1, "rows": 9, "size": 8}


def test_an_audit_that_failed_proves_nothing() -> None:
    verdict = judged(check_of("archiving.run"), printed("", code=2, error="No environment 'x'"))
    assert (verdict.truth, "exit 2: No environment 'x'" in verdict.proof) == (UNSEEN, True)


@pytest.mark.parametrize(
    ("rows", "truth", "proof"),
    [
        (((96_000_000, "public.a", LATER), (96_000_000, "public.b", LATER)), HOLDS, "812 MB → 96 MB, 2 tables"),
        (((96_000_000, "public.a", None), (96_000_000, "public.b", LATER)), FAILS, "1 of 2 tables, such as public.a"),
        (((96_000_000, "public.a", EARLIER),), FAILS, "not yet vacuumed"),
        ((), FAILS, "not yet vacuumed"),
    ],
)
def test_a_vacuum_shows_bytes_before_and_after(rows: tuple[tuple[object, ...], ...], truth: Truth, proof: str) -> None:
    known = facts(("archiving.run", "debug"), ("vacuum.full", "db-master"))
    verdict = judged(check_of("vacuum.full"), ProbeOutput(rows=rows), known=known)
    assert (verdict.truth, proof in verdict.proof) == (truth, True), verdict.proof


def test_a_vacuum_proves_nothing_before_archiving_has_ended() -> None:
    assert judged(check_of("vacuum.full"), ProbeOutput(rows=((1, "public.a", LATER),))).truth is FAILS


@pytest.mark.parametrize(
    ("snapshot", "truth", "proof"),
    [
        ({"id": "s-1", "state": "completed", "finished_at": at(LATER)}, HOLDS, "snapshot s-1, completed"),
        ({"id": "s-1", "state": "pending", "finished_at": None}, FAILS, "snapshot s-1 is pending"),
        ({"id": "s-1", "state": "completed", "finished_at": at(EARLIER)}, FAILS, "older than the vacuum"),
        ({}, FAILS, "there is no snapshot"),
    ],
)
def test_a_snapshot_is_younger_than_the_vacuum(snapshot: object, truth: Truth, proof: str) -> None:
    verdict = judged(check_of("snapshots.create"), printed(snapshot), known=facts(("vacuum.full", "db-master")))
    assert (verdict.truth, proof in verdict.proof) == (truth, True), verdict.proof


@pytest.mark.parametrize(
    ("rows", "truth", "proof"),
    [
        ([("v-1", "s-1", "completed", at(LATER), "")], HOLDS, "s-1 of v-1 completed"),
        (
            [("v-1", "s-2", "pending", at(LATER), "s-2 is pending"), ("v-1", "s-1", "completed", at(LATER), "")],
            HOLDS,
            "",
        ),
        ([("v-1", "s-1", "completed", at(EARLIER), "")], FAILS, "s-1 of v-1, begun 2014-08-15 20:00:00 UTC, is older"),
        ([("v-1", "s-1", "pending", at(LATER), "s-1 is pending")], FAILS, "s-1 is pending"),
        ([("v-1", "s-1", "completed", at(LATER), ""), ("v-2", "", "", "", "")], FAILS, "there is no snapshot of v-2"),
        (
            [("v-1", "s-1", "completed", at(EARLIER), ""), ("v-1", "s-2", "error", at(LATER), "s-2 is in state error")],
            FAILS,
            "s-2 is in state error",
        ),
    ],
)
def test_a_snapshot_of_every_volume_was_begun_after_the_vacuum(rows: list[Row], truth: Truth, proof: str) -> None:
    at_ec2 = replace(rehearsal(), aws=Aws(instances={"db-master": "i-0"}))
    check = check_of("snapshots.create", environment=at_ec2)

    verdict = judged(check, ProbeOutput(rows=tuple(rows)), known=facts(("vacuum.full", "db-master")))

    assert verdict.truth is truth
    assert proof in verdict.proof
    assert judged(check, ProbeOutput(rows=tuple(rows))).truth is FAILS  # nothing was vacuumed


OLD, NEW = "warehouse-old.farm.ttm.com", "warehouse-new.farm.ttm.com"


@pytest.mark.parametrize(
    ("addresses", "truth"),
    [
        ({"warehouse.ttm.com": "2", "warehouse-2013.ttm.com": "1", OLD: "1", NEW: "2"}, HOLDS),
        ({"warehouse.ttm.com": "1", "warehouse-2013.ttm.com": "1", OLD: "1", NEW: "2"}, FAILS),
        ({"warehouse.ttm.com": "2", OLD: "1", NEW: "2"}, FAILS),
        ({"warehouse.ttm.com": "2", "warehouse-2013.ttm.com": "1", OLD: "1"}, UNSEEN),
        ({"warehouse.ttm.com": "1", "warehouse-2013.ttm.com": "1", OLD: "1", NEW: "1"}, UNSEEN),
    ],
)
def test_both_names_resolve_as_required(addresses: dict[str, str], truth: Truth) -> None:
    verdict = judged(check_of("warehouse.cut-over"), ProbeOutput(rows=tuple(addresses.items())))
    assert verdict.truth is truth, verdict.proof


@pytest.mark.parametrize(
    ("rebuild", "truth"),
    [
        ({"state": "finished", "finished_at": at(LATER)}, HOLDS),
        ({"state": "finished", "finished_at": at(EARLIER)}, FAILS),
        ({"state": "running"}, FAILS),
        ({"state": "finished"}, UNSEEN),
        ({}, UNSEEN),
    ],
)
def test_the_rebuild_has_finished_in_this_run(rebuild: object, truth: Truth) -> None:
    assert judged(check_of("warehouse.rebuild"), printed(rebuild)).truth is truth


@pytest.mark.parametrize(
    ("old", "new", "truth"),
    [
        ("enabled", "disabled", HOLDS),
        ("disabled", "enabled", HOLDS),
        ("disabled", "disabled", HOLDS),
        ("enabled", "enabled", FAILS),
        ("enabled", "", UNSEEN),
    ],
)
def test_etl_is_enabled_on_at_most_one_warehouse(old: str, new: str, truth: Truth) -> None:
    (invariant,) = night_plan().invariants
    assert judged(invariant, printed(old), printed(new)).truth is truth


def facts_of_standbys(*names: str, synchronous: str = "") -> Facts:
    """A night in which these standbys streamed from master's server before step 7."""
    journal = Journal(now=lambda: EVENING, operator="tester")
    journal.append(Kind.BEGAN, run="r", digest="d")
    journal.append(Kind.READING, step="replicas.terminate", host="db-master", rows=[[json.dumps(names), synchronous]])
    return Facts(now=EVENING, history=read_history(journal.events))


@pytest.mark.parametrize(
    ("before", "after", "truth"),
    [
        (["s1"], [("s1", 0)], HOLDS),
        (["s1"], [("s2", 0)], FAILS),
        (["s1", "s1"], [("s1", 0)], FAILS),
        (["s1", "s1"], [("s1", 0), ("s1", 10**12)], FAILS),
        (["s1", "s1"], [("s1", 0), ("s1", 0), ("s2", None)], HOLDS),
        ([], [("s2", 0)], HOLDS),
    ],
)
def test_the_standbys_of_before_step_7_stream_again(
    before: list[str], after: list[tuple[str, int | None]], truth: Truth
) -> None:
    rows = tuple((name, "x", "streaming", lag) for name, lag in after)

    verdict = judged(check_of("replicas.activate"), ProbeOutput(rows=rows), known=facts_of_standbys(*before))

    assert verdict.truth is truth, verdict.proof


@pytest.mark.parametrize(
    ("names", "streaming", "truth"),
    [("", 0, HOLDS), ("*", 0, FAILS), ("*", 1, HOLDS), ("ANY 2 (a, b, c)", 1, FAILS), ("first 1 (a)", 1, HOLDS)],
)
def test_no_commit_waits_for_a_standby_that_is_not_streaming(names: str, streaming: int, truth: Truth) -> None:
    output = ProbeOutput(rows=((names, streaming),))

    assert judged(check_of("replicas.terminate", 2), output).truth is truth


@pytest.mark.parametrize(
    ("then", "now", "truth"), [("", "", HOLDS), ("*", "*", HOLDS), ("*", "", FAILS), ("", "*", HOLDS)]
)
def test_commits_wait_again_as_before_step_7(then: str, now: str, truth: Truth) -> None:
    known = facts_of_standbys("s1", synchronous=then)

    assert judged(check_of("replicas.activate", 2), ProbeOutput(rows=((now, 1),)), known=known).truth is truth
