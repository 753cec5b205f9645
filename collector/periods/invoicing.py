"""Invoices of a period: who is billed what, in whole cents that sum to the period's total. Pure.

Money is exact in the ledger; a payable amount is whole cents, or whole units of a currency that has none. The period's
total is rounded once, half to even; it is split over invoices, and each invoice's over its lines, by largest remainder:
nothing is lost to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Final, NamedTuple

from gpuledger.errors import ConservationError
from gpuledger.model import UNWATCHED_STATES, State

QUANTA_PER_CENT: Final = 10_000_000
CHARGE: Final = "charge"
CORRECTION: Final = "correction"


class Billed(NamedTuple):
    """What one team (an empty one: the platform) had of one project, model and state; the columns of invoice_groups."""

    organisation: str
    department: str
    team: str
    kind: str  # charge, correction, or the kind of an adjustment
    project: str
    model: str
    mig_profile: str
    state: int
    corrects: str  # the label of the closed period that a line is for, where it is another
    because: str  # why an adjustment was made
    part_us: int
    cost_quanta: int
    unpriced_part_us: int = 0  # of part_us, what has no price

    @property
    def owner(self) -> tuple[str, str, str]:
        """Return who pays."""
        return self.organisation, self.department, self.team


class InvoiceLine(NamedTuple):
    """One line, and what it makes payable."""

    billed: Billed
    payable_cents: int


class Invoice(NamedTuple):
    """The statement of one owner for one period; a credit note where it gives money back."""

    number: int
    lines: tuple[InvoiceLine, ...]
    payable_cents: int

    @property
    def owner(self) -> tuple[str, str, str]:
        """Return who pays."""
        return self.lines[0].billed.owner

    @property
    def kind(self) -> str:
        """Return what the document is."""
        return "credit_note" if self.payable_cents < 0 else "invoice"

    @property
    def cost_quanta(self) -> int:
        """Return the exact amount."""
        return sum(line.billed.cost_quanta for line in self.lines)

    @property
    def part_us(self) -> int:
        """Return the time that the invoice is about; that of adjustments is in it already."""
        counted = (CHARGE, CORRECTION)
        return sum(line.billed.part_us for line in self.lines if line.billed.kind in counted)

    @property
    def observed_part_us(self) -> int:
        """Return the part of the period's own time in which somebody saw whether work was done; no corrections."""
        own = [line.billed for line in self.lines if line.billed.kind == CHARGE]
        return sum(billed.part_us for billed in own if State(billed.state) not in UNWATCHED_STATES)


def make_invoices(billed: Sequence[Billed], first_number: int, smallest: int = 1) -> list[Invoice]:
    """Return the invoices of a period, numbered from `first_number`; `billed` stands in the order of its owners.

    `smallest` is the smallest payable amount of their currency, in cents.
    """
    groups = [tuple(lines) for _, lines in groupby(billed, key=lambda line: line.owner)]
    amounts = [sum(line.cost_quanta for line in lines) for lines in groups]
    payable = split_cents(amounts, smallest=smallest)
    return [
        Invoice(
            first_number + at,
            tuple(map(InvoiceLine, lines, split_cents([line.cost_quanta for line in lines], cents, smallest))),
            cents,
        )
        for at, (lines, cents) in enumerate(zip(groups, payable, strict=True))
    ]


def split_cents(amounts: Sequence[int], total_cents: int | None = None, smallest: int = 1) -> list[int]:
    """Return whole cents for exact amounts that sum to `total_cents` (else to their sum, rounded half to even).

    Each is its amount rounded down to a multiple of `smallest`, and what is left goes to the largest remainders. Raises
    ConservationError where no amount could stay within `smallest` of its own: `total_cents` is not theirs.
    """
    unit = smallest * QUANTA_PER_CENT
    units = _half_even(sum(amounts), unit) if total_cents is None else total_cents // smallest
    found = [amount // unit for amount in amounts]
    left = units - sum(found)
    rests = [amount % unit for amount in amounts]
    if not 0 <= left <= len(found):
        raise ConservationError(
            f"{total_cents} cents are not what {sum(amounts)} quanta in {len(found)} amounts come to"
        )
    for at in sorted(range(len(found)), key=lambda at: (-rests[at], at))[:left]:
        found[at] += 1
    return [each * smallest for each in found]


def _half_even(quanta: int, unit: int) -> int:
    units, rest = divmod(quanta, unit)
    twice = 2 * rest
    return units + (twice > unit or (twice == unit and units % 2 == 1))
