"""The size of an EC2 instance: stop it, change its type, start it; each call of `advance` does the next of these."""

from __future__ import annotations

from collections.abc import Callable

from errors import CutoverError
from inventory.platforms import Aws
from platforms.aws import changing, client, expecting_dry_run, querying
from platforms.progress import Progress, State

RUNNING, STOPPED = "running", "stopped"
ON_THE_WAY = ("pending", "stopping")


def advance(aws: Aws, instance: str, kind: str) -> Progress:
    """Do the next thing on an instance's way to a type, unless it is on its way, and return how far it is.

    Nothing is done twice, whoever began it. Raises CutoverError if EC2 refuses, UnknownError if the answer is lost.
    """
    now, state = described(aws, instance)
    if (now, state) == (kind, RUNNING):
        return Progress(state=State.DONE, sentence=f"{instance} is running as {kind}")
    if state == RUNNING:
        with changing(f"Stopping {instance}"):
            client(aws, "ec2").stop_instances(InstanceIds=[instance])
    elif state == STOPPED and now != kind:
        with changing(f"Changing {instance} to {kind}"):
            client(aws, "ec2").modify_instance_attribute(InstanceId=instance, InstanceType={"Value": kind})
    elif state == STOPPED:
        with changing(f"Starting {instance}"):
            client(aws, "ec2").start_instances(InstanceIds=[instance])
    elif state not in ON_THE_WAY:
        return Progress(state=State.FAILED, sentence=f"{instance} is {state}")
    return Progress(state=State.PENDING, sentence=f"{instance} is {state} as {now}")


def described(aws: Aws, instance: str) -> tuple[str, str]:
    """Return an instance's type and state; raise CutoverError if EC2 does not answer or does not know it."""
    with querying(f"Asking EC2 for {instance}"):
        reservations = client(aws, "ec2").describe_instances(InstanceIds=[instance])["Reservations"]
    instances = [each for reservation in reservations for each in reservation["Instances"]]
    if not instances:
        raise CutoverError(f"EC2 has no instance {instance}.", hint="Check aws/old_farm in the inventory.")
    return str(instances[0]["InstanceType"]), str(instances[0]["State"]["Name"])


def would_resize(aws: Aws, instance: str, kind: str) -> None:
    """Check by dry runs that EC2 would stop, change and start an instance; raise CutoverError if not."""
    ec2 = client(aws, "ec2")
    trials: tuple[Callable[[], object], ...] = (
        lambda: ec2.stop_instances(InstanceIds=[instance], DryRun=True),
        lambda: ec2.modify_instance_attribute(InstanceId=instance, InstanceType={"Value": kind}, DryRun=True),
        lambda: ec2.start_instances(InstanceIds=[instance], DryRun=True),
    )
    for trial in trials:
        with querying(f"Asking EC2 for permission to change {instance} to {kind}"), expecting_dry_run():
            trial()
