"""Reconciliation: the proof that time, energy and money of a period are conserved, from raw records up.

Time: for every device, held and idle and unavailable and unobserved time make up its life in the period. Energy: what
its boards were metered is what its records say. Money: what its capacity cost is what its charges sum to.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec

from collector.ledger.store import Ledger
from collector.queries.checks import Checks, Findings, Violation
from collector.queries.figures import Span, hours, money, span
from collector.queries.standing import standing
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.model import State


class Reconciliation(msgspec.Struct, frozen=True):
    """The proof. An imbalance is the sum of what each device, batch or hour is off, whichever way it is off."""

    one_row: ClassVar = True  # as a table

    ok: bool
    period: Span
    devices: int
    elapsed_us: int
    states_us: dict[str, int]
    imbalance_us: int
    energy_mj: int
    energy_imbalance_mj: int
    currency: str | None
    cost: str | None
    money_imbalance: str | None
    unpriced_gpu_hours: float
    pending_hours: int
    violations: list[Violation]


def reconcile(ledger: Ledger, period: Period) -> Reconciliation:
    """Return the proof for `period`. Raises ConfigError on a period off the hour.

    What waits to be rated is rated first; in a ledger that is open for reading only it is a violation.
    """
    require_hours(period)
    if not ledger.read_only:
        rate_dirty(ledger)
    found = Findings()
    with ledger.snapshot() as session:
        check = Checks(session, period, found)
        pending = check.pending(read_only=ledger.read_only)
        time = check.time()
        check.roll_up()
        check.charges()
        check.days()
        cost = check.money()
        check.scopes()
        check.shares()
        check.boards()
        energy_imbalance_mj = check.energy()
        check.closed()
    currency = standing(ledger, period).currency
    violations = found.violations()
    return Reconciliation(
        ok=not (violations or time.imbalance_us or energy_imbalance_mj or cost.imbalance_quanta),
        period=span(period),
        devices=time.devices,
        elapsed_us=time.elapsed_us,
        states_us={State(state).label: amount for state, amount in sorted(time.states_us.items())},
        imbalance_us=time.imbalance_us,
        energy_mj=time.energy_mj,
        energy_imbalance_mj=energy_imbalance_mj,
        currency=currency,
        cost=money(cost.charged_quanta) if currency else None,
        money_imbalance=money(cost.imbalance_quanta),
        unpriced_gpu_hours=hours(cost.unpriced_part_us),
        pending_hours=pending,
        violations=violations,
    )
