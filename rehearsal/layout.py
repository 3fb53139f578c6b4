"""All paths of a lab; they are below its home, which is `.rehearsal` unless REHEARSAL_HOME names another folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = ".rehearsal"  # from the project's root; inventory/rehearsal.yaml has both of these too
VARIABLE = "REHEARSAL_HOME"
MARK = "REHEARSAL_LAB"  # environment variable of every process of a lab: the lab's home


def chosen_home() -> Path:
    """Return the home that the operator's environment names, or the default one."""
    return Path(__file__).parent.parent / (os.environ.get(VARIABLE) or DEFAULT_HOME)


@dataclass(frozen=True)
class Layout:
    """The paths below a lab's home, such as /srv/cutover/.rehearsal."""

    home: Path

    @property
    def lock(self) -> Path:
        """The lock, held while the lab is started or taken down; it also identifies a folder as a lab's."""
        return self.home / "rehearsal.lock"

    @property
    def blueprint(self) -> Path:
        """The blueprint; read by the host commands."""
        return self.home / "lab.json"

    @property
    def endpoints(self) -> Path:
        """The overlay of the inventory; written last, so that it exists only once the lab is complete."""
        return self.home / "endpoints.yaml"

    @property
    def postgres(self) -> Path:
        """The folder of PostgreSQL's files, if its user can reach them here."""
        return self.home / "postgres"

    @property
    def postgres_elsewhere(self) -> Path:
        """The file with the name of the folder of PostgreSQL's files, if they can't be here."""
        return self.home / "postgres-elsewhere"

    @property
    def secrets(self) -> Path:
        """The folder of passwords and keys."""
        return self.home / "secrets"

    @property
    def passfile(self) -> Path:
        """The password of the ordinary role, as libpq expects it."""
        return self.secrets / "passfile"

    @property
    def credentials(self) -> Path:
        """The store's keys, as AWS tools expect them."""
        return self.secrets / "aws-credentials"

    @property
    def servers(self) -> Path:
        """The folder of servers other than PostgreSQL: each has its log, its pid and its files in it."""
        return self.home / "servers"

    @property
    def world(self) -> Path:
        """The folder of the switches between hosts: maintenance mode, the ETLs, the zone of DNS names."""
        return self.home / "world"

    @property
    def maintenance(self) -> Path:
        """The file that says `on` or `off`."""
        return self.world / "maintenance"

    @property
    def zone(self) -> Path:
        """The DNS names, one per line, such as `warehouse.ttm.com CNAME warehouse-old.farm.ttm.com`."""
        return self.world / "zone"

    @property
    def watcher_pid(self) -> Path:
        """The file with System Watcher's process id; absent if a person stopped it."""
        return self.world / "system-watcher.pid"

    def etl(self, host: str) -> Path:
        """Return the file of a warehouse's ETL: `enabled` or `disabled`."""
        return self.world / f"etl.{host}"

    def farm_name(self, host: str) -> Path:
        """Return the file with the name of a warehouse's farm."""
        return self.world / f"name.{host}"

    def dynos(self, host: str) -> Path:
        """Return the file with the number of dynos of a warehouse's ETL."""
        return self.world / f"dynos.{host}"

    def size(self, host: str) -> Path:
        """Return the file with the size of a warehouse's farm: `large` or `small`."""
        return self.world / f"size.{host}"

    def feature(self, name: str) -> Path:
        """Return the file of a feature of the product's code: `deployed` or `reverted`."""
        return self.world / f"feature.{name}"

    @property
    def warehouse_link(self) -> Path:
        """The file that says whether the warehouse reads from the main database: `linked` or `unlinked`."""
        return self.world / "warehouse-link"

    @property
    def configured(self) -> Path:
        """The file with the warehouse URL that the app reads when it starts."""
        return self.world / "warehouse-url"

    @property
    def app_running(self) -> Path:
        """The file with the URL that the app was started with, and the time, as JSON."""
        return self.world / "app-running"

    def host(self, name: str) -> Path:
        """Return a host's HOME."""
        return self.home / "hosts" / name

    def checkout(self, host: str) -> Path:
        """Return the folder of this tool on a host that has a checkout of its own."""
        return self.host(host) / "checkout"

    @property
    def state(self) -> Path:
        """The tool's own folder for journals and locks in a rehearsal."""
        return self.home / "state"
