"""Amazon on this machine: moto's EC2 and Route 53, behind a proxy that a test lets answer otherwise."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3

from rehearsal.ports import reserved
from rehearsal.waiting import await_condition
from tests import web

REGION = "us-east-1"
SNAPSHOT = re.compile(rb"(<snapshotId>(snap-\w+)</snapshotId>.*?<startTime>)[^<]*", re.DOTALL)
LOST = 0  # the status of an answer that never comes
Answer = tuple[int, bytes]
Spoil = Callable[[Answer], Answer]


@dataclass
class FakeAmazon:
    """moto's state, and the changes that the proxy makes to its answers."""

    moto: str
    endpoint: str = ""
    instead: dict[str, Answer] = field(default_factory=dict)  # operation: the answer, and moto is not asked
    spoilt: dict[str, Spoil] = field(default_factory=dict)  # operation: what becomes of moto's answer
    asked: list[str] = field(default_factory=list)  # operations
    now: Callable[[], datetime] | None = None  # the night's time; moto knows the machine's alone
    _begun: dict[bytes, bytes] = field(default_factory=dict)  # snapshot: the night's time when it was first seen

    @cached_property
    def ec2(self) -> Any:
        """A person's own way to moto, past the proxy."""
        return boto3.client("ec2", region_name=REGION, endpoint_url=self.moto)

    @cached_property
    def route53(self) -> Any:
        """The same, for names."""
        return boto3.client("route53", region_name=REGION, endpoint_url=self.moto)

    @cached_property
    def _image(self) -> str:
        return str(self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"])

    def instance(self, volumes: int = 1) -> str:
        """A new instance with so many volumes; its id."""
        ec2 = self.ec2
        (machine,) = ec2.run_instances(ImageId=self._image, MinCount=1, MaxCount=1)["Instances"]
        for number in range(1, volumes):
            volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=8)["VolumeId"]
            ec2.attach_volume(InstanceId=machine["InstanceId"], VolumeId=volume, Device=f"/dev/sdf{number}")
        return str(machine["InstanceId"])

    def snapshots(self, instance: str) -> list[Any]:
        """Those of an instance's volumes."""
        ec2 = self.ec2
        (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        volumes = [each["Ebs"]["VolumeId"] for each in found["Instances"][0]["BlockDeviceMappings"]]
        chosen = [{"Name": "volume-id", "Values": volumes}]
        return list(ec2.describe_snapshots(OwnerIds=["self"], Filters=chosen)["Snapshots"])

    def size(self, instance: str) -> tuple[str, str]:
        """An instance's type and state."""
        (machine,) = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
        return str(machine["InstanceType"]), str(machine["State"]["Name"])

    def zone(self, name: str) -> str:
        """A new hosted zone; its id."""
        made = self.route53.create_hosted_zone(Name=name, CallerReference=name)
        return str(made["HostedZone"]["Id"]).removeprefix("/hostedzone/")

    def names(self, zone: str) -> dict[str, str]:
        """The names of a zone that lead to another name, and where to."""
        found = self.route53.list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
        cnames = [each for each in found if each["Type"] == "CNAME"]
        return {each["Name"].rstrip("."): each["ResourceRecords"][0]["Value"] for each in cnames}

    def answer(self, operation: str, forward: Callable[[], Answer]) -> Answer:
        """Return the proxy's answer to an operation."""
        self.asked.append(operation)
        if operation in self.instead:
            return self.instead[operation]
        status, text = forward()
        answer = status, SNAPSHOT.sub(self._dated, text) if self.now else text
        spoil = self.spoilt.get(operation)
        return spoil(answer) if spoil else answer

    def _dated(self, snapshot: re.Match[bytes]) -> bytes:
        assert self.now
        begun = self._begun.setdefault(snapshot[2], f"{self.now():%Y-%m-%dT%H:%M:%S.000Z}".encode())
        return snapshot[1] + begun


def refusal(code: str, status: int = 400) -> Answer:
    """An error as EC2 and Route 53 write it: each reads its own part."""
    error = f"<Error><Code>{code}</Code><Message>{code}, as Amazon says it.</Message></Error>"
    return status, f"<ErrorResponse><Errors>{error}</Errors>{error}</ErrorResponse>".encode()


def saying(old: str, new: str) -> Spoil:
    """Another word in an answer."""
    return lambda answer: (answer[0], answer[1].replace(old.encode(), new.encode()))


@contextmanager
def serving() -> Iterator[FakeAmazon]:
    """Both while the block runs."""
    with reserved(1) as reservation:
        port = reservation.ports[0]
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as moto:
        try:
            amazon = FakeAmazon(moto=f"http://127.0.0.1:{port}")
            await_condition(lambda: _is_up(amazon), doing="Waiting for moto", seconds=60)
            with web.serving(_proxy(amazon)) as amazon.endpoint:
                yield amazon
        finally:
            moto.kill()


def _is_up(amazon: FakeAmazon) -> bool:
    try:
        urllib.request.urlopen(f"{amazon.moto}/moto-api/", timeout=5).close()
    except urllib.error.HTTPError as error:
        error.close()
    except OSError:
        return False
    return True


def _proxy(amazon: FakeAmazon) -> type[BaseHTTPRequestHandler]:
    class Handler(web.Quiet, BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes) -> None:
            def forward() -> Answer:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                with closing(HTTPConnection(urlsplit(amazon.moto).netloc, timeout=30)) as moto:
                    moto.request(self.command, self.path, body, headers)
                    response = moto.getresponse()
                    return response.status, response.read()

            status, text = amazon.answer(_operation(self.command, self.path, body), forward)
            if status == LOST:
                self.close_connection = True
                return
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

    return Handler


def _operation(method: str, path: str, body: bytes) -> str:
    """Return EC2's operation; for Route 53, whose operations are paths, `POST rrset` or `GET change`."""
    action = parse_qs(body.decode()).get("Action")
    return action[0] if action else f"{method} {'rrset' if '/rrset' in path else path.split('/')[2]}"
