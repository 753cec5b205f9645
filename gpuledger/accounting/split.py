"""Splitting integers by weights so that the shares sum exactly to the whole (largest remainder)."""

from __future__ import annotations

from collections.abc import Sequence


def split_exactly(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` in proportion to `weights`; the shares sum to `total` exactly.

    Each share is the floor of its quota; what is left over goes, one unit each, to the largest remainders, ties to the
    earlier weight. With all weights zero the split is even. `total` and weights are non-negative integers.
    Raises ValueError on an empty list of weights, a negative weight or a negative total.
    """
    if total < 0:
        raise ValueError(f"cannot split a negative total: {total}")
    if not weights:
        raise ValueError("cannot split among nobody")
    if len(weights) == 1 and weights[0] >= 0:
        return [total]
    if min(weights) < 0:
        raise ValueError(f"weights must not be negative: {list(weights)}")
    whole = sum(weights)
    if whole == 0:
        weights, whole = [1] * len(weights), len(weights)
    shares: list[int] = []
    remainders: list[int] = []
    for weight in weights:
        share, remainder = divmod(total * weight, whole)
        shares.append(share)
        remainders.append(remainder)
    left_over = total - sum(shares)
    if left_over:
        by_remainder = sorted(range(len(weights)), key=lambda i: (-remainders[i], i))
        for i in by_remainder[:left_over]:
            shares[i] += 1
    return shares


def spread_exactly(shares: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Spread each of `shares` over pieces of the given lengths; return one list of parts a piece.

    Exact both ways: the parts of a share sum to it, and the parts of a piece sum to what `split_exactly` gives the
    piece of the shares' sum (so where that sum is no more than the whole length, no piece gets more than its length).
    Raises ValueError where split_exactly does.
    """
    remaining = list(shares)
    pieces: list[list[int]] = []
    for total in split_exactly(sum(shares), lengths)[:-1]:
        parts = split_exactly(total, remaining)
        remaining = [left - part for left, part in zip(remaining, parts, strict=True)]
        pieces.append(parts)
    pieces.append(remaining)
    return pieces
