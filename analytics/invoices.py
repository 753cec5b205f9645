"""An invoice as a page that prints well: from the collector's answer to HTML. Pure but for its template."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from analytics.words import PLATFORM, title

Document = Mapping[str, Any]
UNKNOWN: Final = "\N{EN DASH}"
MINUS: Final = "\N{MINUS SIGN}"
NO_PROJECT: Final = "GPUs that were held"
_STATES: Final = {
    "active": "at work",
    "held_idle": "held without work",
    "held_unobserved": "held, activity not observed",
    "ungranted": "used without a grant",
    "idle": "idle capacity",
    "unavailable": "unavailable",
    "unobserved": "not observed",
}
_HELD: Final = ("active", "held_idle", "held_unobserved", "ungranted")
_templates: Final = Environment(
    loader=PackageLoader("analytics"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Line(NamedTuple):
    """One line as it is printed."""

    gpu: str
    state: str
    gpu_hours: str
    payable: str


class Section(NamedTuple):
    """The lines of one project, or the corrections of one earlier period, and their sums."""

    title: str
    total_title: str
    lines: tuple[Line, ...]
    gpu_hours: str
    payable: str


def invoice_html(answer: Document) -> str:
    """Return the page of an invoice; `answer` is the collector's `/v1/invoice`. Text in it is escaped."""
    head = answer["invoice"]
    return _templates.get_template("invoice.html.j2").render(
        kind=head["kind"].replace("_", " ").capitalize(),
        number=head["number"],
        owner=title(head["team"]) or PLATFORM,
        department=title(head["department"]),
        organisation=title(head["organisation"]),
        period=_month(head["period"]),
        issued=head["issued_at"][:10],
        gpu_hours=_hours(head["gpu_hours"]),
        complete=_percent(head["complete_ratio"]),
        payable=_amount(head["payable"]),
        currency=head["currency"],
        finding=_finding(answer["rows"], platform=not head["team"]),
        exception=answer["exception"],
        sections=_sections(answer["rows"]),
        exact=head["cost"],
        digest=answer["period_digest"],
    )


def _finding(rows: Sequence[Document], *, platform: bool) -> str:
    """Return the one thing to know: how much of what was held did no work; of the platform's time, what it was."""
    own = [row for row in rows if not row["corrects"]]
    found = [_unowned(own) if platform else _wasted(own)] if own else []
    if len(own) < len(rows):
        corrected = sum(Decimal(row["payable"]) for row in rows if row["corrects"])
        found.append(f"{_amount(corrected)} corrects earlier periods")
    return "; ".join(found)


def _unowned(own: Sequence[Document]) -> str:
    """Return what the platform pays for, the dearest first."""
    costs: dict[str, Decimal] = {}
    for row in own:
        what = "GPUs whose holder no rule names" if row["state"] in _HELD else _STATES[row["state"]]
        costs[what] = costs.get(what, Decimal(0)) + Decimal(row["payable"])
    parts = [f"{_amount(cost)} {what}" for what, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0]))]
    return f"for time that no team owns: {', '.join(parts)}"


def _wasted(own: Sequence[Document]) -> str:
    held = [row for row in own if row["state"] in _HELD]
    total = sum(Decimal(row["payable"]) for row in held)
    wasted = sum(Decimal(row["payable"]) for row in held if row["state"] == "held_idle")
    if not wasted or total <= 0:
        return "for GPUs that were held"
    return f"{_amount(wasted)} ({float(wasted / total):.0%}) of it for GPUs that were held and did no work".replace(
        "%", " %"
    )


def _sections(rows: Sequence[Document]) -> list[Section]:
    ordered = sorted(rows, key=_section_of)
    return [_section(corrects, project, list(lines)) for (corrects, project, _), lines in groupby(ordered, _section_of)]


def _section_of(row: Document) -> tuple[str, str, bool]:
    return row["corrects"], row["project"], row["state"] not in _HELD


def _section(corrects: str, project: str, rows: Sequence[Document]) -> Section:
    name = title(project) or (NO_PROJECT if rows[0]["state"] in _HELD else "Capacity that no team held")
    ordered = sorted(rows, key=lambda row: (-Decimal(row["payable"]), row["model"], row["mig_profile"]))
    return Section(
        title=f"Correction of {_month(corrects)}: {name}" if corrects else name,
        total_title="Sum",
        lines=tuple(map(_line, ordered)),
        gpu_hours=_hours(sum(row["gpu_hours"] for row in rows)),
        payable=_amount(sum(Decimal(row["payable"]) for row in rows)),
    )


def _line(row: Document) -> Line:
    gpu = f"{row['model']} {row['mig_profile']}".strip()
    return Line(gpu, _STATES[row["state"]], _hours(row["gpu_hours"]), _amount(row["payable"]))


def _hours(value: float) -> str:
    return f"{value + 0.0:,.1f}".replace("-0.0", "0.0").replace("-", MINUS)


def _amount(value: str | Decimal | int) -> str:
    return f"{Decimal(value):,.2f}".replace("-", MINUS)


def _percent(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{ratio * 100:.0f} %"


def _month(label: str) -> str:
    """Return `October 2026` for 2026-10; any other cut as it is called."""
    year, _, month = label.partition("-")
    named = len(label) == len("2026-10") and year.isdigit() and month.isdigit()
    return f"{calendar.month_name[int(month)]} {year}" if named else label
