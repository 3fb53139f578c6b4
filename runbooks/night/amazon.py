"""Amazon for a night: each action is begun once, followed to its end, and never left without an outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from errors import CutoverError, UnknownError
from formatting import in_minutes
from inventory.platforms import Aws
from platforms import ec2, ec2_size, route53
from platforms.progress import Progress, State
from runbooks.engine.live.clock import await_proof
from runbooks.engine.live.executors import ActFailed
from runbooks.engine.model.actions import (
    AmazonCall,
    AmazonLook,
    InstanceSize,
    MoveNames,
    ProbeOutput,
    ResizeInstance,
    ResizeTrial,
    SnapshotList,
    SnapshotTrial,
    TakeSnapshots,
    ZoneRecords,
)
from runbooks.engine.model.ports import Clock, OnLine
from runbooks.engine.model.step import Truth, Verdict, fails, holds, unseen

SILENCE = timedelta(minutes=10)  # after so long without an answer, the outcome is unknown
VERDICTS = {State.DONE: holds, State.FAILED: fails, State.PENDING: unseen}
Ask = Callable[[], Progress]


@dataclass(frozen=True)
class AmazonApi:
    """EC2 and Route 53, as the inventory configures them."""

    aws: Aws
    clock: Clock

    def perform(self, call: AmazonCall, name: str, on_line: OnLine) -> ProbeOutput:
        """Perform the call, or continue what was begun under that name, and follow it to its end."""
        return self._followed(call, self._begun(call, name), on_line)

    def look(self, look: AmazonLook) -> ProbeOutput:
        """Return what Amazon answers."""
        match look:
            case SnapshotList():
                return ProbeOutput(rows=ec2.listed(self.aws, look.instance))
            case SnapshotTrial():
                ec2.would_take(self.aws, look.instance)
                return ProbeOutput(rows=tuple((volume,) for volume in ec2.volumes_of(self.aws, look.instance)))
            case InstanceSize():
                return ProbeOutput(rows=(ec2_size.described(self.aws, look.instance),))
            case ResizeTrial():
                ec2_size.would_resize(self.aws, look.instance, look.type)
                return ProbeOutput(rows=(ec2_size.described(self.aws, look.instance),))
            case ZoneRecords():
                rows = route53.records(self.aws, look.zone, look.names)
                return ProbeOutput(text=route53.zone_name(self.aws, look.zone), rows=rows)

    def _begun(self, call: AmazonCall, name: str) -> Ask:
        match call:
            case TakeSnapshots():
                return partial(ec2.progress, self.aws, ec2.take(self.aws, call.instance, name, call.tags))
            case MoveNames():
                return partial(route53.progress, self.aws, route53.move(self.aws, call.zone, call.targets, call.ttl))
            case ResizeInstance():
                ec2_size.advance(self.aws, call.instance, call.type)  # raises if Amazon refuses
                return partial(ec2_size.advance, self.aws, call.instance, call.type)

    def _followed(self, call: AmazonCall, ask: Ask, on_line: OnLine) -> ProbeOutput:
        seen = await_proof(_Poll(ask, self.clock), self.clock, call.timeout, on_line, enough=_over)
        if seen.truth is Truth.FAILS:
            raise ActFailed(f"{call} failed: {seen.proof}.")
        if seen.truth is Truth.UNSEEN:
            why = f"not finished within {in_minutes(call.timeout)} ({seen.proof})"
            raise UnknownError(f"The outcome of {call} is unknown: {why}.", hint="It may still be running at Amazon.")
        return ProbeOutput(text=seen.proof)


class _Poll:
    """A poll of the progress: a failed answer is skipped; after SILENCE without any, the outcome is unknown."""

    def __init__(self, ask: Ask, clock: Clock) -> None:
        self._ask = ask
        self._clock = clock
        self._heard = clock.ticks()

    def __call__(self) -> Verdict:
        try:
            progress = self._ask()
        except CutoverError as error:
            if self._clock.ticks() - self._heard > SILENCE.total_seconds():
                raise UnknownError(f"No answer for {in_minutes(SILENCE)}: the outcome is unknown. {error}") from error
            return unseen(f"no answer, trying again: {error}")
        self._heard = self._clock.ticks()
        return VERDICTS[progress.state](progress.sentence)


def _over(verdict: Verdict) -> bool:
    return verdict.truth is not Truth.UNSEEN
