"""Where an open period lands: what is known, what is expected at its end, and the range it may lie in. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from analytics.figures import amount
from analytics.forecast import WHY_NOT
from analytics.reports import charts
from analytics.reports.material import Material, day, money
from analytics.reports.report import Column, Kind, Row, Section, Table
from analytics.series_source import TOTAL
from analytics.words import title
from gpuledger.zones import find_zone

Document = Mapping[str, Any]
TITLE: Final = "Where the period lands"
_RANGE: Final = "Four of five such forecasts end up between the two; how often they really do is measured by back-test."
_HELD: Final = "Only what is held is forecast: the cost of capacity that nobody holds comes on top."


def outlook_section(found: Material, key: str) -> Section | None:
    """Return what a team, or TOTAL, will have spent at the end; None where the period is known to its end."""
    if found.outlook is None:
        return None
    command = f"gpuledger forecast --period {found.label} --by team"
    if found.outlook.get("why_not"):
        return Section(TITLE, f"There is no forecast: {found.outlook['why_not']}.", command)
    rows = [row for row in found.outlook["landings"]["rows"] if key in (TOTAL, row["key"])]
    own = next((row for row in rows if row["key"] == key), None)
    if own is None:
        return Section(TITLE, "There is no forecast: nothing was held in the days before.", command)
    whose = "Team" if key == TOTAL else ""
    heads = ("So far", "Expected", "From", "To")
    columns = (Column(whose), *(Column(head, Kind.MONEY) for head in heads))
    named = [_row(row) for row in rows if row["key"] != TOTAL]
    total = _row({**own, "key": "All that is held"})._replace(style="total") if key == TOTAL else None
    notes = [_RANGE, *([_HELD] if key == TOTAL else [])]
    return Section(TITLE, _words(own, found), command, Table(columns, named, total, 40), _picture(found, key), notes)


def _words(row: Document, found: Material) -> str:
    if row["expected"] is None:
        return f"There is no forecast: {WHY_NOT.get(row['reason'], row['reason'])}."
    until = day(found.outlook["landings"]["as_of"]) if found.outlook else ""
    held = "For what is held, " if row["key"] == TOTAL else ""
    said = f"{held}{amount(row['expected'])} {found.currency} are expected at the end of {found.period}"
    within = "" if row["low_80"] is None else f", between {amount(row['low_80'])} and {amount(row['high_80'])}"
    return f"{said}{within}; {amount(row['so_far'])} by {until}."


def _row(row: Document) -> Row:
    return Row((title(row["key"]), *(money(row[name]) for name in ("so_far", "expected", "low_80", "high_80"))))


def _picture(found: Material, key: str) -> str:
    """Draw days that are known whole, then those that are to come."""
    assert found.outlook
    zone = find_zone(found.timeline["period"]["zone"])
    coming = {
        f"{datetime.fromisoformat(row['at']).astimezone(zone):%Y-%m-%d}": row
        for row in found.outlook["coming"]["rows"]
        if row["key"] == key
    }
    if not coming:
        return ""
    keys = [row["key"] for row in found.outlook["landings"]["rows"]] if key == TOTAL else [key]
    known = {date: _held(costs, keys) for date, costs, _ in found.days if date < min(coming)}
    later = [
        charts.Ahead(float(row["expected"]), *(None if row[name] is None else float(row[name]) for name in _BOUNDS))
        for row in coming.values()
    ]
    heads = [str(int(date[8:])) for date in (*known, *coming)]
    return charts.ahead(heads, list(known.values()), later, found.currency)


_BOUNDS: Final = ("low_80", "high_80")


def _held(costs: Mapping[str, Decimal | None], keys: Sequence[str]) -> float:
    return float(sum((costs.get(key) or Decimal(0) for key in keys), Decimal(0)))
