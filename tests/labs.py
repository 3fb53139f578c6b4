"""A lab for tests, and a way onto its hosts."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from inventory.load import FOLDER, load_file
from inventory.model import Environment
from rehearsal import blueprint, lab, layout, postgres_server
from rehearsal.blueprint import Blueprint
from rehearsal.endpoints import Endpoints
from rehearsal.postgres_server import Cluster
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.steps.context import NightContext


@dataclass(frozen=True)
class Lab:
    """A running lab, its inventory with the overlay, and a way onto its hosts."""

    home: Path
    endpoints: Endpoints
    environment: Environment
    fleet: Fleet

    def type(self, host: str, command: str) -> ProbeOutput:
        """Return the output that a person would see who types this there."""
        return self.fleet.run(RemoteCommand(host=host, command=command))

    def say(self, host: str, command: str) -> str:
        """Return the output of a command that must succeed."""
        output = self.type(host, command)
        assert (output.code, output.error) == (0, ""), output
        return output.text.strip()

    def record(self, host: str, command: str) -> dict[str, object]:
        """The JSON that a probe prints."""
        return dict(json.loads(self.say(host, command)))

    @property
    def night(self) -> NightContext:
        """Its inventory on its latest night."""
        return NightContext(environment=self.environment, date=max(self.environment.nights))

    @property
    def blueprint(self) -> Blueprint:
        """The layout that it is made of."""
        return blueprint.load(self.home)

    def primary(self, host: str) -> Cluster:
        """The server on a database host."""
        return self.blueprint.primary(self.blueprint.database_on(host))


@contextmanager
def started(schools: int) -> Iterator[Lab]:
    """A lab that runs while the block does."""
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    endpoints = lab.up(home, schools=schools)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(layout.VARIABLE, str(home))
        environment = load_file(FOLDER / "rehearsal.yaml")
    fleet = Fleet(environment.hosts, environment.ssh)
    try:
        yield Lab(home, endpoints, environment, fleet)
    finally:
        fleet.close()
        lab.down(home)


def started_from(files: Path, model: Cluster, port: int) -> Cluster:
    """A server on a copy of a snapshot's files."""
    folder = model.folder.with_name("from-snapshot")
    copy = Cluster(programs=model.programs, name="copy", folder=folder, port=port, passfile=model.passfile)
    model.programs.make_folder(folder)
    shutil.copytree(files, copy.data)
    if (owner := model.programs.owner) is not None:
        for path in (copy.data, *copy.data.rglob("*")):
            os.chown(path, owner, -1)
    postgres_server.configure(copy)
    postgres_server.start(copy)
    return copy


def just_now(moment: object) -> bool:
    """True if a moment given by a probe lies in the last minute."""
    age = datetime.now(UTC) - datetime.fromisoformat(str(moment))
    return timedelta(0) <= age < timedelta(minutes=1)


def runs(pid: int) -> bool:
    """True if a process lives, and is not a zombie."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
