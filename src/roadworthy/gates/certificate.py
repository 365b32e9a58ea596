"""Certificates: what was measured of a model, by which rules, with what outcome, signed. Owns the table `certificates`.

In: evidence and outcomes. Out: an in-toto Statement (v1) in a DSSE envelope, kept as a blob; the table is an index of
them. Nothing here believes the index: whoever asks for a certificate gets what the signed envelope says.
docs/certificate.md specifies the predicate.
"""

import contextlib
import datetime as dt
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.gates import dsse
from roadworthy.nouns.certificate import Certificate
from roadworthy.nouns.errors import Fault, not_found, refused
from roadworthy.nouns.event import Event
from roadworthy.nouns.evidence import Evidence
from roadworthy.nouns.model import Model
from roadworthy.nouns.rule import Outcome, refusals
from roadworthy.nouns.version import __version__
from roadworthy.registry import models
from roadworthy.store.blobs import Blobs, digest_of
from roadworthy.store.keys import key_id
from roadworthy.store.store import Store

STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://roadworthy.dev/certificate/v1"
PAYLOAD = "application/vnd.in-toto+json"
CHUNK = 1 << 20

_INSERT = """
INSERT INTO certificates (id, model, passed, issued_at, record) VALUES (:id, :model, :passed, :issued_at, :record)
ON CONFLICT (id) DO NOTHING
"""
_OF_MODEL = "SELECT id FROM certificates WHERE model = :model ORDER BY issued_at DESC, id LIMIT :limit"
_BY_PREFIX = "SELECT id FROM certificates WHERE id LIKE :prefix ORDER BY id LIMIT 2"
_LISTING = """
SELECT record FROM certificates
WHERE (CAST(:model AS TEXT) = '' OR model = :model OR SUBSTR(model, 1, CAST(:length AS INTEGER)) = :any_version)
ORDER BY issued_at DESC, id LIMIT :limit
"""
_ONE = "SELECT record FROM certificates WHERE id = :id"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What the statement is about: `name@version`, and the digests of its bytes by algorithm."""

    name: str
    digest: dict[str, str]


class Issuer(msgspec.Struct, frozen=True, kw_only=True):
    """Who issued: the tool with its version, on whose behalf, with which key (SHA-256 of the public key)."""

    tool: str
    actor: str
    keyid: str


class Predicate(msgspec.Struct, frozen=True, kw_only=True):
    """What is stated, see docs/certificate.md."""

    passed: bool
    project: str
    issued_at: float
    issued: str
    issuer: Issuer
    outcomes: tuple[Outcome, ...]
    evidence: Evidence


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """An in-toto Statement with our predicate."""

    type: str = msgspec.field(name="_type")
    subject: tuple[Subject, ...]
    predicateType: str  # noqa: N815 - the standard's name
    predicate: Predicate


def issue(store: Store, evidence: Evidence, outcomes: Sequence[Outcome], *, project: str = "") -> Certificate:
    """Sign and keep what the rules came to, passed or not.

    Args:
        evidence: as measured; its model's bytes are hashed again here.
        outcomes: of every rule.
        project: the project's name.

    Raises:
        Fault: not found or invalid, when the model's bytes are gone or no longer those that were measured.
    """
    path = store.blobs.file(evidence.model_digest)
    now = store.clock.now()
    statement = Statement(
        type=STATEMENT,
        subject=(
            Subject(name=evidence.model, digest={"blake3": evidence.model_digest, "sha256": sha256_of_file(path)}),
        ),
        predicateType=PREDICATE,
        predicate=Predicate(
            passed=not refusals(tuple(outcomes)),
            project=project,
            issued_at=now,
            issued=dt.datetime.fromtimestamp(now, dt.UTC).isoformat(timespec="milliseconds"),
            issuer=Issuer(tool=f"roadworthy {__version__}", actor=store.actor, keyid=store.keys.key_id()),
            outcomes=tuple(outcomes),
            evidence=evidence,
        ),
    )
    envelope = dsse.sign(msgspec.json.encode(statement), PAYLOAD, store.keys)
    made = _record(envelope, statement, store.keys.key_id())
    store.blobs.put(envelope)
    event = Event(
        kind="certificate.issued", subject=made.model, project=project,
        detail={
            "certificate": made.id, "passed": made.passed, "model_digest": made.model_digest,
            "refused": [o.name for o in refusals(made.outcomes)], "key": made.key_id,
        },
    )  # fmt: skip
    with store.change(event) as tx:
        tx.execute(
            _INSERT, id=made.id, model=made.model, passed=int(made.passed), issued_at=made.issued_at,
            record=msgspec.json.encode(made).decode(),
        )  # fmt: skip
    return made


def verify(envelope: bytes, *, public: bytes, store: Store | None = None) -> Certificate:
    """What an envelope certifies, once everything about it holds.

    Args:
        envelope: the DSSE envelope, as exported.
        public: the 32-byte public key that must have signed it.
        store: if given, the model's bytes and the hold-out rows that lie there are hashed and compared, too.

    Raises:
        Fault: refused, naming what is wrong.
    """
    statement = open_statement(envelope, public=public)
    made = _record(envelope, statement, key_id(public))
    if store is not None:
        _check_blob(store.blobs, made.model_digest, f"the bytes of {made.model}", must_be_there=True)
        holdout = statement.predicate.evidence.digests.get("holdout", "")
        if holdout:
            _check_blob(store.blobs, holdout, "the hold-out rows", must_be_there=False)
    return made


def open_statement(envelope: bytes, *, public: bytes) -> Statement:
    """The statement of an envelope, once its signature holds and it does not contradict itself.

    Raises:
        Fault: refused, naming what is wrong.
    """
    payload = dsse.open_envelope(envelope, PAYLOAD, public)
    try:
        statement = msgspec.json.decode(payload, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise refused(f"the signed content is not a certificate: {problem}") from None
    predicate = statement.predicate
    if statement.type != STATEMENT or statement.predicateType != PREDICATE:
        raise refused(f"it states `{statement.predicateType[:80]}`, not `{PREDICATE}`")
    if len(statement.subject) != 1:
        raise refused(f"it is about {len(statement.subject)} things; a certificate is about one model")
    subject = statement.subject[0]
    if (subject.name, subject.digest.get("blake3")) != (predicate.evidence.model, predicate.evidence.model_digest):
        raise refused("the evidence is about another model than the certificate", where=subject.name)
    if predicate.passed != (not refusals(predicate.outcomes)):
        raise refused("it says that it passed, and its rules say otherwise", where=subject.name)
    return statement


def require(store: Store, model: Model, *, by: str = "") -> Certificate:
    """The valid, passed certificate of this very model; without one nothing is released.

    The newest certificate counts: a later refusal takes back an earlier pass. It must be signed by the project's key,
    and the model's record and bytes must be those that were measured.

    Args:
        by: id of the certificate to look at instead of the newest: going back to what was released before rests on
            what released it then, even if it has lost to a better champion since.

    Raises:
        Fault: refused, saying what is missing and what would pass.
    """
    fix = f"run `rw gate {model.id}`, and release what passes"
    ids = [by] if by else _ids(store, model.id)
    if not ids:
        raise refused("the model has no certificate", where=model.id, fix=fix)
    statement = _own(store, ids[0], fix)
    subject, evidence = statement.subject[0], statement.predicate.evidence
    if subject.name != model.id or subject.digest["blake3"] != model.value.digest:
        raise refused("the certificate is about another model", where=model.id, fix=fix)
    if evidence.digests.get("record", "") not in {"", record_digest(model)}:
        raise refused("the model's record was changed after it was certified", where=model.id, fix=fix)
    _check_blob(store.blobs, model.value.digest, f"the bytes of {model.id}", must_be_there=True)
    if not statement.predicate.passed:
        failed = refusals(statement.predicate.outcomes)
        first = failed[0]
        raise refused(
            f"the gate refused the model: {first.name}",
            where=model.id,
            fix=f"would pass: {first.would_pass or first.rule}",
            detail={"outcomes": msgspec.to_builtins(failed), "certificate": ids[0]},
        )
    return _record(store.blobs.get(ids[0]), statement, store.keys.key_id())


def latest(store: Store, model_id: str) -> Certificate | None:
    """The newest certificate of a version, passed or not, as its envelope says; None without one.

    Raises:
        Fault: refused, when its envelope is gone or does not hold.
    """
    ids = _ids(store, model_id)
    if not ids:
        return None
    return _record(store.blobs.get(ids[0]), _own(store, ids[0], ""), store.keys.key_id())


def listing(store: Store, model_id: str = "", *, limit: int = 50) -> list[Certificate]:
    """Certificates from the index, newest first, of one version (`name@3`) or one name if given; not verified."""
    start = f"{model_id}@"
    with store.read() as reader:
        rows = reader.rows(_LISTING, model=model_id, length=len(start), any_version=start, limit=limit)
    return [msgspec.json.decode(row[0], type=Certificate) for row in rows]


def find(store: Store, ref: str) -> str:
    """The id of a certificate by id, unique beginning of an id (6 or more digits), or model reference (its newest).

    Raises:
        Fault: not found, or more than one.
    """
    ids = _ids(store, ref)
    if ids:
        return ids[0]
    if len(ref) >= 6 and all(c in "0123456789abcdef" for c in ref):
        with store.read() as reader:
            rows = reader.rows(_BY_PREFIX, prefix=f"{ref}%")
        if len(rows) == 1:
            return str(rows[0][0])
        if rows:
            raise not_found("more than one certificate begins so", where=ref, fix="give more digits")
    with contextlib.suppress(Fault):
        ids = _ids(store, models.get(store, ref).id)
        if ids:
            return ids[0]
    raise not_found("no such certificate", where=ref[:200], fix="`rw certificate list` shows those there are")


def indexed(store: Store, certificate_id: str) -> Certificate:
    """A certificate from the index, not verified.

    Raises:
        Fault: not found.
    """
    with store.read() as reader:
        row = reader.row(_ONE, id=certificate_id)
    if row is None:
        raise not_found("no such certificate", where=certificate_id[:200])
    made: Certificate = msgspec.json.decode(row[0], type=Certificate)
    return made


def read(store: Store, certificate_id: str) -> Statement:
    """The whole statement of a certificate in the store, verified with the project's key."""
    return _own(store, certificate_id, "")


