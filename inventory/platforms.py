"""The values of an environment at Heroku or Amazon, frozen and pure; `example.yaml` explains each field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Heroku:
    """The app whose config vars hold the addresses of databases."""

    app: str
    others: tuple[str, ...] = ()  # config vars of databases that are not part of this environment
    variable: str = "HEROKU_API_KEY"  # the environment variable that holds the token; if it is not set, ~/.netrc has it
    endpoint: str = "https://api.heroku.com"


@dataclass(frozen=True, kw_only=True)
class OldFarm:
    """The EC2 instance of the old warehouse, and the type that it gets once the names have moved."""

    instance: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Aws:
    """The work that Amazon's API does in place of a person."""

    region: str = "us-east-1"
    endpoint: str | None = None  # None: Amazon's
    credentials: str | None = None  # as for the store
    instances: Mapping[str, str] = field(default_factory=dict)  # by database host: step 10 takes their snapshots
    zone: str | None = None  # the hosted zone in which step 12 moves the warehouses' names
    old_farm: OldFarm | None = None  # which step 12.4 makes smaller; None: see warehouse/shrink
    ttl: int = 60  # seconds that a name server may keep a moved name
