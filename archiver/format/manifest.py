"""The archive's description of itself, specified in docs/format.md. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from archiver.postgres.schema import Schema
from errors import DamagedError
from inventory.keys import Key, key_of_json

FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class Member:
    """One table's rows in the archive."""

    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """The content of the archive's `manifest.json`."""

    noun: str  # the catalog's word for a tenant: school
    tenant_id: Key
    tenant_name: str
    customer_id: Key | None
    customer_name: str | None
    shard: str  # the database the activity came from
    year: int
    tool_version: str
    server_versions: Mapping[str, str]  # by database: master, shard
    settings: Mapping[str, str]  # of the sessions that wrote the rows
    schemas: Mapping[str, Schema]  # by database
    members: Mapping[str, Member]  # by name in the archive: master/schools.copy
    highest: Mapping[str, int]  # by `database.table.column`: the highest number given out by a sequence
    texts: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of README, schema.sql and restore.sql
    format: int = FORMAT
    month: str | None = None  # for activity alone: its last month, `2014-09`; None: all of a tenant's rows
    before: str | None = None  # for legacy users alone: since when they were not seen, in ISO format

    @property
    def fingerprint(self) -> str:
        """The source schemas' fingerprints, joined."""
        return "+".join(self.schemas[database].fingerprint for database in sorted(self.schemas))

    @property
    def rows(self) -> int:
        """The total number of rows."""
        return sum(member.rows for member in self.members.values())

    def to_json(self) -> bytes:
        """Return the file's bytes, with sorted keys: equal manifests are equal files."""
        names = [name for name in self.__dataclass_fields__ if name != "schemas"]
        of_one_kind = ("month", "before")
        fields = [name for name in names if name not in of_one_kind or getattr(self, name)]
        members = {name: _json(getattr(self, name)) for name in fields}
        # The schemas are most of the text, and their text is the same for every archive of the shape.
        members["schemas"] = _object({name: schema.text for name, schema in self.schemas.items()})
        members["fingerprint"] = _json(self.fingerprint)
        return _object(members).encode() + b"\n"

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        """Read what `to_json` wrote. Raises DamagedError if it is not a manifest, or has another format."""
        try:
            data: dict[str, Any] = json.loads(text)
            number = data.get("format")
            if number != FORMAT:
                raise DamagedError(f"The archive is of format {number}, this tool reads format {FORMAT}.")
            fingerprint = data.pop("fingerprint")
            data["schemas"] = {name: Schema.from_json(schema) for name, schema in data["schemas"].items()}
            data["members"] = {name: Member(**member) for name, member in data["members"].items()}
            manifest = cls(**{**data, "tenant_id": key_of_json(data["tenant_id"])})
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DamagedError(f"The archive's manifest cannot be read: {type(error).__name__}.") from error
        if manifest.fingerprint != fingerprint:
            raise DamagedError("The archive's manifest does not match its own schema fingerprint.")
        return manifest


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, default=vars)


def _object(members: Mapping[str, str]) -> str:
    """Return a JSON object, one member a line, of values that are JSON already."""
    lines = (f"{json.dumps(name, ensure_ascii=False)}: {members[name]}" for name in sorted(members))
    return "{" + ",".join("\n " + line.replace("\n", "\n ") for line in lines) + "\n}"
