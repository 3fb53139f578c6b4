"""Snapshots of the volumes of an EC2 instance: take them, follow their progress, list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from errors import CutoverError, UnknownError
from inventory.platforms import Aws
from platforms.aws import changing, client, expecting_dry_run, querying
from platforms.progress import Progress, State

NAME = "cutover"  # tag that identifies the snapshots of one attempt
COMPLETED, PENDING = "completed", "pending"  # any other state is a failure
Row = tuple[str, str, str, str, str]  # volume, snapshot, state, start time, description


def take(aws: Aws, instance: str, name: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    """Take snapshots of all volumes of an instance at one moment, or find those of that name; return their ids.

    A tag may become visible some seconds late: then there are two sets, and either is good. Raises CutoverError if no
    snapshot was taken, UnknownError if that is not known.
    """
    if existing := _named(aws, name):
        return existing
    try:
        snapshots = _create(aws, instance, {NAME: name, **tags})
    except UnknownError:
        if existing := _named(aws, name):
            return existing
        raise
    if not snapshots:
        raise CutoverError(
            f"Taking snapshots of {instance} failed: it has no volumes.", hint="Check aws/instances in the inventory."
        )
    return snapshots


def progress(aws: Aws, snapshots: tuple[str, ...]) -> Progress:
    """Return the progress of snapshots; raise CutoverError if EC2 does not answer."""
    with querying("Asking EC2 for snapshots"):
        described = client(aws, "ec2").describe_snapshots(SnapshotIds=list(snapshots))["Snapshots"]
    wrong = [each for each in described if each["State"] not in (COMPLETED, PENDING)]
    if wrong:
        return Progress(state=State.FAILED, sentence="; ".join(_sentence(each) for each in wrong))
    pending = [f"{each['SnapshotId']} {each.get('Progress') or '0%'}" for each in described if each["State"] == PENDING]
    if pending or len(described) < len(snapshots):
        return Progress(state=State.PENDING, sentence=f"{', '.join(pending)} of {len(snapshots)} snapshots")
    return Progress(state=State.DONE, sentence=f"{', '.join(snapshots)} completed")


def listed(aws: Aws, instance: str) -> tuple[Row, ...]:
    """Return the snapshots of each of an instance's volumes, and a row for each volume without one."""
    volumes = volumes_of(aws, instance)
    with querying(f"Listing the snapshots of {instance}"):
        pages = client(aws, "ec2").get_paginator("describe_snapshots")
        filters = [{"Name": "volume-id", "Values": list(volumes)}]
        described = [each for page in pages.paginate(OwnerIds=["self"], Filters=filters) for each in page["Snapshots"]]
    rows = [
        (each["VolumeId"], each["SnapshotId"], each["State"], each["StartTime"].isoformat(), _sentence(each))
        for each in described
    ]
    bare = set(volumes) - {row[0] for row in rows}
    return (*rows, *((volume, "", "", "", "") for volume in sorted(bare)))


def volumes_of(aws: Aws, instance: str) -> tuple[str, ...]:
    """Return the volumes of an instance; raise CutoverError if there is no such instance, or it has none."""
    with querying(f"Asking EC2 for {instance}"):
        (reservation,) = client(aws, "ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    (described,) = reservation["Instances"]
    volumes = tuple(each["Ebs"]["VolumeId"] for each in described["BlockDeviceMappings"] if "Ebs" in each)
    if not volumes:
        raise CutoverError(f"{instance} has no EBS volumes, so there is nothing to take a snapshot of.")
    return volumes


def would_take(aws: Aws, instance: str) -> None:
    """Check by a dry run that EC2 would take snapshots of an instance; raise CutoverError if not."""
    with querying(f"Asking EC2 for permission to take snapshots of {instance}"), expecting_dry_run():
        client(aws, "ec2").create_snapshots(InstanceSpecification={"InstanceId": instance}, DryRun=True)


def _named(aws: Aws, name: str) -> tuple[str, ...]:
    with querying("Asking EC2 for snapshots"):
        filters = [{"Name": f"tag:{NAME}", "Values": [name]}]
        described = client(aws, "ec2").describe_snapshots(OwnerIds=["self"], Filters=filters)["Snapshots"]
    return tuple(each["SnapshotId"] for each in described)


def _create(aws: Aws, instance: str, tags: Mapping[str, str]) -> tuple[str, ...]:
    pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
    with changing(f"Taking snapshots of {instance}"):
        response = client(aws, "ec2", tries=1).create_snapshots(
            InstanceSpecification={"InstanceId": instance},
            Description=tags[NAME],
            TagSpecifications=[{"ResourceType": "snapshot", "Tags": pairs}],
        )
    return tuple(each["SnapshotId"] for each in response["Snapshots"])


def _sentence(snapshot: Mapping[str, Any]) -> str:
    said = snapshot.get("StateMessage") or ""
    reason = f": {said.rstrip('.')}" if said else ""
    return f"snapshot {snapshot['SnapshotId']} of {snapshot['VolumeId']} is in state {snapshot['State']}{reason}"
