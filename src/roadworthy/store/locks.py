"""Leases: locks with a token and an end, so that what a dead process held comes free by itself.

The database decides, so that it holds between processes and machines alike.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from roadworthy.nouns.errors import conflict
from roadworthy.store.store import Store

LEASE_S = 60.0

_TAKE = """
INSERT INTO leases (name, token, holder, expires_at) VALUES (:name, :token, :holder, :expires_at)
ON CONFLICT (name) DO UPDATE SET token = excluded.token, holder = excluded.holder, expires_at = excluded.expires_at
WHERE leases.expires_at < :now
"""
_HOLDER = "SELECT holder, expires_at FROM leases WHERE name = :name"
# Whoever makes a copy of the records takes with it no lock.
CLEAR = "DELETE FROM leases"
_RENEW = "UPDATE leases SET expires_at = :expires_at WHERE name = :name AND token = :token"
_RELEASE = "DELETE FROM leases WHERE name = :name AND token = :token"


def take(store: Store, name: str, *, now: float, lease_s: float = LEASE_S) -> str:
    """Take the lease `name`; its token.

    A holder on this machine whose process is gone is taken over at once, others when their lease has ended.

    Args:
        now: real time in seconds (not the project's clock, which may be simulated).

    Raises:
        Fault: conflict, naming the holder.
    """
    token = os.urandom(16).hex()
    holder = f"{socket.gethostname()}:{os.getpid()}"
    with store.append() as tx:
        row = tx.row(_HOLDER, name=name)
        if row is not None and _is_gone(str(row[0])):
            tx.execute("DELETE FROM leases WHERE name = :name", name=name)
        taken = tx.changed(_TAKE, name=name, token=token, holder=holder, expires_at=now + lease_s, now=now)
    if not taken:
        who = str(row[0]) if row else "another process"
        raise conflict(f"{name} is held by process {who}", fix="wait until it ends, or stop it")
    return token


def holder(store: Store, name: str, *, now: float) -> str:
    """Which process holds a lease, as `host:pid`; empty when none does.

    Args:
        now: real time in seconds.
    """
    with store.read() as reader:
        row = reader.row(_HOLDER, name=name)
    return "" if row is None or float(row[1]) < now or _is_gone(str(row[0])) else str(row[0])


def renew(store: Store, name: str, token: str, *, now: float, lease_s: float = LEASE_S) -> bool:
    """Extend a lease; False when it was lost."""
    with store.append() as tx:
        return tx.changed(_RENEW, name=name, token=token, expires_at=now + lease_s) == 1


def release(store: Store, name: str, token: str) -> None:
    """Give a lease back; nothing happens if it was lost."""
    with store.append() as tx:
        tx.execute(_RELEASE, name=name, token=token)


@contextmanager
def held(store: Store, name: str, *, now: float, lease_s: float = LEASE_S) -> Iterator[str]:
    """Hold a lease for the length of a block."""
    token = take(store, name, now=now, lease_s=lease_s)
    try:
        yield token
    finally:
        release(store, name, token)


def _is_gone(holder: str) -> bool:
    host, _, pid = holder.rpartition(":")
    if host != socket.gethostname() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
