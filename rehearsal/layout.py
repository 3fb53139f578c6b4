"""Every path of a lab, in one place; all below its home, which is `.rehearsal` unless REHEARSAL_HOME names another."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = ".rehearsal"  # from the project's root; inventory/rehearsal.yaml says both of these too
VARIABLE = "REHEARSAL_HOME"


def chosen_home() -> Path:
    """The home that the operator's environment names, or the default one."""
    return Path(__file__).parent.parent / (os.environ.get(VARIABLE) or DEFAULT_HOME)


@dataclass(frozen=True)
class Layout:
    """The paths below a lab's home, such as /srv/cutover/.rehearsal."""

    home: Path

    @property
    def lock(self) -> Path:
        """Held while the lab is being started or taken down; also what tells a lab's folder from any other."""
        return self.home / "rehearsal.lock"

    @property
    def blueprint(self) -> Path:
        """What the lab is made of; read by the host commands."""
        return self.home / "lab.json"

    @property
    def endpoints(self) -> Path:
        """The overlay of the inventory; written last, so that where it is the lab is whole."""
        return self.home / "endpoints.yaml"

    @property
    def postgres(self) -> Path:
        """PostgreSQL's files, where its user can reach them here."""
        return self.home / "postgres"

    @property
    def postgres_elsewhere(self) -> Path:
        """Holds the name of the folder with PostgreSQL's files, where they can't be here."""
        return self.home / "postgres-elsewhere"

    @property
    def secrets(self) -> Path:
        """Passwords and keys."""
        return self.home / "secrets"

    @property
    def passfile(self) -> Path:
        """The password of the ordinary role, as libpq wants it."""
        return self.secrets / "passfile"

    @property
    def credentials(self) -> Path:
        """The store's keys, as AWS tools want them."""
        return self.secrets / "aws-credentials"

    @property
    def servers(self) -> Path:
        """A folder for each server that is not PostgreSQL: its log, its pid, its files."""
        return self.home / "servers"

    @property
    def world(self) -> Path:
        """What is switched on and off between hosts: maintenance mode, the ETLs, the zone of DNS names."""
        return self.home / "world"

    @property
    def maintenance(self) -> Path:
        """`on` or `off`."""
        return self.world / "maintenance"

    @property
    def zone(self) -> Path:
        """The DNS names, one a line, such as `warehouse.ttm.com CNAME warehouse-old.farm.ttm.com`."""
        return self.world / "zone"

    @property
    def watcher_pid(self) -> Path:
        """Names the process of System Watcher; absent where a person stopped it."""
        return self.world / "system-watcher.pid"

    def etl(self, host: str) -> Path:
        """`enabled` or `disabled`, for a warehouse."""
        return self.world / f"etl.{host}"

    def farm_name(self, host: str) -> Path:
        """What a warehouse's farm is called."""
        return self.world / f"name.{host}"

    def dynos(self, host: str) -> Path:
        """How many dynos a warehouse's ETL has."""
        return self.world / f"dynos.{host}"

    def size(self, host: str) -> Path:
        """How large a warehouse's farm is: `large`, or `small`."""
        return self.world / f"size.{host}"

    @property
    def configured(self) -> Path:
        """The URL of the warehouse that the app is told of when it starts."""
        return self.world / "warehouse-url"

    @property
    def app_running(self) -> Path:
        """With which URL the app was started, and when, as JSON."""
        return self.world / "app-running"

    def host(self, name: str) -> Path:
        """A host's HOME."""
        return self.home / "hosts" / name

    @property
    def state(self) -> Path:
        """The tool's own folder for journals and locks, in a rehearsal."""
        return self.home / "state"
