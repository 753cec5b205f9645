"""What reports are made from: the answers about one period, and its lines. Each figure of a report is one of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.figures import UNKNOWN, amount, hours, month
from analytics.reports.report import Fact, Kind
from gpuledger.model import HELD_STATES, UNWATCHED_STATES
from gpuledger.zones import find_zone

Document = Mapping[str, Any]
_HELD: Final = [state.label for state in HELD_STATES]
_UNWATCHED: Final = [state.label for state in UNWATCHED_STATES]


class Material(NamedTuple):
    """Answers about one period: chargeback by team, the comparison with the one before, energy, waste, and the rest.

    `periods` and `invoices` are rows of closed and open billing periods that lie inside the period; `lines` are the
    period's charges. `outlook` has where an open period lands (`landings`, `coming`), or `why_not`; None of one that is
    known to its end.
    """

    chargeback: Document
    compared: Document
    timeline: Document
    energy: Document
    waste: Document
    quotas: Document
    periods: Sequence[Document]
    invoices: Sequence[Document]
    lines: pl.LazyFrame
    outlook: Document | None = None

    @property
    def label(self) -> str:
        """Return the period as commands take it."""
        return str(self.chargeback["period"]["label"])

    @property
    def period(self) -> str:
        """Return the period as people call it."""
        return month(self.label)

    @property
    def currency(self) -> str:
        """Return the currency; where there are no prices, words."""
        return self.chargeback["currency"] or "no prices"

    @property
    def days(self) -> list[tuple[str, Mapping[str, Decimal | None], Decimal | None]]:
        """Return each day by the date that its zone calls it, its cost by team and kind, and its whole cost."""
        zone = find_zone(self.timeline["period"]["zone"])
        return [
            (
                f"{datetime.fromisoformat(step['at']).astimezone(zone):%Y-%m-%d}",
                {key: money(cost) for key, cost in step["costs"].items()},
                money(step["cost"]),
            )
            for step in self.timeline["rows"]
        ]

    @property
    def teams(self) -> list[str]:
        """Return the teams that had something in the period, the dearest first."""
        return [row["key"] for row in self.chargeback["rows"] if row["kind"] == "owner"]


def money(text: str | None) -> Decimal | None:
    """Return an amount of an answer."""
    return None if text is None else Decimal(text)


def held_hours(states: Mapping[str, float]) -> float:
    """Return the hours in which somebody held GPUs."""
    return sum(states.get(name, 0.0) for name in _HELD)


def watched_hours(row: Document) -> float:
    """Return the hours of a row in which somebody saw whether work was done."""
    return float(row["gpu_hours"] - sum(row["states"].get(name, 0.0) for name in _UNWATCHED))


def part(share: float | None, whole: float) -> float | None:
    """Return a share; None of nothing, and of what is not known."""
    return share / whole if whole > 0 and share is not None else None


def standing(material: Material) -> str:
    """Return whether the figures can still change, and until when data reaches."""
    final = "final" if material.chargeback["final"] else "provisional: charges can change until the period is closed"
    as_of, end = material.chargeback["as_of"], material.chargeback["period"]["to"]
    if not as_of:
        return f"{final}; no data yet"
    return final if as_of >= end else f"{final}; data until {day(as_of)}"


def day(at: str) -> str:
    """Return an instant as people write it."""
    moment = datetime.fromisoformat(at)
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def efficiency(row: Document) -> list[Fact]:
    """Return the two ratios of held time: at work where somebody watched, and held without work."""
    held = held_hours(row["states"])
    return [
        Fact("At work", part(row["active_gpu_hours"], watched_hours(row)), Kind.RATIO),
        Fact("Held without work", part(row["states"].get("held_idle", 0.0), held), Kind.RATIO),
    ]


def incomplete(material: Material, unpriced: float) -> list[str]:
    """Return what makes the amount of a report too low or not final, the gravest first."""
    found = []
    if unpriced:
        found.append(f"{hours(unpriced)} GPU-hours have no price and are not in the amount.")
    known = material.compared["known"]
    if known["hours"] < known["of_hours"]:
        found.append(f"The ledger has {known['hours']:,} of the period's {known['of_hours']:,} hours.")
    if material.chargeback["pending_hours"]:
        found.append(
            f"{material.chargeback['pending_hours']:,} hours wait to be rated again: figures are about to change."
        )
    exceptions = [row["exception"] for row in material.periods if row["exception"]]
    return [*found, *(f"The period was closed with an exception: {said}" for said in exceptions)]


def covers(material: Material, seen: str, unpriced: float) -> str:
    """Return what each figure of a report stands on; `seen` is how much of the time somebody saw, in words."""
    known = material.compared["known"]
    priced = "all priced" if not unpriced else f"{hours(unpriced)} GPU-hours without a price"
    final = "final" if material.chargeback["final"] else "provisional"
    return f"{material.period}: {known['hours']:,} of {known['of_hours']:,} hours, {seen}, {priced}, {final}"


def unequal(material: Material) -> list[str]:
    """Return that a change is one between unequal times, where it is: known hours of both periods."""
    now, before = (material.compared[name] for name in ("known", "known_before"))
    if now["hours"] == now["of_hours"] and before["hours"] == before["of_hours"]:
        return []
    name = month(material.compared["with"]["label"])
    known = f"{now['hours']:,} hours of {material.period} are known, and {before['hours']:,} of {name}"
    return [f"The change is between unequal times: {known}."]


def signed(value: Decimal) -> str:
    """Return an amount with its sign."""
    shown = amount(value)
    return shown if value < 0 or shown == "0.00" else f"+{shown}"


def plain(value: float | None) -> str:
    """Return hours, kilowatt-hours or kilograms; a dash where they are not known."""
    return UNKNOWN if value is None else hours(value)
