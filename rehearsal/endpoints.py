"""The addresses of everything in a running lab: for people and tests, and as the inventory's overlay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from rehearsal.blueprint import BACKUPS, PRODUCT, ROLE, SCRATCH, Blueprint, LabDatabase
from rehearsal.files import write_json
from rehearsal.ports import LOOPBACK


@dataclass(frozen=True, kw_only=True)
class SshEndpoint:
    """A host over SSH."""

    address: str
    port: int
    user: str
    key: str
    known_hosts: str


@dataclass(frozen=True, kw_only=True)
class StoreEndpoint:
    """The S3 server."""

    endpoint: str
    region: str
    credentials: str  # an AWS shared-credentials file
    buckets: tuple[str, ...]  # of archives, and of backups


@dataclass(frozen=True, kw_only=True)
class DnsEndpoint:
    """The name server."""

    server: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """Every endpoint of a lab. A DSN is for libpq, and names a file with the password."""

    home: str
    databases: Mapping[str, str]  # by name: DSN
    standbys: Mapping[str, str]  # by the database's name: DSN; answers while the standby is active
    scratch: str  # DSN
    hosts: Mapping[str, SshEndpoint]
    store: StoreEndpoint
    dns: DnsEndpoint
    app: str  # URL

    def to_json(self) -> str:
        """Return all endpoints as JSON, for a script."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False)


def of(lab: Blueprint) -> Endpoints:
    """Return the endpoints of a lab whose servers have started."""
    passfile = lab.layout.passfile
    return Endpoints(
        home=lab.home,
        databases=product_dsns(lab),
        standbys={each.name: lab.standby(each).dsn(**_as_role(lab)) for each in lab.databases},
        scratch=lab.scratch.dsn(dbname=SCRATCH, user=ROLE, passfile=passfile),
        hosts=_hosts(lab),
        store=StoreEndpoint(
            endpoint=lab.store.endpoint,
            region=lab.region,
            credentials=str(lab.layout.credentials),
            buckets=(lab.bucket, BACKUPS),
        ),
        dns=DnsEndpoint(server=LOOPBACK, port=lab.daemon("dns").said()["port"]),
        app=f"http://{LOOPBACK}:{lab.daemon('app').said()['port']}/",
    )


def product_dsns(lab: Blueprint) -> dict[str, str]:
    """Return the DSNs of the product's databases by name, for its ordinary role."""
    return {each.name: lab.primary(each).dsn(**_as_role(lab)) for each in lab.databases}


def write_overlay(lab: Blueprint) -> None:
    """Write the overlay of the inventory, as JSON, which is YAML too."""
    write_json(lab.layout.endpoints, _overlay(lab, of(lab)))


def _overlay(lab: Blueprint, endpoints: Endpoints) -> dict[str, Any]:
    secrets, keys = lab.layout.secrets, ("address", "port", "user")
    hosts = {name: {key: getattr(host, key) for key in keys} for name, host in endpoints.hosts.items()}
    scratch = lab.scratch.connection(dbname=SCRATCH, user=ROLE, passfile=lab.layout.passfile)
    return {
        "hosts": hosts,
        "ssh": {"key": str(secrets / "key"), "known_hosts": str(secrets / "known_hosts")},
        "databases": {each.name: _database(lab, each) for each in lab.databases},
        "scratch": {"connection": scratch},
        "store": {"endpoint": endpoints.store.endpoint, "credentials": endpoints.store.credentials},
        "dns": asdict(endpoints.dns),
        "app": {"url": endpoints.app},
        "state": str(lab.layout.state),
    }


def _database(lab: Blueprint, database: LabDatabase) -> dict[str, Any]:
    primary = lab.primary(database)
    return {
        "connection": primary.connection(**_as_role(lab)),
        "system_identifier": int(primary.sql("SELECT system_identifier FROM pg_control_system()")),
        "data_directory": str(primary.data),
        "backup_directory": str(lab.layout.host(database.host)),
    }


def _hosts(lab: Blueprint) -> dict[str, SshEndpoint]:
    ports, secrets = lab.daemon("ssh").said()["ports"], lab.layout.secrets
    return {
        host.name: SshEndpoint(
            address=host.address,
            port=ports[host.name],
            user=host.user,
            key=str(secrets / "key"),
            known_hosts=str(secrets / "known_hosts"),
        )
        for host in lab.hosts
    }


def _as_role(lab: Blueprint) -> dict[str, Any]:
    return {"dbname": PRODUCT, "user": ROLE, "passfile": lab.layout.passfile}
