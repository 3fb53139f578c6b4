"""The only door to pyrage: archives encrypted to age public keys, and opened with identities."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pyrage
from pyrage import x25519

from archiver.format import layout
from errors import DamagedError, UsageError
from inventory.files import read_lines

VARIABLE = "CUTOVER_IDENTITY"  # holds an identity, which would be visible on a command line
_SECRET = "AGE-SECRET-KEY-"  # an identity begins with this
_NO_KEY_FITS = "No matching keys found"  # pyrage's text: its error type is the same for a damaged header


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys by which a run encrypts and decrypts."""

    recipients: tuple[str, ...] = ()  # the inventory's public keys; if empty, archives are not encrypted
    identities: tuple[x25519.Identity, ...] = ()  # the operator's, for archives of earlier runs
    # Made for this run and never written down: it opens only what this run encrypted, so that it can be verified.
    own: x25519.Identity = field(default_factory=x25519.Identity.generate)


def keys(recipients: tuple[str, ...], identity: str) -> Keys:
    """Return a run's keys: the inventory's recipients, and the identities in a file or, without one, CUTOVER_IDENTITY.

    Raises UsageError for an invalid recipient or identity. No message contains an identity.
    """
    parsed(recipients)
    return Keys(recipients=recipients, identities=tuple(_identities(identity)))


def parsed(recipients: Iterable[str]) -> list[x25519.Recipient]:
    """Return the inventory's recipients as keys. Raises UsageError, which names the first invalid one."""
    return [_recipient(number, text) for number, text in enumerate(recipients, start=1)]


def is_encrypted(name: str) -> bool:
    """True if an archive with this name or address is encrypted."""
    return name.endswith(layout.ENCRYPTED)


def encrypt(path: Path, keys: Keys) -> Path:
    """Encrypt a file to the recipients and the run's own key, remove the plain one, and return the new path."""
    target = path.with_name(path.name + layout.ENCRYPTED)
    try:
        with path.open("rb") as source, target.open("wb") as sink:
            pyrage.encrypt_io(source, sink, [*parsed(keys.recipients), keys.own.to_public()])
    except pyrage.EncryptError as error:
        raise OSError(errno.EIO, str(error)) from error  # the keys are valid, so it is the disk
    path.unlink()
    return target


def decrypt(path: Path, keys: Keys, sink: IO[bytes]) -> None:
    """Decrypt a file into a sink, with whichever key fits.

    Raises UsageError if no key fits, DamagedError if the file was altered or truncated.
    """
    try:
        with path.open("rb") as source:
            pyrage.decrypt_io(source, sink, [keys.own, *keys.identities])
    except pyrage.DecryptError as error:
        if str(error) == _NO_KEY_FITS:
            raise _closed(path.name, keys) from None
        raise DamagedError(f"{path.name} is not a complete encrypted archive: {error}.") from error
    except OSError as error:
        if error.errno:
            raise  # a failure of the disk, not of the archive
        raise DamagedError(f"{path.name} is not a complete encrypted archive: {error}.") from error


def refuse_if_closed(names: Iterable[str], keys: Keys) -> None:
    """Raise UsageError if one of these archives is encrypted and no identity was given. Call it before fetching."""
    for name in names:
        if is_encrypted(name) and not keys.identities:
            raise _closed(name, keys)


def refuse_literal_identity(identity: str | bool) -> None:
    """Raise UsageError if the command line has the identity itself in place of its file."""
    if str(identity).upper().startswith(_SECRET):
        raise UsageError(
            "--identity expects a file, got an identity.",
            hint="Others may have seen it on the command line: rotate it (inv archive.reencrypt).",
        )


def _closed(name: str, keys: Keys) -> UsageError:
    if keys.identities:
        return UsageError(
            f"The identity does not open {name}: it is encrypted to other keys.",
            hint="inv archive.show lists the public keys that it was encrypted to.",
        )
    return UsageError(
        f"{name} is encrypted, and no identity was given.",
        hint=f"Add --identity=FILE, or put the identity into {VARIABLE}, on the host where this runs.",
    )


def _recipient(number: int, text: str) -> x25519.Recipient:
    try:
        return x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise UsageError(
            f"The inventory's store/recipients/{number} is not an age public key: {text}.",
            hint="A character is missing or mistyped. age-keygen -y prints the public key of an identity.",
        ) from None


def _identities(path: str) -> Iterable[x25519.Identity]:
    refuse_literal_identity(path)
    lines = read_lines(path) if path else os.environ.get(VARIABLE, "").split()
    if path and not lines:
        raise UsageError(f"{path} holds no identity.", hint=_IDENTITY)
    return (_identity(line, path or VARIABLE) for line in lines)


def _identity(line: str, where: str) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(line)
    except pyrage.IdentityError:
        raise UsageError(f"{where} holds a line that is not an age identity.", hint=_IDENTITY) from None


_IDENTITY = "Expected AGE-SECRET-KEY-1…, as age-keygen writes it."
