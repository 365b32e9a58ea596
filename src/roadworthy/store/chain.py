"""The Merkle tree over the event log, hashed as RFC 6962 does.

In: the bytes of events, in order. Out: root hashes, proofs, and whether a log is what a checkpoint says it was.
Leaf: SHA-256(0x00 || data). Node: SHA-256(0x01 || left || right). (RFC 6962 section 2.1)
"""

import base64
import hashlib
from collections.abc import Iterable, Sequence

EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of the tree: the roots of its perfect subtrees, largest first; enough to append.

    Args:
        size: number of leaves.
        roots: one hash per bit set in `size`, from the highest.
    """

    def __init__(self, size: int = 0, roots: Iterable[bytes] = ()) -> None:
        self.size = size
        self.roots = list(roots)
        if len(self.roots) != size.bit_count():
            message = f"a tree of {size} leaves has {size.bit_count()} perfect subtrees, not {len(self.roots)}"
            raise ValueError(message)

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash: carries like a binary counter."""
        carry, position = leaf, self.size
        while position & 1:
            carry = node_hash(self.roots.pop(), carry)
            position >>= 1
        self.roots.append(carry)
        self.size += 1

    def root(self) -> bytes:
        if not self.roots:
            return EMPTY_ROOT
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node_hash(left, root)
        return root


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of leaf hashes."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of leaf `index`, lowest first (RFC 6962 section 2.1.1)."""
    if len(leaves) <= 1:
        return []
    split = _split(len(leaves))
    if index < split:
        return [*inclusion_proof(leaves[:split], index), root_of(leaves[split:])]
    return [*inclusion_proof(leaves[split:], index - split), root_of(leaves[:split])]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf` is at `index` of the tree of `size` leaves with that root (RFC 9162 section 2.1.3.2)."""
    if index >= size:
        return False
    position, last, result = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            result = node_hash(sibling, result)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            result = node_hash(result, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and result == root


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """Proof that the tree over the first `size` leaves is a prefix of the tree over all (RFC 6962 section 2.1.2)."""
    if not 0 < size <= len(leaves):
        message = f"the first tree has {size} leaves; it must have 1 to {len(leaves)}"
        raise ValueError(message)
    return _subproof(leaves, size, whole=True)


def verify_consistency(size: int, root: bytes, size_now: int, root_now: bytes, proof: Sequence[bytes]) -> bool:
    """Whether a tree of `size` leaves is a prefix of one of `size_now` (RFC 9162 section 2.1.4.2)."""
    if size == size_now:
        return root == root_now and not proof
    if not 0 < size < size_now or not proof:
        return False
    path = [root, *proof] if size & (size - 1) == 0 else list(proof)
    position, last = size - 1, size_now - 1
    while position & 1:
        position >>= 1
        last >>= 1
    before = after = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node_hash(sibling, before), node_hash(sibling, after)
            while position and not position & 1:
                position >>= 1
                last >>= 1
        else:
            after = node_hash(after, sibling)
        position >>= 1
        last >>= 1
    return last == 0 and before == root and after == root_now


def checkpoint_body(origin: str, size: int, root: bytes) -> str:
    """The text that is signed (C2SP tlog-checkpoint)."""
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def _subproof(leaves: Sequence[bytes], size: int, *, whole: bool) -> list[bytes]:
    if size == len(leaves):
        return [] if whole else [root_of(leaves)]
    split = _split(len(leaves))
    if size <= split:
        return [*_subproof(leaves[:split], size, whole=whole), root_of(leaves[split:])]
    return [*_subproof(leaves[split:], size - split, whole=False), root_of(leaves[:split])]


def _split(count: int) -> int:
    """The largest power of two smaller than `count`."""
    return 1 << ((count - 1).bit_length() - 1)
