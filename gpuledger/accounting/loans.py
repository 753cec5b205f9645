"""Loans between owners: who held more than its share in an hour, on whose idle share, and what that is worth.

All sizes are integers of one unit (microseconds x parts of a GPU). In an hour of a scope every owner has a stake: what
it held, and its share. What it held above its share is *over*, what it left of it is *left*:

    loans = min(sum of over, sum of what is left and may be lent)

split over borrowers by what they were over, over lenders by what they left (largest remainder). What was held beyond
that is of capacity that nobody owns, as far as there was such, else of shares that do not lend; neither is a loan.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from gpuledger.accounting.split import split_exactly, spread_exactly
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import ConservationError


class Stake(NamedTuple):
    """What one owner held and what its share is; `most_lent` is how much of it may be on loan (None: all)."""

    used: int
    share: int = 0
    most_lent: int | None = None


class Settled(NamedTuple):
    """What an owner held, by whose it was, and its share, by who had it.

    What it held is `own + borrowed + unowned + unlent`; its share, as far as it existed, `own + lent + taken + idle`.
    """

    own: int  # within its share
    borrowed: int  # above it, on loan
    unowned: int  # above it, of capacity that nobody owns
    unlent: int  # above it, of shares that do not lend
    lent: int  # of its share, on loan to others
    taken: int  # of its share, held by others without a loan
    idle: int  # of its share, held by nobody

    @property
    def share(self) -> int:
        """Return the share as far as it existed."""
        return self.own + self.lent + self.taken + self.idle

    @property
    def used(self) -> int:
        """Return all that the owner held."""
        return self.own + self.borrowed + self.unowned + self.unlent


class Loan(NamedTuple):
    """How much one owner had of another's share; both by their place among the stakes."""

    borrower: int
    lender: int
    amount: int


class Settlement(NamedTuple):
    """An hour of a scope: one row a stake, and the loans between them, in the order of lenders and borrowers."""

    rows: list[Settled]
    loans: list[Loan]


def settle(stakes: Sequence[Stake], capacity: int | None, *, unowned_first: bool = False) -> Settlement:
    """Return who borrowed from whom.

    `capacity` is what existed and worked: where it is less than all shares, capacity that nobody owns is gone first,
    and shares shrink in proportion. None: it is not known, and shares are taken at their word. With `unowned_first`
    what is over takes what nobody owns before it is a loan. Raises ConservationError where more was held than existed.
    """
    used = sum(stake.used for stake in stakes)
    if capacity is not None and used > capacity:
        raise ConservationError(f"owners held {used} of a capacity of {capacity}")
    if not stakes:
        return Settlement([], [])
    shares = _existing([stake.share for stake in stakes], capacity)
    own = [min(stake.used, share) for stake, share in zip(stakes, shares, strict=True)]
    over = [stake.used - within for stake, within in zip(stakes, own, strict=True)]
    left = [share - within for share, within in zip(shares, own, strict=True)]
    spare = None if capacity is None else capacity - sum(shares)
    may_lend = [
        rest if stake.most_lent is None else min(rest, stake.most_lent)
        for stake, rest in zip(stakes, left, strict=True)
    ]
    wanted = max(0, sum(over) - (spare or 0)) if unowned_first else sum(over)
    on_loan = min(wanted, sum(may_lend))
    borrowed, lent = split_exactly(on_loan, over), split_exactly(on_loan, may_lend)
    beyond = [above - loan for above, loan in zip(over, borrowed, strict=True)]
    unowned = split_exactly(sum(beyond) if spare is None else min(sum(beyond), spare), beyond)
    unlent = [rest - free for rest, free in zip(beyond, unowned, strict=True)]
    still_left = [rest - loan for rest, loan in zip(left, lent, strict=True)]
    taken = split_exactly(sum(unlent), still_left)
    idle = [rest - gone for rest, gone in zip(still_left, taken, strict=True)]
    rows = [Settled(*row) for row in zip(own, borrowed, unowned, unlent, lent, taken, idle, strict=True)]
    return Settlement(_proven(rows, stakes, shares), _pairs(borrowed, lent))


def share_idle(idle_cost_quanta: int, idle: Sequence[int], all_idle: int) -> list[int]:
    """Return what each owner pays of the cost of idle time, for the idle part of its share; the rest is the platform's.

    `idle` has what of each share nobody held, `all_idle` all such time. Exact: shares and rest sum to the cost.
    """
    unowned = max(0, all_idle - sum(idle))
    return split_exactly(idle_cost_quanta, [*idle, unowned])[:-1]


def flat_price(rate_quanta: int, amount: int) -> int:
    """Return what a loan costs at a rate for a GPU-hour, in quanta, rounded half to even."""
    return round(Fraction(rate_quanta * amount, GPU_PARTS * US_PER_HOUR))


def percent_price(percent: Decimal, amount: int, used: int, used_cost_quanta: int) -> int:
    """Return what a loan costs at a percentage of what the borrower's own time costs, in quanta, half to even.

    The borrower held `used` in the hour, for `used_cost_quanta`; `amount` of it was on loan.
    """
    return round(Fraction(percent) * Fraction(used_cost_quanta * amount, 100 * used))


def _existing(shares: list[int], capacity: int | None) -> list[int]:
    """Return how much of each share existed."""
    if capacity is None or sum(shares) <= capacity:
        return shares
    return split_exactly(capacity, shares)


def _pairs(borrowed: Sequence[int], lent: Sequence[int]) -> list[Loan]:
    """Return who had whose: every borrower has of every lender in proportion to what that lends; exact both ways."""
    borrowers = [place for place, amount in enumerate(borrowed) if amount]
    lenders = [place for place, amount in enumerate(lent) if amount]
    if not borrowers:
        return []
    pieces = spread_exactly([borrowed[place] for place in borrowers], [lent[place] for place in lenders])
    return [
        Loan(borrower, lender, amount)
        for lender, parts in zip(lenders, pieces, strict=True)
        for borrower, amount in zip(borrowers, parts, strict=True)
        if amount
    ]


def _proven(rows: list[Settled], stakes: Sequence[Stake], shares: Sequence[int]) -> list[Settled]:
    """Return `rows` where they say of all that was held and of every share who had it, each time once."""
    if sum(row.borrowed for row in rows) != sum(row.lent for row in rows):
        raise ConservationError("what was borrowed is not what was lent")
    for row, stake, share in zip(rows, stakes, shares, strict=True):
        if row.used != stake.used or row.share != share or min(row) < 0:
            raise ConservationError(f"{stake} with a share of {share} is settled as {row}")
    return rows
