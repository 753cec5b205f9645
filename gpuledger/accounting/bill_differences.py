"""What a provider billed for a machine's day against what the ledger says that it cost, and why the two differ.

Amounts are whole atoms (1e-18 of a currency unit), because bills have more decimals than charges: a charge's quantum is
a thousand million atoms. GPU time is microseconds x parts of a GPU (840 are a whole one). The causes sum to the
difference exactly; each is rounded to a whole quantum; `rounding` is what that and the bill's further decimals leave.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Final, NamedTuple

from gpuledger.accounting.money import QUANTA_PER_UNIT
from gpuledger.errors import ConservationError

ATOMS_PER_UNIT: Final = 10**18
ATOMS_PER_QUANTUM: Final = ATOMS_PER_UNIT // QUANTA_PER_UNIT

NOT_IN_LEDGER: Final = "not_in_ledger"
NOT_ON_BILL: Final = "not_on_bill"
HOURS: Final = "hours"
RATE: Final = "rate"
UNPRICED: Final = "unpriced"
ROUNDING: Final = "rounding"
OTHER_USAGE: Final = "other_usage"
ROW_CAUSES: Final = (OTHER_USAGE, "purchase", "credit", "refund", "adjustment", "correction", "tax")
CAUSES: Final = (NOT_IN_LEDGER, NOT_ON_BILL, HOURS, RATE, UNPRICED, *ROW_CAUSES, ROUNDING)


class Billed(NamedTuple):
    """What a bill says of a machine's day: its GPU time, what that cost, and rows that are no such time, by cause."""

    time_atoms: int = 0
    part_us: int = 0
    rows_atoms: Mapping[str, int] = {}  # by the names in ROW_CAUSES

    @property
    def atoms(self) -> int:
        """Return all that was billed."""
        return self.time_atoms + sum(self.rows_atoms.values())


class Lived(NamedTuple):
    """What the ledger says of a node's day: the cost, how long its devices existed, how much of that has no price."""

    cost_quanta: int = 0
    part_us: int = 0
    unpriced_part_us: int = 0

    @property
    def atoms(self) -> int:
        """Return the cost in atoms."""
        return self.cost_quanta * ATOMS_PER_QUANTUM


def explain_bill(billed: Billed, lived: Lived, *, on_bill: bool = True, in_ledger: bool = True) -> dict[str, int]:
    """Return why a machine's day differs, billed less ledger, as atoms by cause; causes of nothing are left out.

    `on_bill` and `in_ledger` say whether the other side knows the machine at all in the period. Time rows are explained
    by what is unpriced, then hours (at the ledger's rate), then the rate (at the billed hours). Raises
    ConservationError where the causes do not sum to the difference.
    """
    causes: dict[str, Fraction] = {name: Fraction(amount) for name, amount in billed.rows_atoms.items()}
    if not in_ledger:
        causes[NOT_IN_LEDGER] = Fraction(billed.time_atoms)
    elif not on_bill:
        causes[NOT_ON_BILL] = Fraction(-lived.atoms)
    else:
        causes |= _time_causes(billed, lived)
    rounded = {name: _whole_quanta(amount) * ATOMS_PER_QUANTUM for name, amount in causes.items()}
    difference = billed.atoms - lived.atoms
    rounded[ROUNDING] = difference - sum(rounded.values())
    _require_sum(rounded, difference, len(causes))
    return {name: rounded[name] for name in CAUSES if rounded.get(name)}


def add_causes(explained: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Return the sums by cause, in the order of CAUSES."""
    total = dict.fromkeys(CAUSES, 0)
    for causes in explained:
        for name, amount in causes.items():
            total[name] += amount
    return {name: amount for name, amount in total.items() if amount}


def _time_causes(billed: Billed, lived: Lived) -> dict[str, Fraction]:
    """Split the difference of machine time as cost accounting does: volume at the standard rate, then the rate."""
    priced_us = lived.part_us - lived.unpriced_part_us
    if lived.part_us == 0:
        return {HOURS: Fraction(billed.time_atoms - lived.atoms)}
    known = Fraction(priced_us, lived.part_us)
    unpriced = billed.time_atoms * (1 - known)
    rest = billed.time_atoms - unpriced - lived.atoms
    hours = Fraction(lived.atoms * (billed.part_us - lived.part_us), lived.part_us) if priced_us else Fraction(0)
    return {UNPRICED: unpriced, HOURS: hours, RATE: rest - hours}


def _whole_quanta(atoms: Fraction) -> int:
    """Return the nearest whole number of quanta, half to even."""
    return round(atoms / ATOMS_PER_QUANTUM)


def _require_sum(causes: Mapping[str, int], difference: int, count: int) -> None:
    if sum(causes.values()) != difference or abs(causes[ROUNDING]) > (count + 1) * ATOMS_PER_QUANTUM:
        raise ConservationError(f"causes sum to {sum(causes.values())} atoms, the difference is {difference}")
