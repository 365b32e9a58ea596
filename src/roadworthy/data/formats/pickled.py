"""Pickle, for what nothing else stores: only when named, and only loaded if our own signature on it holds.

Unpickling runs whatever code the bytes say. The signature does not make that safe for a stranger's file; it says that
this store's owner made this file, with code that already ran here.
"""

import base64
import pickle
from pathlib import Path
from typing import Any

from roadworthy.data.formats.format import Context, Stored, Written
from roadworthy.nouns.errors import invalid, refused
from roadworthy.store.keys import Keys, verify

NAME = "pickle"
AUTOMATIC = False
PROTOCOL = 5
_PURPOSE = b"roadworthy pickle v1\n"


def takes(value: Any) -> bool:
    del value
    return True


def write(value: Any, path: Path, context: Context) -> Written:
    if context.keys is None:
        raise invalid("a pickle needs the project's key to be signed with", fix="pass keys=store.keys")
    try:
        content = pickle.dumps(value, PROTOCOL)
    except (pickle.PicklingError, TypeError, AttributeError) as problem:
        raise invalid(f"cannot be pickled: {problem}", where=type(value).__qualname__) from None
    path.write_bytes(content)
    return Written(type=f"{type(value).__module__}.{type(value).__qualname__}")


def sign(digest: str, keys: Keys | None) -> dict[str, str]:
    """What `Value.meta` must hold for a pickle of this digest to be loaded again."""
    assert keys is not None, "write() asked for keys"
    return {"signature": base64.b64encode(keys.sign(_PURPOSE + digest.encode())).decode()}


def read(stored: Stored, context: Context) -> Any:
    if context.keys is None:
        raise refused("a pickle is loaded only where the project's key can check its signature")
    value = stored.value
    try:
        signature = base64.b64decode(value.meta.get("signature", ""), validate=True)
    except (ValueError, TypeError):
        signature = b""
    if not verify(context.keys.public(), signature, _PURPOSE + value.digest.encode()):
        raise refused(
            "this pickle was not signed by this store, and loading it would run whatever it says",
            where=value.digest,
            fix="run the step again here, or store its result in another format",
        )
    # content() has checked the bytes against the digest that was signed.
    return pickle.loads(stored.content())  # noqa: S301 - signed by ourselves, see above