def export(store: Store, certificate_id: str) -> bytes:
    """The envelope of a certificate, to be kept elsewhere and verified anywhere."""
    return store.blobs.get(certificate_id)


def key_file(public: bytes) -> bytes:
    """A 32-byte public key as a PEM file, for those who verify elsewhere."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = Ed25519PublicKey.from_public_bytes(public)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def record_digest(model: Model) -> str:
    """BLAKE3 of what a registered model is, without its tags and when it was registered."""
    plain = msgspec.structs.replace(model, tags={}, created_at=0.0)
    return digest_of(msgspec.json.encode(plain, order="deterministic"))


def sha256_of_file(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _ids(store: Store, model_id: str, limit: int = 1) -> list[str]:
    with store.read() as reader:
        return [str(row[0]) for row in reader.rows(_OF_MODEL, model=model_id, limit=limit)]


def _own(store: Store, certificate_id: str, fix: str) -> Statement:
    """The statement of a certificate that this project's key signed."""
    try:
        return open_statement(store.blobs.get(certificate_id), public=store.keys.public())
    except Fault as wrong:
        raise refused(
            f"the certificate does not hold: {wrong.what}", where=f"certificate {certificate_id[:16]}", fix=fix
        ) from None


def _check_blob(blobs: Blobs, digest: str, what: str, *, must_be_there: bool) -> None:
    if not must_be_there and not blobs.has(digest):
        return
    try:
        blobs.file(digest)
    except Fault as wrong:
        raise refused(f"{what} are not those that were certified: {wrong.what}", where=digest) from None


def _record(envelope: bytes, statement: Statement, key: str) -> Certificate:
    predicate = statement.predicate
    return Certificate(
        id=digest_of(envelope), model=statement.subject[0].name, model_digest=predicate.evidence.model_digest,
        passed=predicate.passed, outcomes=predicate.outcomes, key_id=key, issued_at=predicate.issued_at,
        project=predicate.project,
    )  # fmt: skip


def plain(statement: Statement) -> dict[str, Any]:
    """A statement as JSON values."""
    built: dict[str, Any] = msgspec.to_builtins(statement)
    return built
