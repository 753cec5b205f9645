"""Figures as answers show them: exact money as text, hours and kilowatt-hours rounded to six decimals."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

import msgspec

from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import gpu_hours, kwh
from gpuledger.model import State

_SIX_PLACES: Final = Decimal("0.000001")
HELD: Final = frozenset({State.ACTIVE, State.HELD_IDLE, State.UNGRANTED, State.HELD_UNOBSERVED})


class Span(msgspec.Struct, frozen=True, rename={"from_": "from"}):
    """The period of an answer, `[from, to)` in UTC; `zone`: whose days its label means."""

    from_: str
    to: str
    label: str
    zone: str


def span(period: Period) -> Span:
    """Return a period as answers show it."""
    return Span(iso(period.start_us), iso(period.end_us), period.label, period.zone)


def instant(at_us: int | None) -> str | None:
    """Return an instant as answers show it; None stays None."""
    return None if at_us is None else iso(at_us)


def money(cost_quanta: int | None) -> str | None:
    """Return an amount exactly, with at least two decimals; None where it is not known."""
    if cost_quanta is None:
        return None
    whole, _, decimals = f"{from_quanta(cost_quanta):.9f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def hours(part_us: int) -> float:
    """Return GPU-hours for microseconds x parts of a GPU."""
    return float(gpu_hours(part_us).quantize(_SIX_PLACES))


def energy(energy_mj: int) -> float:
    """Return kilowatt-hours for millijoules."""
    return float(kwh(energy_mj).quantize(_SIX_PLACES))


def ratio(part: int, whole: int) -> float | None:
    """Return a share to six decimals; None of nothing."""
    return float((Decimal(part) / whole).quantize(_SIX_PLACES)) if whole else None


def cost_of(part_us: int, unpriced_part_us: int, cost_quanta: int) -> int | None:
    """Return a cost, or None where there was time and none of it has a price: unpriced is not free."""
    return None if part_us and part_us == unpriced_part_us else cost_quanta


def state_hours(part_us: dict[int, int]) -> dict[str, float]:
    """Return GPU-hours by the name of the state."""
    return {State(state).label: hours(amount) for state, amount in sorted(part_us.items()) if amount}


def integers(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row with the database's wide integers (decimals without decimals) as Python integers."""
    return {
        name: int(value) if isinstance(value, Decimal) and value.as_tuple().exponent == 0 else value
        for name, value in row.items()
    }
