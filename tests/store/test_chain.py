"""The Merkle tree against the definition in RFC 6962, and against its published test vectors."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from roadworthy.store import chain

# The eight leaves and roots of the reference implementation (certificate-transparency, merkle_tree_test).
LEAVES = [
    bytes.fromhex(h)
    for h in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


hashes = st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=70)


def test_roots_are_those_of_the_reference_vectors() -> None:
    frontier = chain.Frontier()
    for leaf, root in zip(LEAVES, ROOTS, strict=True):
        frontier.append(chain.leaf_hash(leaf))
        assert frontier.root().hex() == root


def test_the_empty_tree_hashes_nothing() -> None:
    assert chain.Frontier().root() == hashlib.sha256(b"").digest()


@given(hashes)
def test_root_is_the_definition(leaves: list[bytes]) -> None:
    assert chain.root_of(leaves) == by_definition(leaves)


@given(hashes, st.data())
def test_inclusion_is_proved_for_the_right_leaf_alone(leaves: list[bytes], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = chain.inclusion_proof(leaves, index), chain.root_of(leaves)
    assert chain.verify_inclusion(leaves[index], index, len(leaves), proof, root)
    assert not chain.verify_inclusion(hashlib.sha256(leaves[index]).digest(), index, len(leaves), proof, root)
    assert not chain.verify_inclusion(leaves[index], index, len(leaves), [*proof, root], root)
    assert not chain.verify_inclusion(leaves[index], len(leaves), len(leaves), proof, root)


@given(hashes, st.data())
def test_consistency_is_proved_for_a_prefix_alone(leaves: list[bytes], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(leaves)))
    proof = chain.consistency_proof(leaves, size)
    before, after = chain.root_of(leaves[:size]), chain.root_of(leaves)
    assert chain.verify_consistency(size, before, len(leaves), after, proof)
    forged = hashlib.sha256(before).digest()
    assert not chain.verify_consistency(size, forged, len(leaves), after, proof)
