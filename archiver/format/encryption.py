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
from inventory.load import read_lines

VARIABLE = "CUTOVER_IDENTITY"  # holds an identity itself, which would be seen on a command line
_SECRET = "AGE-SECRET-KEY-"  # what an identity begins with
_NO_KEY_FITS = "No matching keys found"  # pyrage's words; it has one error for this and for a damaged header


@dataclass(frozen=True, kw_only=True)
class Keys:
    """What a run encrypts to and opens with."""

    recipients: tuple[str, ...] = ()  # the inventory's public keys; none: archives are not encrypted
    identities: tuple[x25519.Identity, ...] = ()  # the operator's, for what earlier runs encrypted
    # Made for this run and written nowhere: what the run encrypts it can open and prove, and nothing else.
    own: x25519.Identity = field(default_factory=x25519.Identity.generate)


def keys(recipients: tuple[str, ...], identity: str) -> Keys:
    """A run's keys: the inventory's recipients, and the identities of a file, or without one of CUTOVER_IDENTITY.

    Raises UsageError for what is no recipient or no identity; no message holds an identity.
    """
    parsed(recipients)
    return Keys(recipients=recipients, identities=tuple(_identities(identity)))


def parsed(recipients: Iterable[str]) -> list[x25519.Recipient]:
    """The inventory's recipients as keys; UsageError names the one that is none."""
    return [_recipient(number, text) for number, text in enumerate(recipients, start=1)]


def is_encrypted(name: str) -> bool:
    """Whether an archive of that name or address is encrypted."""
    return name.endswith(layout.ENCRYPTED)


def encrypt(path: Path, keys: Keys) -> Path:
    """Encrypts a file to the recipients and the run's own key, and removes the plain one; where it lies now."""
    target = path.with_name(path.name + layout.ENCRYPTED)
    try:
        with path.open("rb") as source, target.open("wb") as sink:
            pyrage.encrypt_io(source, sink, [*parsed(keys.recipients), keys.own.to_public()])
    except pyrage.EncryptError as error:
        raise OSError(errno.EIO, str(error)) from error  # the keys are proved: what is left is the disk
    path.unlink()
    return target


def decrypt(path: Path, keys: Keys, sink: IO[bytes]) -> None:
    """Writes what an encrypted file holds into a sink, opened by whichever key fits.

    Raises UsageError where none does, DamagedError where the file was altered or cut off.
    """
    try:
        with path.open("rb") as source:
            pyrage.decrypt_io(source, sink, [keys.own, *keys.identities])
    except pyrage.DecryptError as error:
        if str(error) == _NO_KEY_FITS:
            raise _closed(path.name, keys) from None
        raise DamagedError(f"{path.name} is no whole encrypted archive: {error}.") from error
    except OSError as error:
        if error.errno:
            raise  # the disk's doing, not the archive's
        raise DamagedError(f"{path.name} is no whole encrypted archive: {error}.") from error


def refuse_if_closed(names: Iterable[str], keys: Keys) -> None:
    """UsageError where one of these archives is encrypted and no identity was given: before anything is fetched."""
    for name in names:
        if is_encrypted(name) and not keys.identities:
            raise _closed(name, keys)


def refuse_as_word(identity: str | bool) -> None:
    """UsageError where the identity itself stands on a command line, in place of its file."""
    if str(identity).upper().startswith(_SECRET):
        raise UsageError(
            "--identity expects a file, and got an identity.",
            hint="Others may have read it on the command line: rotate it (inv archive.reencrypt).",
        )


def _closed(name: str, keys: Keys) -> UsageError:
    if keys.identities:
        return UsageError(
            f"The identity does not open {name}: it is encrypted to other keys.",
            hint="inv archive.show names the public keys that it was encrypted to.",
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
            f"The inventory's store/recipients/{number} is no age public key: {text}.",
            hint="A character is missing or mistyped. age-keygen -y prints the public key of an identity.",
        ) from None


def _identities(path: str) -> Iterable[x25519.Identity]:
    refuse_as_word(path)
    lines = read_lines(path) if path else os.environ.get(VARIABLE, "").split()
    if path and not lines:
        raise UsageError(f"{path} holds no identity.", hint=_IDENTITY)
    return (_identity(line, path or VARIABLE) for line in lines)


def _identity(line: str, where: str) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(line)
    except pyrage.IdentityError:
        raise UsageError(f"{where} holds a line that is no age identity.", hint=_IDENTITY) from None


_IDENTITY = "Expected AGE-SECRET-KEY-1…, as age-keygen writes it."
