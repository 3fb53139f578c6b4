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
class Written:
    """The rows written since a moment, of all tenants: they are lost if a backup of then must be restored."""

    since: datetime
    seen: bool  # True: the time of the night's oldest backup; False: of the oldest that could still be used
    tenants: int
    rows: int
    timeless: tuple[str, ...]  # tables without a time column, whose rows are not counted

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Written:
        """Return it of plain data. Raises KeyError, TypeError or ValueError if the data are something else."""
        values = _known(cls, data)
        return cls(**{**values, "since": datetime.fromisoformat(data["since"]), "timeless": tuple(data["timeless"])})


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
    written: Written | None = (
        None  # since the oldest backup that may be used; None: it is younger than maintenance mode
    )

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the journal and other hosts read it."""
        written = {**asdict(self.written), "since": self.written.since.isoformat()} if self.written else None
        return {**asdict(self), "counted_at": self.counted_at.isoformat(timespec="seconds"), "written": written}

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
        times = {
            "counted_at": datetime.fromisoformat(data["counted_at"]),
            "written": Written.from_json(data["written"]) if data.get("written") else None,
        }
        return cls(**{**_known(cls, {"written": None, **data}), **shares, "left_out": left_out, **times})


def _known(kind: type[Figures | Share | LeftOut | Written], data: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: data[field.name] for field in fields(kind)}
