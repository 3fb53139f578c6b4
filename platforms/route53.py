"""Names in a hosted zone of Route 53: point them at other names, and follow the change until all servers have it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from inventory.platforms import Aws
from platforms.aws import changing, client, querying
from platforms.progress import Progress, State

IN_SYNC = "INSYNC"  # every name server of the zone has it
Row = tuple[str, str]  # name, type


def move(aws: Aws, zone: str, targets: Mapping[str, str], ttl: int) -> str:
    """Point each name at its target, all or none; return the change's id. `ttl` is in seconds.

    Raises CutoverError if nothing was changed, UnknownError if that is not known.
    """
    changes = [{"Action": "UPSERT", "ResourceRecordSet": _cname(*pair, ttl)} for pair in targets.items()]
    with changing(f"Moving {', '.join(targets)} in zone {zone}"):
        response = client(aws, "route53").change_resource_record_sets(
            HostedZoneId=zone, ChangeBatch={"Changes": changes}
        )
    return str(response["ChangeInfo"]["Id"])


def progress(aws: Aws, change: str) -> Progress:
    """Return the progress of a change; raise CutoverError if Route 53 does not answer."""
    with querying(f"Asking Route 53 for the change {change}"):
        status = client(aws, "route53").get_change(Id=change)["ChangeInfo"]["Status"]
    return Progress(
        state=State.DONE if status == IN_SYNC else State.PENDING, sentence=f"the change {change} is {status}"
    )


def zone_name(aws: Aws, zone: str) -> str:
    """Return the name of a hosted zone; raise CutoverError if there is no such zone, or it may not be read."""
    with querying(f"Asking Route 53 for zone {zone}"):
        return _plain(client(aws, "route53").get_hosted_zone(Id=zone)["HostedZone"]["Name"])


def records(aws: Aws, zone: str, names: Sequence[str]) -> tuple[Row, ...]:
    """Return the type of each record that these names have in a zone."""
    return tuple(row for name in names for row in _records(aws, zone, name))


def _records(aws: Aws, zone: str, name: str) -> list[Row]:
    with querying(f"Asking Route 53 for {name} in zone {zone}"):
        response = client(aws, "route53").list_resource_record_sets(HostedZoneId=zone, StartRecordName=name)
    return [(name, each["Type"]) for each in response["ResourceRecordSets"] if _plain(each["Name"]) == name]


def _cname(name: str, target: str, ttl: int) -> dict[str, Any]:
    return {"Name": name, "Type": "CNAME", "TTL": ttl, "ResourceRecords": [{"Value": target}]}


def _plain(name: str) -> str:
    return name.rstrip(".").lower()
