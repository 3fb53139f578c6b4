"""Snapshots of the volumes of an EC2 instance: taken, followed to their end, and listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errors import CutoverError, UnknownError
from inventory.platforms import Aws
from platforms.aws import changing, client, expecting_dry_run, querying
from platforms.progress import Progress, State

NAME = "cutover"  # the tag by which the snapshots of one attempt are found again
COMPLETED, PENDING = "completed", "pending"  # any other state is a failure
Row = tuple[str, str, str, str, str]  # volume, snapshot, state, when it was taken, what EC2 says of it


def take(aws: Aws, instance: str, name: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """The ids of snapshots of all volumes of an instance, taken at one moment; those of that name where there are some.

    A tag may be seen some seconds late: then there are two sets, and either will do. Raises CutoverError where none
    was taken, UnknownError where nobody knows.
    """
    if there := _named(aws, name):
        return there
    try:
        made = _create(aws, instance, {NAME: name, **tags})
    except UnknownError:
        if there := _named(aws, name):
            return there
        raise
    if not made:
        raise CutoverError(f"Taking snapshots of {instance} failed: it has no volumes.", hint="Look at aws/instances.")
    return made


def progress(aws: Aws, snapshots: tuple[str, ...]) -> Progress:
    """How far they are; CutoverError where EC2 does not say."""
    with querying("Asking EC2 for snapshots"):
        found = client(aws, "ec2").describe_snapshots(SnapshotIds=list(snapshots))["Snapshots"]
    wrong = [each for each in found if each["State"] not in (COMPLETED, PENDING)]
    if wrong:
        return Progress(state=State.FAILED, sentence="; ".join(_sentence(each) for each in wrong))
    pending = [f"{each['SnapshotId']} {each.get('Progress') or '0%'}" for each in found if each["State"] == PENDING]
    if pending or len(found) < len(snapshots):
        return Progress(state=State.PENDING, sentence=f"{', '.join(pending)} of {len(snapshots)} snapshots")
    return Progress(state=State.DONE, sentence=f"{', '.join(snapshots)} completed")


def listed(aws: Aws, instance: str) -> tuple[Row, ...]:
    """The snapshots of each of an instance's volumes; a volume without one stands in a row of its own."""
    volumes = volumes_of(aws, instance)
    with querying(f"Listing the snapshots of {instance}"):
        pages = client(aws, "ec2").get_paginator("describe_snapshots")
        chosen = [{"Name": "volume-id", "Values": list(volumes)}]
        found = [each for page in pages.paginate(OwnerIds=["self"], Filters=chosen) for each in page["Snapshots"]]
    rows = [
        (each["VolumeId"], each["SnapshotId"], each["State"], each["StartTime"].isoformat(), _sentence(each))
        for each in found
    ]
    bare = set(volumes) - {row[0] for row in rows}
    return (*rows, *((volume, "", "", "", "") for volume in sorted(bare)))


def volumes_of(aws: Aws, instance: str) -> tuple[str, ...]:
    """The volumes of an instance; CutoverError where there is no such instance, or it has none."""
    with querying(f"Asking EC2 for {instance}"):
        (found,) = client(aws, "ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    (machine,) = found["Instances"]
    volumes = tuple(each["Ebs"]["VolumeId"] for each in machine["BlockDeviceMappings"] if "Ebs" in each)
    if not volumes:
        raise CutoverError(f"{instance} has no EBS volumes, so there is nothing to take a snapshot of.")
    return volumes


def would_take(aws: Aws, instance: str) -> None:
    """Asks EC2 whether it would take snapshots of an instance, and lets it take none; CutoverError where not."""
    with querying(f"Asking EC2 for leave to take snapshots of {instance}"), expecting_dry_run():
        client(aws, "ec2").create_snapshots(InstanceSpecification={"InstanceId": instance}, DryRun=True)


def _named(aws: Aws, name: str) -> tuple[str, ...]:
    with querying("Asking EC2 for snapshots"):
        chosen = [{"Name": f"tag:{NAME}", "Values": [name]}]
        found = client(aws, "ec2").describe_snapshots(OwnerIds=["self"], Filters=chosen)["Snapshots"]
    return tuple(each["SnapshotId"] for each in found)


def _create(aws: Aws, instance: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    with changing(f"Taking snapshots of {instance}"):
        made = client(aws, "ec2", tries=1).create_snapshots(
            InstanceSpecification={"InstanceId": instance},
            Description=tags[NAME],
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": pairs}],
        )
    return tuple(each["SnapshotId"] for each in made["Snapshots"])


def _sentence(snapshot: Mapping[str, Any]) -> str:
    said = snapshot.get("StateMessage") or ""
    reason = f": {said.rstrip('.')}" if said else ""
    return f"snapshot {snapshot['SnapshotId']} of {snapshot['VolumeId']} is in state {snapshot['State']}{reason}"
