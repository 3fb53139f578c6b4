"""A known_hosts file as sshd(8) describes it: names by pattern or hash, markers, unreadable lines. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

AUTHORITY, REVOKED = "@cert-authority", "@revoked"


@dataclass(frozen=True, kw_only=True)
class KnownKeys:
    """The host keys that a file has for one host; each is its encoded form, which begins with its kind."""

    keys: frozenset[bytes] = frozenset()
    revoked: frozenset[bytes] = frozenset()
    authority: bool = False  # a certificate authority may vouch for the host

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of the keys by which the host can be recognized, such as ssh-ed25519."""
        return tuple(sorted({kind_of(key) for key in self.keys - self.revoked}))

    def refusal(self, key: bytes) -> str:
        """Return why a host that shows this key is refused; empty if it is not."""
        if key in self.revoked:
            return "its host key is revoked in known_hosts"
        if key in self.keys:
            return ""
        if kind_of(key) in self.kinds:
            return "its host key differs from the one in known_hosts"
        if self.kinds:
            return f"its host key is of the kind {kind_of(key)}, and known_hosts has {', '.join(self.kinds)}"
        if self.authority:
            return "known_hosts has a certificate authority for it, which is not asked; add its own key"
        return "its host key is not in known_hosts"


def known_keys(content: bytes, host: str, port: int) -> KnownKeys:
    """Return what the content of a known_hosts file says of a host; lines that can't be read say nothing."""
    name = (host if port == 22 else f"[{host}]:{port}").lower()
    keys: dict[str, set[bytes]] = {"": set(), AUTHORITY: set(), REVOKED: set()}
    for line in content.decode("utf-8-sig", "replace").splitlines():
        words = line.split()
        marker = words.pop(0) if line.lstrip().startswith("@") else ""
        if marker in keys and len(words) >= 3 and _names(words[0], name) and (key := _key(words[1], words[2])):
            keys[marker].add(key)
    return KnownKeys(keys=frozenset(keys[""]), revoked=frozenset(keys[REVOKED]), authority=bool(keys[AUTHORITY]))


def kind_of(key: bytes) -> str:
    """Return the kind by which an encoded key begins; empty if it is none."""
    size = int.from_bytes(key[:4], "big")
    return key[4 : 4 + size].decode("ascii", "replace") if len(key) > 4 + size else ""


def _key(kind: str, text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if kind_of(key) == kind else None


def _names(patterns: str, name: str) -> bool:
    """True if a line's first word names a host; one pattern with a `!` that fits excludes it."""
    if patterns.startswith("#"):
        return False
    fitting = [pattern for pattern in patterns.lower().split(",") if _fits(pattern.removeprefix("!"), name)]
    excluded = any(pattern.startswith("!") for pattern in fitting)
    return (bool(fitting) and not excluded) or _is_hashed(patterns, name)


def _fits(pattern: str, name: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, name) is not None


def _is_hashed(word: str, name: str) -> bool:
    try:
        _, kind, salt, digest = word.split("|")
        expected = hmac.new(base64.b64decode(salt), name.encode(), hashlib.sha1).digest()
        return kind == "1" and hmac.compare_digest(expected, base64.b64decode(digest))
    except ValueError:  # not hashed, or damaged
        return False
