"""Certificate: a signed statement about one model: the evidence, the rules, each outcome.

On the wire it is an in-toto Statement (v1) in a DSSE envelope; this record is our index of it.
"""

import msgspec

from roadworthy.nouns.rule import Outcome


class Certificate(msgspec.Struct, frozen=True, kw_only=True):
    """A stored certificate.

    Args:
        id: BLAKE3 of the envelope, which is also its blob.
        model: `name@version`.
        model_digest: BLAKE3 of the model's bytes.
        passed: whether no rule refused; only such a certificate releases.
        outcomes: every rule with its outcome.
        key_id: SHA-256 of the signer's public key.
        issued_at: seconds since the epoch.
    """

    id: str
    model: str
    model_digest: str
    passed: bool
    outcomes: tuple[Outcome, ...]
    key_id: str
    issued_at: float
    project: str = ""
