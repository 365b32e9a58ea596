"""Bundle: the folder a model server needs and nothing else: the model, its certificate, and how to serve it.

    bundle.json              the model's record, the settings, the public key
    certificate.json         the DSSE envelope that allows it
    blobs/ab/cdef…           the estimator's bytes, by digest

In: what the store knows of a certified model (releases write bundles). Out: a folder that a machine without a database
can serve from; everything in it is checked before anything is loaded.
"""

import base64
import binascii
import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.nouns.errors import Fault, invalid, refused
from roadworthy.nouns.model import Model
from roadworthy.nouns.project import Serving
from roadworthy.store.blobs import Blobs, digest_of
from roadworthy.store.keys import verify

# Formats that carry data, not code; a pickle is never loaded by a server.
SERVED_FORMATS = ("skops", "onnx")
RECORD_BYTES_MAX = 16 << 20


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How a bundle is served.

    Args:
        serving: the project's `[serving]`.
        sensitive: columns masked in the inference log.
        salt: hex key of the masks, the same in all of the project, so that masked values still join.
        release: id of the release this server belongs to.
        target: name of the target, a folder of the inference log.
    """

    serving: Serving = Serving()
    sensitive: tuple[str, ...] = ()
    salt: str = ""
    release: str = ""
    target: str = "local"


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A checked bundle."""

    folder: Path
    model: Model
    settings: Settings
    envelope: bytes
    public: bytes


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    model: Model
    settings: Settings
    public: str
    certificate: str


def write(
    folder: Path, blobs: Blobs, model: Model, envelope: bytes, public: bytes, *, settings: Settings | None = None
) -> Bundle:
    """Make a bundle: all of it or nothing appears at `folder`; one that is there already stays, another is replaced.

    Args:
        folder: where; its parent is made.
        blobs: the store's, where the model's bytes are.
        model: the registered version.
        envelope: the certificate's DSSE envelope.
        public: the signer's 32-byte public key.
        settings: how it is served.

    Raises:
        Fault: refused, when the format is not served, or the envelope does not certify this very model.
    """
    if model.value.format not in SERVED_FORMATS:
        raise refused(
            f"models stored as {model.value.format} are not served: loading one runs whatever is in it",
            where=model.id,
            fix=f"store the model as {' or '.join(SERVED_FORMATS)}",
        )
    check_envelope(envelope, public=public, model=model)
    record = _Record(model=model, settings=settings or Settings(), public=public.hex(), certificate=digest_of(envelope))
    with contextlib.suppress(Fault):  # one that is there and whole stays: a server may be reading it
        found = read(folder)
        if (found.model, found.settings, found.envelope, found.public) == (model, record.settings, envelope, public):
            return found
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    building = folder.parent / f".{folder.name}.{os.getpid()}.{os.urandom(4).hex()}"
    building.mkdir(mode=0o700)
    try:
        Blobs(building / "blobs").put_file(blobs.file(model.value.digest))
        (building / "certificate.json").write_bytes(envelope)
        record = _Record(
            model=model, settings=settings or Settings(), public=public.hex(), certificate=digest_of(envelope)
        )
        path = building / "bundle.json"
        path.touch(mode=0o600)  # it holds the key of the masks
        path.write_bytes(msgspec.json.encode(record))
        _replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return read(folder)


def read(folder: Path, *, public: bytes | None = None) -> Bundle:
    """A bundle, after its certificate and the model's bytes have been checked.

    Args:
        folder: as `write` left it.
        public: the key to trust; the bundle's own when None, which proves that nothing was damaged, not who made it.

    Raises:
        Fault: invalid, when something is missing or damaged; refused, when the certificate does not cover the model.
    """
    try:
        record = msgspec.json.decode(_read(folder / "bundle.json"), type=_Record)
        own = bytes.fromhex(record.public)
    except (msgspec.DecodeError, ValueError) as problem:
        raise invalid(f"the bundle's record cannot be read: {problem}", where=str(folder / "bundle.json")) from None
    envelope = _read(folder / "certificate.json")
    if digest_of(envelope) != record.certificate:
        raise invalid("the certificate is not the one the bundle was made with", where=str(folder))
    check_envelope(envelope, public=public or own, model=record.model)
    Blobs(folder / "blobs").file(record.model.value.digest)
    return Bundle(folder=folder, model=record.model, settings=record.settings, envelope=envelope, public=public or own)


def check_envelope(envelope: bytes, *, public: bytes, model: Model) -> dict[str, Any]:
    """The statement of a DSSE envelope, once its signature holds and it names this very model's bytes.

    Raises:
        Fault: refused, when it is not signed by `public`, is about another model, or says that a rule refused.
    """
    try:
        outer = msgspec.json.decode(envelope, type=dict[str, Any])
        payload = base64.b64decode(outer["payload"], validate=True)
        kind = str(outer["payloadType"]).encode()
        signatures = [base64.b64decode(s["sig"], validate=True) for s in outer["signatures"]]
        statement = msgspec.json.decode(payload, type=dict[str, Any])
        subjects = {value for subject in statement["subject"] for value in subject["digest"].values()}
    except (msgspec.DecodeError, binascii.Error, KeyError, TypeError, AttributeError) as problem:
        raise invalid(f"the certificate cannot be read: {problem}", where=model.id) from None
    signed = b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)
    if not any(verify(public, signature, signed) for signature in signatures):
        raise _refused(model, "the certificate's signature does not hold")
    if model.value.digest not in subjects:
        raise _refused(model, "the certificate is about another model's bytes")
    if statement.get("predicate", {}).get("passed") is False:
        raise _refused(model, "the certificate says that a rule refused")
    return statement


def _refused(model: Model, what: str) -> Fault:
    return refused(what, where=model.id, fix="run `rw gate` on the model, and release what passes")


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > RECORD_BYTES_MAX:
            raise invalid("the file is too large to be part of a bundle", where=str(path))
        return path.read_bytes()
    except OSError as problem:
        raise invalid(f"the bundle is not whole: {problem.strerror}", where=str(path)) from None


def _replace(building: Path, folder: Path) -> None:
    """Put a finished folder in its place; an older one steps aside first, since rename replaces empty folders only."""
    aside = folder.parent / f".{folder.name}.old.{os.urandom(4).hex()}"
    with contextlib.suppress(FileNotFoundError):
        folder.rename(aside)
    building.rename(folder)
    shutil.rmtree(aside, ignore_errors=True)
