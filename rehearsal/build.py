"""Starts all parts of a lab, in parallel where they don't depend on each other."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rehearsal import blueprint, daemon, design, endpoints, postgres_programs, s3_server, ssh_hosts
from rehearsal.blueprint import BACKUPS, PRODUCT, ROLE, SCRATCH, Blueprint
from rehearsal.hosts import standby, watcher
from rehearsal.hosts.furnish import environment, furnish
from rehearsal.layout import MARK, Layout
from rehearsal.ports import Reservation, reserved
from rehearsal.postgres_programs import OPEN_FOLDER
from rehearsal.postgres_server import ADMIN, Cluster, create, start, write_passfile
from rehearsal.seed import seed
from rehearsal.ssh_hosts import SshHost

THREADS = 10  # they mostly wait for servers
SEED = 2014
Run = Callable[..., Future[Any]]
Progress = Callable[[str], None]


def build(home: Path, schools: int, on_progress: Progress) -> None:
    """Start a lab in an empty home, with everything in its normal state."""
    environment_of_lab = design.inventory()
    with reserved(design.ports_needed(environment_of_lab)) as reservation, _threads() as run:
        lab = _laid_out(home, reservation)
        on_progress(f"starting {len(lab.servers)} PostgreSQL servers, S3, SSH, DNS and the app")
        others = [run(_start_store, lab), run(_start_ssh, lab, reservation)]
        others += [run(daemon.start, lab.daemon(name), _config(lab)) for name in ("dns", "app")]
        _start_databases(lab, schools, run, on_progress)
        _all(others)
    watcher.begin(lab, lab.watcher)
    endpoints.write_overlay(lab)


def _laid_out(home: Path, reservation: Reservation) -> Blueprint:
    """Create the folders and the blueprint before anything runs: from then on `down` finds everything."""
    layout = Layout(home)
    home.chmod(OPEN_FOLDER)
    postgres = _postgres_folder(layout)
    programs = postgres_programs.find(postgres, {MARK: str(home)})
    lab = design.draw(design.inventory(), home, programs, postgres, reservation.ports)
    blueprint.save(lab)
    layout.secrets.mkdir(mode=0o700)
    layout.servers.mkdir()
    layout.state.mkdir()
    furnish(lab)
    return lab


def _postgres_folder(layout: Layout) -> Path:
    folder = layout.postgres
    if postgres_programs.needs_other_place(folder):
        folder = postgres_programs.other_place()
        layout.postgres_elsewhere.write_text(str(folder), encoding="utf-8")  # first, so that `down` finds the folder
    folder.mkdir()
    folder.chmod(OPEN_FOLDER)
    return folder


def _start_databases(lab: Blueprint, schools: int, run: Run, on_progress: Progress) -> None:
    admin, role = secrets.token_urlsafe(), secrets.token_urlsafe()
    write_passfile(lab.admin_passfile, ADMIN, admin, owner=lab.programs.owner)
    write_passfile(lab.layout.passfile, ROLE, role)
    _all([run(_start_server, cluster, admin, role) for cluster in lab.servers])
    on_progress(f"writing {schools:,} schools into {len(lab.databases)} databases")
    dsns = endpoints.product_dsns(lab)
    master = dsns.pop("master")
    seed(master, dsns, schools=schools, seed=SEED)
    on_progress(f"starting {len(lab.databases)} standbys")
    _all([run(standby.begin, lab, database) for database in lab.databases])


def _start_server(cluster: Cluster, admin: str, role: str) -> None:
    create(cluster, password=admin)
    start(cluster)
    dbname = SCRATCH if cluster.name == SCRATCH else PRODUCT
    cluster.sql(
        f"CREATE ROLE {ROLE} LOGIN PASSWORD '{role}';\n"
        f"GRANT pg_monitor TO {ROLE};\n"
        f"CREATE DATABASE {dbname} OWNER {ROLE};\n"
    )


def _start_store(lab: Blueprint) -> None:
    access_key, secret = secrets.token_hex(10).upper(), secrets.token_hex(20)
    s3_server.write_credentials(lab.layout.credentials, access_key, secret)
    s3_server.start(lab.store, access_key=access_key, secret=secret, buckets=(lab.bucket, BACKUPS))


def _start_ssh(lab: Blueprint, reservation: Reservation) -> None:
    hosts = {
        host.name: SshHost(address=host.address, home=str(lab.layout.host(host.name)), env=environment(lab, host))
        for host in lab.hosts
    }
    # The server never uses them: while it lives, no other process gets the port of a standby that is down for a while.
    descriptors = [bound.fileno() for bound in reservation.sockets[: len(lab.databases)]]
    user = lab.hosts[0].user
    ssh_hosts.start(lab.daemon("ssh"), hosts, user=user, secrets=lab.layout.secrets, pass_fds=descriptors)


def _config(lab: Blueprint) -> dict[str, str]:
    return {"zone": str(lab.layout.zone), "maintenance": str(lab.layout.maintenance)}


@contextmanager
def _threads() -> Iterator[Run]:
    """Yield a pool of threads that start servers; when one fails, those not yet begun are canceled."""
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            yield pool.submit
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _all(futures: Sequence[Future[Any]]) -> None:
    """Wait for all of them; raise what the first failed one raised."""
    for future in futures:
        future.result()
