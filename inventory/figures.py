"""The figures of a night: how much it archives, as counted on the host that has the databases. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Share:
    """The part of a night that is of one shard, one customer or one tenant."""

    name: str
    tenants: int
    rows: int
    bytes: int  # in the live tables


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A tenant that a night leaves out, or all tenants of a customer that it leaves out, and why."""

    name: str
    tenants: int
    reason: str  # empty if the inventory has none


@dataclass(frozen=True, kw_only=True)
class Figures:
    """The figures of a night; rows and bytes are estimates, and do not include what the night has archived already."""

    counted_at: datetime
    noun: str  # the catalog's for a tenant
    tenants: int  # that the night takes in
    archived: int  # of these, by this night already
    rows: int
    bytes: int  # in the live tables
    seconds: float | None  # of archiving; None: nothing here tells
    shards: tuple[Share, ...]
    customers: tuple[Share, ...]  # the biggest first; empty if the catalog knows no customers
    biggest: tuple[Share, ...]  # tenants
    left_out: tuple[LeftOut, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the journal and other hosts read it."""
        return {**asdict(self), "counted_at": self.counted_at.isoformat(timespec="seconds")}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Figures:
        """Return the figures of plain data; what a newer version adds is ignored.

        Raises KeyError, TypeError or ValueError if the data are no figures.
        """
        shares = {
            name: tuple(Share(**_known(Share, share)) for share in data[name])
            for name in ("shards", "customers", "biggest")
        }
        left_out = tuple(LeftOut(**_known(LeftOut, each)) for each in data["left_out"])
        counted_at = datetime.fromisoformat(data["counted_at"])
        return cls(**{**_known(cls, data), **shares, "left_out": left_out, "counted_at": counted_at})


def _known(kind: type[Figures | Share | LeftOut], data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: data[field.name] for field in fields(kind)}
