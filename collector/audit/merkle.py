"""The Merkle tree of RFC 6962: roots, inclusion and consistency proofs over hashes of leaves. Pure.

A `Frontier` holds the roots of the complete subtrees on the right edge, so that a tree grows by one leaf, and gives its
root, in steps that grow with the logarithm of its size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Final, Self

from gpuledger.errors import AuditError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A tree as far as growing it needs: its size, and the complete subtrees of its right edge, the largest first."""

    def __init__(self, size: int = 0, edge: Sequence[bytes] = ()) -> None:
        if len(edge) != size.bit_count() or any(len(each) != HASH_BYTES for each in edge):
            raise AuditError(f"{len(edge)} hashes are not the edge of a tree of {size} leaves")
        self.size = size
        self._edge = list(edge)

    @property
    def edge(self) -> tuple[bytes, ...]:
        """Return the roots of the complete subtrees, the largest first."""
        return tuple(self._edge)

    @property
    def root(self) -> bytes:
        """Return the root of the tree as it is."""
        if not self._edge:
            return EMPTY_ROOT
        *rest, root = self._edge
        for left in reversed(rest):
            root = node_hash(left, root)
        return root

    def add(self, leaf: bytes) -> None:
        """Grow by the hash of one leaf."""
        size = self.size
        while size & 1:
            leaf = node_hash(self._edge.pop(), leaf)
            size >>= 1
        self._edge.append(leaf)
        self.size += 1

    def copy(self) -> Self:
        """Return a tree that grows by itself."""
        return type(self)(self.size, self._edge)


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over hashes of leaves."""
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    return tree.root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the hashes that lead from the leaf at `index` to the root, from below."""
    if not 0 <= index < len(leaves):
        raise AuditError(f"there is no leaf {index} in a tree of {len(leaves)}")
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root_of(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root_of(leaves[:middle])]


def root_by_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that a proof leads to. Raises AuditError where it cannot be one for a tree of that size."""
    if not 0 <= index < size:
        raise AuditError(f"there is no leaf {index} in a tree of {size}")
    if size == 1:
        if proof:
            raise AuditError("the proof is too long")
        return leaf
    if not proof:
        raise AuditError("the proof is too short")
    middle = _split(size)
    if index < middle:
        return node_hash(root_by_inclusion(leaf, index, middle, proof[:-1]), proof[-1])
    return node_hash(proof[-1], root_by_inclusion(leaf, index - middle, size - middle, proof[:-1]))


def consistency_proof(leaves: Sequence[bytes], before: int) -> list[bytes]:
    """Return the hashes that prove that the tree of the first `before` leaves became the tree of all of them."""
    if not 0 < before <= len(leaves):
        raise AuditError(f"a tree of {before} leaves cannot have become one of {len(leaves)}")
    return _consistency(leaves, before, whole=True)


def roots_by_consistency(before: int, size: int, proof: Sequence[bytes], old_root: bytes) -> tuple[bytes, bytes]:
    """Return the roots of the old and the new tree that a proof leads to; `old_root` is used where it stands in it."""
    if not 0 < before <= size:
        raise AuditError(f"a tree of {before} leaves cannot have become one of {size}")
    return _roots(before, size, list(proof), old_root, whole=True)


def _consistency(leaves: Sequence[bytes], before: int, *, whole: bool) -> list[bytes]:
    if before == len(leaves):
        return [] if whole else [root_of(leaves)]
    middle = _split(len(leaves))
    if before <= middle:
        return [*_consistency(leaves[:middle], before, whole=whole), root_of(leaves[middle:])]
    return [*_consistency(leaves[middle:], before - middle, whole=False), root_of(leaves[:middle])]


def _roots(before: int, size: int, proof: list[bytes], old_root: bytes, *, whole: bool) -> tuple[bytes, bytes]:
    if before == size:
        if whole:
            if proof:
                raise AuditError("the proof is too long")
            return old_root, old_root
        if len(proof) != 1:
            raise AuditError("the proof has the wrong length")
        return proof[0], proof[0]
    if not proof:
        raise AuditError("the proof is too short")
    middle, last = _split(size), proof[-1]
    if before <= middle:
        old, new = _roots(before, middle, proof[:-1], old_root, whole=whole)
        return old, node_hash(new, last)
    old, new = _roots(before - middle, size - middle, proof[:-1], old_root, whole=False)
    return node_hash(last, old), node_hash(last, new)


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << (size - 1).bit_length() - 1
