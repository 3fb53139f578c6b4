"""Archives encrypted to age public keys: identities that open them, those that do not, and errors without a secret."""

from __future__ import annotations

import gzip
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyrage
import pytest
from pyrage import x25519

from archiver.format import bundle, encryption
from archiver.format.encryption import Keys
from errors import CutoverError, DamagedError, ExitCode, UsageError
from inventory.load import FOLDER, load_file
from runbooks import cutover
from runbooks.cli.debug_host import forward
from tests.unit.test_bundle import ROWS, packed

ANN, BOB = x25519.Identity.generate(), x25519.Identity.generate()
PLACES = 60


def to(*identities: x25519.Identity) -> Keys:
    """Return keys that encrypt to these recipients, without an identity of theirs."""
    return Keys(recipients=tuple(str(identity.to_public()) for identity in identities))


def held_by(*identities: x25519.Identity) -> Keys:
    """Return keys with these identities."""
    return Keys(identities=identities)


def encrypted(folder: Path, keys: Keys) -> Path:
    return encryption.encrypt(packed(folder), keys)


def test_each_recipient_opens_what_age_itself_opens_too(tmp_path: Path) -> None:
    path = packed(tmp_path)
    plain = path.read_bytes()

    path = encryption.encrypt(path, to(ANN, BOB))

    assert path.name == "a.tar.gz.age"
    assert not path.with_suffix("").exists()
    assert path.read_bytes().startswith(b"age-encryption.org/v1\n")
    for identity in (ANN, BOB):
        assert pyrage.decrypt(path.read_bytes(), [identity]) == plain
        with bundle.opened(path, held_by(identity)) as archive:
            assert {name: archive.open(name).read() for name in ROWS} == ROWS


def test_no_other_identity_opens_it(tmp_path: Path) -> None:
    path = encrypted(tmp_path, to(ANN))

    with pytest.raises(gzip.BadGzipFile):
        gzip.decompress(path.read_bytes())
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(path.read_bytes(), [BOB])
    assert refused(path, held_by(BOB)).startswith("The identity does not open a.tar.gz.age")
    assert refused(path, held_by()) == "a.tar.gz.age is encrypted, and no identity was given."


def test_a_run_opens_what_it_encrypted_and_nothing_of_another_run(tmp_path: Path) -> None:
    run, later = to(ANN), to(ANN)
    path = encrypted(tmp_path, run)

    with bundle.opened(path, run) as archive:
        assert archive.manifest.rows == 3
    assert "no identity was given" in refused(path, later)


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    path = encrypted(tmp_path, to(ANN))
    whole = path.read_bytes()

    for place in range(0, len(whole), len(whole) // PLACES):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        refused(path, held_by(ANN))


@pytest.mark.parametrize("length", [0, 50, 200, 1000, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    path = encrypted(tmp_path, to(ANN))
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(DamagedError, match=r"a\.tar\.gz\.age is not a complete encrypted archive: "):
        bundle.opened(path, held_by(ANN)).__enter__()


def test_a_full_disk_is_the_disks_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz.age").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left on device"):
        encrypted(tmp_path, to(ANN))


def test_identities_come_from_a_file_of_age_keygen_or_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, path = tmp_path / "identity", encrypted(tmp_path, to(ANN))
    file.write_text(f"# created: 2014-08-15\n# public key: {BOB.to_public()}\n{BOB}\n{ANN}\n")

    assert len(encryption.keys((), str(file)).identities) == 2
    monkeypatch.setenv("CUTOVER_IDENTITY", f"{ANN}\n")
    for keys in (encryption.keys((), str(file)), encryption.keys((), "")):
        with bundle.opened(path, keys) as archive:
            assert archive.manifest.rows == 3
    monkeypatch.delenv("CUTOVER_IDENTITY")
    assert encryption.keys((), "").identities == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# nothing but comments\n", "holds no identity"),
        (str(ANN)[:-1] + "\n", "holds a line that is not an age identity"),
        (str(ANN.to_public()), "holds a line that is not an age identity"),
    ],
    ids=["empty", "cut off", "a recipient"],  # the keys are made anew by each worker
)
def test_a_file_that_holds_no_identity_is_refused_and_not_shown(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "identity").write_text(text)

    with pytest.raises(UsageError, match=expected) as caught:
        encryption.keys((), str(tmp_path / "identity"))

    assert str(ANN)[20:40] not in f"{caught.value} {caught.value.hint}"


def test_a_variable_that_holds_no_identity_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUTOVER_IDENTITY", str(ANN)[:-1])

    with pytest.raises(UsageError, match=r"^CUTOVER_IDENTITY holds a line that is not an age identity\.$"):
        encryption.keys((), "")


def test_an_identity_in_place_of_its_file_is_not_leaked() -> None:
    environment = replace(load_file(FOLDER / "rehearsal.yaml"), overlay=None)
    for refuse in (
        lambda: encryption.keys((), str(ANN)),
        lambda: forward(environment, "restore.school", "13", identity=str(ANN)),
    ):
        with pytest.raises(UsageError, match=r"^--identity expects a file, got an identity\.$"):
            refuse()


def test_a_mistyped_recipient_is_reported_before_a_night_begins() -> None:
    good = str(ANN.to_public())
    environment = load_file(FOLDER / "production.yaml")
    mistyped = good[:-1] + ("q" if good[-1] != "q" else "p")
    environment = replace(environment, store=replace(environment.store, recipients=(good, mistyped)))

    with pytest.raises(UsageError, match=f"store/recipients/2 is not an age public key: {mistyped}"):
        cutover.plan_of(environment, date(2014, 8, 15))


def refused(path: Path, keys: Keys) -> str:
    with pytest.raises(CutoverError) as caught, bundle.opened(path, keys):
        pass
    assert caught.value.exit_code is ExitCode.USAGE
    return str(caught.value)
