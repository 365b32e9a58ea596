"""Passwords: hashed with scrypt, long enough, compared in constant time.

In: a password. Out: the text that is kept, `scrypt$N$r$p$salt$hash`, from which it cannot be had back. Called by
users.py and door.py.
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from functools import lru_cache

from roadworthy.nouns.errors import invalid

LENGTH_MIN = 12
LENGTH_MAX = 1_024
DIFFERENT_MIN = 5
# 32 MiB and some 0.1 s for each attempt (RFC 7914; OWASP's figure for interactive logins).
N, R, P = 1 << 15, 8, 1
_MEMORY_MAX = 64 << 20
_SALT_BYTES = 16


def check(password: str, name: str) -> None:
    """Refuse a password that is soon guessed.

    Raises:
        Fault: invalid.
    """
    if not LENGTH_MIN <= len(password) <= LENGTH_MAX:
        raise invalid(f"a password has {LENGTH_MIN} to {LENGTH_MAX} characters", fix="several words make a good one")
    if len(set(password)) < DIFFERENT_MIN or (name and name.lower() in password.lower()):
        raise invalid("the password is soon guessed", fix="use different characters, and not the user's name")


def hashed(password: str) -> str:
    """What is kept of a password."""
    salt = secrets.token_bytes(_SALT_BYTES)
    parts = (salt, _derive(password, salt, N, R, P))
    return "$".join(["scrypt", str(N), str(R), str(P), *(base64.b64encode(part).decode() for part in parts)])


@lru_cache(maxsize=1)
def nobodys() -> str:
    """As long to check as any other, so that a name nobody has takes no less time than a wrong password."""
    return hashed(secrets.token_urlsafe())


def matches(password: str, kept: str) -> bool:
    """Whether it is the password that was kept so; never for an empty text."""
    try:
        kind, n, r, p, salt, wanted = kept.split("$")
        if kind != "scrypt" or len(password) > LENGTH_MAX:
            return False
        derived = _derive(password, base64.b64decode(salt), int(n), int(r), int(p))
        return hmac.compare_digest(derived, base64.b64decode(wanted))
    except (ValueError, binascii.Error):
        return False


def _derive(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=_MEMORY_MAX, dklen=32
    )
