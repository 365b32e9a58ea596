"""The signing key: made once, kept private, and of no use when swapped."""

import stat
from pathlib import Path

import pytest

from roadworthy.nouns.errors import Fault
from roadworthy.store import keys
from roadworthy.store.keys import Keys


def test_the_key_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    first, second = Keys(tmp_path / "keys"), Keys(tmp_path / "keys")
    assert first.public() == second.public()
    assert stat.S_IMODE((tmp_path / "keys" / "signing.pem").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert keys.read_public(tmp_path / "keys" / "signing.pub") == first.public()


def test_a_signature_holds_for_its_message_and_key_alone(tmp_path: Path) -> None:
    mine, other = Keys(tmp_path / "a"), Keys(tmp_path / "b")
    signature = mine.sign(b"message")
    assert keys.verify(mine.public(), signature, b"message")
    assert not keys.verify(mine.public(), signature, b"massage")
    assert not keys.verify(other.public(), signature, b"message")
    assert not keys.verify(mine.public(), signature[:-1], b"message")
    assert not keys.verify(b"short", signature, b"message")


def test_a_key_may_be_mounted_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted = Keys(tmp_path / "secret")
    mounted.public()
    monkeypatch.setenv(keys.ENVIRONMENT, str(tmp_path / "secret" / "signing.pem"))
    assert Keys(tmp_path / "project").public() == mounted.public()
    assert not (tmp_path / "project").exists()


@pytest.mark.parametrize(
    "content", [b"", b"not a key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_broken_key_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "signing.pem").write_bytes(content)
    with pytest.raises(Fault, match="cannot be read"):
        Keys(tmp_path).public()


def test_a_mounted_key_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(keys.ENVIRONMENT, str(tmp_path / "nowhere.pem"))
    with pytest.raises(Fault, match="not there"):
        Keys(tmp_path).public()
