"""The live ports of an environment: SSH, databases, the web and the name server, wired together."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from typing import TYPE_CHECKING

import dns.exception
import dns.resolver

from archiver.postgres.operator import host, operator
from archiver.postgres.session import connect
from errors import CutoverError
from inventory.model import Database, Dns, Environment
from inventory.platforms import Aws
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.executors import LiveExecutor
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DnsLookup, HttpGet, ProbeOutput, SqlQuery
from runbooks.engine.model.probe_output import excerpt
from runbooks.night.amazon import AmazonApi

if TYPE_CHECKING:
    from runbooks.engine.live.fleet import Fleet

PATIENCE = 10  # seconds for an answer
SECOND_PATIENCE = 2  # seconds for the answer about IPv6 where the one about IPv4 has come
LIMITS = {"statement_timeout": "60s"}


@contextmanager
def live_executor(environment: Environment, clock: SystemClock) -> Iterator[LiveExecutor]:
    """Yield an executor for the live environment; close its connections at the end."""
    with fleet_of(environment) as fleet:
        yield LiveExecutor(
            ssh=fleet,
            jobs=_jobs(fleet, clock),
            sql=Databases(environment.databases),
            http=Web(),
            dns=NameServer(environment.dns),
            object_store=EnvironmentStore(environment.store),
            amazon=AmazonApi(environment.aws or Aws(), clock),
            clock=clock,
        )


@contextmanager
def remote_jobs(environment: Environment, clock: SystemClock) -> Iterator[RemoteJobs]:
    """Yield the jobs on the environment's hosts; close the connections at the end."""
    with fleet_of(environment) as fleet:
        yield _jobs(fleet, clock)


@contextmanager
def fleet_of(environment: Environment) -> Iterator[Fleet]:
    """Yield the environment's hosts; close the connections at the end."""
    from runbooks.engine.live.fleet import Fleet  # importing Fabric takes long, and who only looks needs none

    with closing(Fleet(environment.hosts, environment.ssh)) as fleet:
        yield fleet


def _jobs(fleet: Fleet, clock: SystemClock) -> RemoteJobs:
    return RemoteJobs(fleet, clock, {"CUTOVER_OPERATOR": operator()}, operator=f"{operator()}@{host()}")


@dataclass(frozen=True)
class Databases:
    """The product's databases; each query has a session of its own."""

    databases: Mapping[str, Database]

    def query(self, query: SqlQuery) -> ProbeOutput:
        """Return the rows; DatabaseError if the query fails."""
        database = self.databases[query.database]
        session = connect(database.connection, name=f"cutover by {operator()}", pooler=database.pooler, settings=LIMITS)
        try:
            if query.own_session:
                session.ownership.require(query.name)
            return ProbeOutput(rows=tuple(tuple(row) for row in session.rows(query.statement, doing=query.name)))
        finally:
            session.close()


class Web:
    """The product as a visitor sees it: asked directly, because a proxy's answer proves nothing."""

    def get(self, request: HttpGet) -> ProbeOutput:
        """Return status and reason, whatever the status; CutoverError if there is no answer."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request.url, timeout=PATIENCE) as answer:
                return _status(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return _status(error.code)
        except HTTPException as error:
            said = excerpt(" ".join(str(error).split())) or type(error).__name__
            raise CutoverError(f"Asking {request.url} failed: its answer is no HTTP ({said}).") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise CutoverError(f"Asking {request.url} failed: {reason}.") from error


@dataclass(frozen=True)
class NameServer:
    """The name server of the inventory, or the system's."""

    settings: Dns

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        """Return a row (name, address) for each address; none for a name that does not exist."""
        resolver = self._resolver()
        return ProbeOutput(
            rows=tuple((name, address) for name in lookup.names for address in _addresses(resolver, name))
        )

    def _resolver(self) -> dns.resolver.Resolver:
        resolver = dns.resolver.Resolver(configure=self.settings.server is None)
        if self.settings.server is not None:
            resolver.nameservers = [self.settings.server]
            resolver.port = self.settings.port
        return resolver


def _addresses(resolver: dns.resolver.Resolver, name: str) -> list[str]:
    """Return the addresses of a name: an IPv4 one counts, whatever is answered for IPv6."""
    first = _of_kind(resolver, name, "A", PATIENCE)
    try:
        return sorted([*first, *_of_kind(resolver, name, "AAAA", SECOND_PATIENCE if first else PATIENCE)])
    except CutoverError:
        if first:
            return sorted(first)
        raise


def _of_kind(resolver: dns.resolver.Resolver, name: str, kind: str, patience: float) -> list[str]:
    try:
        return [str(record) for record in resolver.resolve(name, kind, lifetime=patience, raise_on_no_answer=False)]
    except dns.resolver.NXDOMAIN:
        return []
    except (dns.exception.DNSException, OSError, ValueError) as error:
        raise CutoverError(f"Resolving {name} failed: {' '.join(str(error).split())}.") from error


def _status(code: int) -> ProbeOutput:
    phrases = {status.value: status.phrase for status in HTTPStatus}
    return ProbeOutput(code=code, text=phrases.get(code, "unknown status"))
