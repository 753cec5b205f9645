"""The Merkle tree: as RFC 6962 says, and every proof proves its own statement alone."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_by_inclusion,
    root_of,
    roots_by_consistency,
)
from gpuledger.errors import AuditError

# The eight inputs of the test vectors that implementations of RFC 6962 share, and the roots of their first n.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
leaves = st.lists(st.binary(max_size=8).map(leaf_hash), min_size=1, max_size=70)


@pytest.mark.parametrize("size", ROOTS)
def test_roots_are_those_of_the_standard(size: int) -> None:
    """Others compute the same."""
    assert root_of(leaf_hash(bytes.fromhex(each)) for each in INPUTS[:size]).hex() == ROOTS[size]


def test_the_empty_tree_has_a_root() -> None:
    """That nothing happened can be signed too."""
    assert Frontier().root == EMPTY_ROOT == sha256(b"").digest()


@given(leaves)
def test_a_tree_grown_from_its_edge_is_the_same(hashes: list[bytes]) -> None:
    """Whatever was kept of it, the root is that of the definition."""

    def definition(part: list[bytes]) -> bytes:
        if len(part) == 1:
            return part[0]
        middle = 1
        while middle * 2 < len(part):
            middle *= 2
        return node_hash(definition(part[:middle]), definition(part[middle:]))

    for kept in range(len(hashes) + 1):
        before = Frontier()
        for each in hashes[:kept]:
            before.add(each)
        after = Frontier(before.size, before.edge)
        for each in hashes[kept:]:
            after.add(each)
        assert after.root == definition(hashes)


@given(leaves, st.data())
def test_an_inclusion_proof_proves_its_leaf_alone(hashes: list[bytes], data: st.DataObject) -> None:
    """It leads from that leaf to the root, and from no other."""
    index = data.draw(st.integers(0, len(hashes) - 1))
    proof = inclusion_proof(hashes, index)
    assert root_by_inclusion(hashes[index], index, len(hashes), proof) == root_of(hashes)
    other = sha256(hashes[index]).digest()
    assert root_by_inclusion(other, index, len(hashes), proof) != root_of(hashes)
    for wrong in ([*proof, other], proof[:-1]):
        if wrong != proof:
            with pytest.raises(AuditError):
                root_by_inclusion(hashes[index], index, len(hashes), wrong)


@given(leaves, st.data())
def test_a_consistency_proof_proves_growth_alone(hashes: list[bytes], data: st.DataObject) -> None:
    """It leads to both roots; where an old event was changed it does not."""
    before = data.draw(st.integers(1, len(hashes)))
    old, new = root_of(hashes[:before]), root_of(hashes)
    proof = consistency_proof(hashes, before)
    assert roots_by_consistency(before, len(hashes), proof, old) == (old, new)
    changed = [*hashes]
    changed[data.draw(st.integers(0, before - 1))] = sha256(b"changed").digest()
    forged = consistency_proof(changed, before)
    assert roots_by_consistency(before, len(hashes), forged, old) != (old, root_of(changed))


@pytest.mark.parametrize(("size", "edge"), [(3, [b"x" * 32]), (1, [b"short"]), (0, [b"x" * 32])])
def test_an_edge_that_is_none_is_refused(size: int, edge: list[bytes]) -> None:
    """A tree does not grow from nonsense."""
    with pytest.raises(AuditError, match="edge"):
        Frontier(size, edge)
