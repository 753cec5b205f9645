"""The bill of a period as one page that prints well: who cost what, what the time was, and its invoices. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from analytics.figures import UNKNOWN, amount, hours, month, percent, share
from analytics.invoices import templates
from analytics.words import PLATFORM, title
from gpuledger.model import HELD_STATES, UNWATCHED_STATES, State

Document = Mapping[str, Any]
KINDS: Final = {
    "idle": "Idle capacity",
    "unavailable": "Unavailable",
    "unobserved": "Not observed",
    "unattributed": "Unattributed",
}
STATES: Final = {
    State.ACTIVE: "Held, at work",
    State.HELD_IDLE: "Held, without work",
    State.HELD_UNOBSERVED: "Held, activity not observed",
    State.UNGRANTED: "Used without a grant",
    State.IDLE: "Idle",
    State.UNAVAILABLE: "Unavailable",
    State.UNOBSERVED: "Not observed",
}
_HELD: Final = [state.label for state in HELD_STATES]
_UNWATCHED: Final = [state.label for state in UNWATCHED_STATES]


class TeamLine(NamedTuple):
    """One line of chargeback as it is printed; `aside` is what no team owns."""

    name: str
    aside: bool
    gpu_hours: str
    active: str
    energy: str
    carbon: str
    cost: str
    share: str
    bar: str


class StateLine(NamedTuple):
    """One state of device time."""

    name: str
    gpu_hours: str
    share: str
    bar: str


class BillLine(NamedTuple):
    """One billing period that lies in the period."""

    period: str
    state: str
    charges: str
    corrections: str
    adjustments: str
    cost: str


class InvoiceRow(NamedTuple):
    """One invoice of them."""

    number: int
    credit: bool
    owner: str
    period: str
    gpu_hours: str
    observed: str
    payable: str


def bill_html(chargeback: Document, periods: Sequence[Document], invoices: Sequence[Document]) -> str:
    """Return the page. `chargeback` is by team and by what was held; the others are rows that lie in its period."""
    total = chargeback["total"]
    states = total["states"]
    payable = sum((Decimal(row["payable"]) for row in invoices), Decimal(0))
    return templates.get_template("bill.html.j2").render(
        period=month(chargeback["period"]["label"]),
        zone=zone if (zone := chargeback["period"]["zone"]) != "UTC" else "",
        standing="final" if chargeback["final"] else "provisional: charges can change until the period is closed",
        currency=chargeback["currency"] or "no prices",
        total=_cost(total["cost"]),
        gpu_hours=hours(total["gpu_hours"]),
        held=percent(_part(_hours_in(states, _HELD), total["gpu_hours"])),
        observed=percent(_part(total["gpu_hours"] - _hours_in(states, _UNWATCHED), total["gpu_hours"])),
        as_of=_known_until(chargeback),
        finding=_finding(chargeback),
        warnings=_warnings(chargeback, periods),
        teams=_teams(chargeback),
        total_row=_team({**total, "kind": "total", "key": ""}, Decimal(0), Decimal(0)),
        states=_states(states),
        bills=[_bill(row) for row in periods],
        invoices=[_invoice(row) for row in invoices],
        payable=amount(payable),
    )


def _known_until(chargeback: Document) -> str:
    """Return until when data reaches, or that it reaches the period's end. Instants in ISO 8601 compare as text."""
    as_of, end = chargeback["as_of"], chargeback["period"]["to"]
    if not as_of:
        return UNKNOWN
    return "its end" if as_of >= end else f"{as_of[:16].replace('T', ' ')} UTC"


def _finding(chargeback: Document) -> str:
    """Return the one thing to know: what of it teams pay, and how much of their time was held without work."""
    owners = [row for row in chargeback["rows"] if row["kind"] == "owner"]
    paid = sum((Decimal(row["cost"] or 0) for row in owners), Decimal(0))
    held = sum(_hours_in(row["states"], _HELD) for row in owners)
    without_work = sum(row["states"].get(State.HELD_IDLE.label, 0.0) for row in owners)
    if not owners:
        return "no team held a GPU in this period"
    teams = f"{len(owners):,} team{'s' if len(owners) > 1 else ''}"
    return f"{amount(paid)} of it for what {teams} held; {percent(_part(without_work, held))} of that time without work"


def _warnings(chargeback: Document, periods: Sequence[Document]) -> list[str]:
    found = []
    if chargeback["unpriced_gpu_hours"]:
        found.append(
            f"{hours(chargeback['unpriced_gpu_hours'])} GPU-hours have no price, so that the total is too low."
        )
    if chargeback["pending_hours"]:
        found.append(f"{chargeback['pending_hours']:,} hours wait to be rated again: figures are about to change.")
    found += [
        f"{month(row['label'])} was closed with an exception: {row['exception']}" for row in periods if row["exception"]
    ]
    return found


def _teams(chargeback: Document) -> list[TeamLine]:
    rows = sorted(chargeback["rows"], key=lambda row: row["kind"] != "owner")
    costs = [Decimal(row["cost"] or 0) for row in rows]
    whole, most = Decimal(chargeback["total"]["cost"] or 0), max(costs, default=Decimal(0))
    return [_team(row, whole, most) for row in rows]


def _team(row: Document, whole: Decimal, most: Decimal) -> TeamLine:
    cost = Decimal(row["cost"] or 0)
    watched = row["gpu_hours"] - _hours_in(row["states"], _UNWATCHED)
    held = row["active_gpu_hours"] is not None and row["kind"] in ("owner", "unattributed", "total")
    return TeamLine(
        name=title(row["key"]) if row["kind"] == "owner" else KINDS.get(row["kind"], ""),
        aside=row["kind"] != "owner",
        gpu_hours=hours(row["gpu_hours"]),
        active=percent(_part(row["active_gpu_hours"], watched)) if held else UNKNOWN,
        energy=_figure(row["energy_kwh"]),
        carbon=_figure(row["carbon_kg"]),
        cost=_cost(row["cost"]),
        share=share(float(cost / whole)) if whole and row["cost"] is not None else UNKNOWN,
        bar=_bar(float(cost / most) if most > 0 else 0),
    )


def _states(states: Mapping[str, float]) -> list[StateLine]:
    whole = sum(states.values())
    return [
        StateLine(name, hours(found), share(_part(found, whole)), _bar(found / whole if whole else 0))
        for state, name in STATES.items()
        if (found := states.get(state.label, 0.0))
    ]


def _bill(row: Document) -> BillLine:
    closed = f"closed {row['closed_at'][:10]} by {row['closed_by']}" if row["closed_at"] else row["state"]
    names = ("charge_cost", "correction_cost", "adjustment_cost", "cost")
    return BillLine(month(row["label"]), closed, *(_cost(row[name]) for name in names))


def _invoice(row: Document) -> InvoiceRow:
    return InvoiceRow(
        number=row["number"],
        credit=row["kind"] == "credit_note",
        owner=title(row["team"]) or PLATFORM,
        period=month(row["period"]),
        gpu_hours=hours(row["gpu_hours"]),
        observed=percent(row["complete_ratio"]),
        payable=amount(row["payable"]),
    )


def _hours_in(states: Mapping[str, float], names: Sequence[str]) -> float:
    return sum(states.get(name, 0.0) for name in names)


def _part(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _cost(text: str | None) -> str:
    return UNKNOWN if text is None else amount(text)


def _figure(value: float | None) -> str:
    return UNKNOWN if value is None else hours(value)


def _bar(ratio: float) -> str:
    """Return the length of a bar in percent; what is not nothing is seen."""
    return f"{max(0.0, min(1.0, ratio)) * 100:.1f}"
