"""The log of the archives: shown, proved, and accepted as it is: tasks under `inv archive.…`."""

from __future__ import annotations

from archiver.catalog.model import MASTER
from archiver.checks.log_proof import LogProof, accept_log, chain_of, prove_log
from archiver.postgres.own_schema import prepare
from archiver.postgres.session import Session
from archiver.records import audit_log
from archiver.records.log_heads import head_stored
from archiver.runs.setup import databases_of
from archiver.store.bucket import Bucket
from errors import CutoverError, UsageError
from formatting import many
from inventory.model import Environment
from runbooks.cli.object_store import EnvironmentStore
from runbooks.cli.options import ACTS, JSON_LINES, READS, SCHOOL, YEAR, Option
from runbooks.cli.tables import show
from runbooks.cli.task import task
from runbooks.cli.text import records
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say
from runbooks.night.journal_proof import JournalProof, prove_journals

ONLY_SCHOOL = SCHOOL.but(help="only this school's id", positional=False, required=False)
ACT = Option(name="act", help="only this act, such as archive, restore, verify or drop")
VERIFY = Option(
    name="verify",
    help="instead, prove the log and the journals in the store: what was changed, removed or put in first?",
    default=False,
)
REASON = Option(name="reason", help="why, such as a ticket: it stands in the log", positional=True, required=True)
ADVICE = 'Compare with a backup. If it must stay so, inv archive.accept-log "why" accepts it, in the log, by your name.'


def _refuse_filters_of_verify(school: str | None, year: int | None, act: str, verify: bool, json: bool) -> None:
    if verify and (school or year or act or json):
        raise UsageError("--verify proves the whole log: no other option goes with it.")


@task("archive.log", ONLY_SCHOOL, YEAR, ACT, VERIFY, *READS, JSON_LINES, before=_refuse_filters_of_verify)
def log(environment: Environment, school: str | None, year: int | None, act: str, verify: bool, json: bool) -> None:
    """Show the log of all schools or of one: operator, time, act, counts and digests; oldest first."""
    with databases_of(environment, "archive.log") as databases:
        if verify:
            _prove(environment, databases.master)
            return
        key = databases.key_typed(school) if school else None
        entries, noun = audit_log.entries(databases.master, key, year, act), databases.model.tenant.noun
        if not entries and not json:
            say("The log holds no such entry.")
        show(to_json(entry.to_json()) if json else records.log_line(noun, entry) for entry in entries)
        if problem := chain_of(databases.master).problem:
            raise CutoverError(f"The log is not as it was written: {problem}.", hint=ADVICE)


def _prove(environment: Environment, master: Session) -> None:
    """Say what was proved; raise CutoverError with all that is wrong."""
    proof = prove_log(master, Bucket(environment.store))
    journals = prove_journals(EnvironmentStore(environment.store), proof.accepted)
    if problems := _problems(proof, journals):
        raise CutoverError(f"Not everything is as it was written. {' '.join(problems)}", hint=ADVICE)
    nights = f"{many(journals.runs, 'journal')} with {many(journals.events, 'event')}"
    log_found = f"{many(proof.entries, 'entry')} of the log, {many(proof.heads, 'head')} of it in the store"
    say(f"{log_found}, {nights}: none changed, removed or put in.")


def _problems(proof: LogProof, journals: JournalProof) -> list[str]:
    log_problem = [f"archiver.log: {proof.problem}."] if proof.problem else []
    return [*log_problem, *journals.problems.values()]


@task("archive.accept-log", REASON, *ACTS, example='"why"')
def accept(environment: Environment, reason: str) -> None:
    """Accept the log and the journals as they are, after a set-back of master or a change that can't be undone."""
    with databases_of(environment, "archive.accept-log") as databases:
        master, bucket = databases.session(MASTER), Bucket(environment.store)
        prepare(master)
        journals = prove_journals(EnvironmentStore(environment.store), prove_log(master, bucket).accepted)
        with head_stored(bucket, master):
            proof = accept_log(master, bucket, reason, journals.problems)
    say("Accepted, and written to the log:")
    show(f"  - {problem}" for problem in _problems(proof, journals))


tasks = (log, accept)
