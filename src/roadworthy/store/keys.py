"""The project's Ed25519 key: signs certificates and checkpoints of the log.

The private half stays in `.roadworthy/keys/` (mode 0600), or where ROADWORTHY_SIGNING_KEY points (a file mounted by a
secret store); the public half is for everyone.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.nouns.errors import invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ENVIRONMENT = "ROADWORTHY_SIGNING_KEY"


class Keys:
    """Signs with the project's key, made on first use; verifies with any public key.

    Args:
        folder: where the key pair is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._private: Ed25519PrivateKey | None = None

    def sign(self, message: bytes) -> bytes:
        """The 64-byte Ed25519 signature (RFC 8032) of `message`."""
        return self._load().sign(message)

    def public(self) -> bytes:
        """The 32-byte public key."""
        return self._load().public_key().public_bytes_raw()

    def key_id(self) -> str:
        """SHA-256 of the public key, in hex."""
        return key_id(self.public())

    def _load(self) -> "Ed25519PrivateKey":
        if self._private is None:
            self._private = _read_or_make(self._folder)
        return self._private


def key_id(public: bytes) -> str:
    """SHA-256 of a 32-byte public key, in hex."""
    return hashlib.sha256(public).hexdigest()


def verify(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether `signature` over `message` was made with the private half of `public`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def read_public(path: Path) -> bytes:
    """The public key of a PEM file, as written beside the private one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as problem:
        raise invalid(f"no public key can be read: {problem}", where=str(path), fix="give a PEM file") from None
    if not isinstance(key, Ed25519PublicKey):
        raise invalid("the key is not an Ed25519 key", where=str(path))
    return key.public_bytes_raw()


def _read_or_make(folder: Path) -> "Ed25519PrivateKey":
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = Path(os.environ.get(ENVIRONMENT) or folder / "signing.pem")
    if not path.exists():
        if os.environ.get(ENVIRONMENT):
            raise invalid(
                "the signing key is not there",
                where=f"{ENVIRONMENT}={path}",
                fix="mount it, or unset the variable",
            )
        _make(folder)
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError) as problem:
        raise invalid(f"the signing key cannot be read: {problem}", where=str(path)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise invalid("the signing key is not an Ed25519 key", where=str(path))
    return key


def _make(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    temporary = folder / f"signing.{os.getpid()}.tmp"
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(private)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(temporary, folder / "signing.pem")  # fails if another process was first: theirs is then the key
    except FileExistsError:
        return
    finally:
        temporary.unlink()
    (folder / "signing.pub").write_bytes(public)
