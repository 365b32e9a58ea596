"""DSSE: a signed envelope around bytes that says what kind of bytes they are (secure-systems-lab/dsse, version 1).

In: a payload and its type. Out: the JSON envelope; and back again, only if a signature holds. What is signed is the
"pre-authentication encoding", so that nobody can have one payload's signature stand for another type's.
"""

import base64
import binascii
from typing import Any

import msgspec

from roadworthy.nouns.errors import refused
from roadworthy.store import keys as signing
from roadworthy.store.keys import Keys

ENVELOPE_BYTES_MAX = 32 << 20
SIGNATURES_MAX = 16


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who signed (SHA-256 of the public key; a hint) and the signature in base 64."""

    keyid: str
    sig: str


class Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The envelope as JSON has it; the payload is in base 64."""

    payload: str
    payloadType: str  # noqa: N815 - the standard's name
    signatures: tuple[Signature, ...]


def encode_for_signing(payload_type: str, payload: bytes) -> bytes:
    """PAE, the bytes that are signed.

    >>> encode_for_signing("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def sign(payload: bytes, payload_type: str, keys: Keys) -> bytes:
    """The envelope around a payload, signed with the project's key."""
    signature = keys.sign(encode_for_signing(payload_type, payload))
    made = Envelope(
        payload=base64.b64encode(payload).decode(),
        payloadType=payload_type,
        signatures=(Signature(keys.key_id(), base64.b64encode(signature).decode()),),
    )
    return msgspec.json.encode(made)


def open_envelope(envelope: bytes, payload_type: str, public: bytes) -> bytes:
    """The payload of an envelope that the owner of `public` signed.

    Args:
        envelope: JSON, at most 32 MiB.
        payload_type: the only type that is accepted.
        public: 32-byte Ed25519 public key.

    Raises:
        Fault: refused, saying what is wrong: not an envelope, another type, not signed by that key, changed since.
    """
    if len(envelope) > ENVELOPE_BYTES_MAX:
        raise refused(f"the envelope has {len(envelope)} bytes; at most {ENVELOPE_BYTES_MAX} are read")
    try:
        read: Any = msgspec.json.decode(envelope, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise refused(f"it is not a DSSE envelope: {problem}") from None
    if read.payloadType != payload_type:
        raise refused(f"the envelope holds `{read.payloadType[:80]}`, not `{payload_type}`")
    payload = _decoded(read.payload, "payload")
    if not 0 < len(read.signatures) <= SIGNATURES_MAX:
        raise refused(f"the envelope has {len(read.signatures)} signatures; 1 to {SIGNATURES_MAX} are read")
    signed = encode_for_signing(read.payloadType, payload)
    mine = signing.key_id(public)
    own = [s for s in read.signatures if s.keyid == mine]
    if not own:
        others = ", ".join(s.keyid[:16] for s in read.signatures)
        raise refused(f"it is not signed by this key: the envelope names {others}", where=f"key {mine[:16]}")
    if not any(signing.verify(public, _decoded(s.sig, "signature"), signed) for s in own):
        raise refused("the signature does not hold: the content was changed after it was signed", where=f"key {mine}")
    return payload


def _decoded(text: str, what: str) -> bytes:
    try:
        decoded = base64.b64decode(text.encode(), validate=True)
    except (binascii.Error, ValueError):
        raise refused(f"the {what} is not base 64") from None
    if base64.b64encode(decoded).decode() != text:
        # two texts for one value would let an envelope be changed without anyone noticing
        raise refused(f"the {what} is not written as base 64 is")
    return decoded
