"""An invoice as a page that prints well: from the collector's answer to HTML. Pure but for its template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import groupby
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from analytics.figures import amount, hours, month, percent
from analytics.words import ADJUSTMENT_WORDS, PLATFORM, title
from gpuledger.zones import find_zone

Document = Mapping[str, Any]
NO_PRICE: Final = "no price"
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
templates: Final = Environment(
    loader=PackageLoader("analytics"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


class Line(NamedTuple):
    """One line as it is printed: a GPU and its state, or what an adjustment is for and its kind."""

    what: str
    which: str
    gpu_hours: str
    payable: str


class Section(NamedTuple):
    """The lines of one project, the corrections of one earlier period, or the adjustments, and their sums."""

    title: str
    columns: tuple[str, str]
    lines: tuple[Line, ...]
    gpu_hours: str
    payable: str


def invoice_html(answer: Document) -> str:
    """Return the page of an invoice; `answer` is the collector's `/v1/invoice`. Text in it is escaped."""
    head = answer["invoice"]
    return templates.get_template("invoice.html.j2").render(
        kind=head["kind"].replace("_", " ").capitalize(),
        number=head["number"],
        owner=title(head["team"]) or PLATFORM,
        department=title(head["department"]),
        organisation=title(head["organisation"]),
        period=month(head["period"]),
        zone=head["zone"],
        issued=_day(head["issued_at"], head["zone"]),
        created=head["issued_at"],
        unpriced=hours(head["unpriced_gpu_hours"]) if head["unpriced_gpu_hours"] else "",
        gpu_hours=hours(head["gpu_hours"]),
        complete=percent(head["complete_ratio"]),
        payable=amount(head["payable"]),
        currency=head["currency"],
        finding=_finding(answer["rows"], platform=not head["team"]),
        exception=answer["exception"],
        sections=_sections(answer["rows"]),
        exact=head["cost"],
        digest=answer["period_digest"],
    )


def _finding(rows: Sequence[Document], *, platform: bool) -> str:
    """Return the one thing to know: how much of what was held did no work; of the platform's time, what it was."""
    own = [row for row in rows if row["kind"] == "charge"]
    found = [_unowned(own) if platform else _wasted(own)] if own else []
    for kinds, does in ((("correction",), "corrects earlier periods"), (tuple(ADJUSTMENT_WORDS), "is adjustments")):
        besides = [Decimal(row["payable"]) for row in rows if row["kind"] in kinds]
        if besides:
            found.append(f"{amount(sum(besides))} {does}")
    return "; ".join(found)


def _unowned(own: Sequence[Document]) -> str:
    """Return what the platform pays for, the dearest first."""
    costs: dict[str, Decimal] = {}
    for row in own:
        what = "GPUs whose holder no rule names" if row["state"] in _HELD else _STATES[row["state"]]
        costs[what] = costs.get(what, Decimal(0)) + Decimal(row["payable"])
    parts = [f"{amount(cost)} {what}" for what, cost in sorted(costs.items(), key=lambda item: (-item[1], item[0]))]
    return f"for time that no team owns: {', '.join(parts)}"


def _wasted(own: Sequence[Document]) -> str:
    held = [row for row in own if row["state"] in _HELD]
    total = sum(Decimal(row["payable"]) for row in held)
    wasted = sum(Decimal(row["payable"]) for row in held if row["state"] == "held_idle")
    if not wasted or total <= 0:
        return "for GPUs that were held"
    return f"{amount(wasted)} ({float(wasted / total):.0%}) of it for GPUs that were held and did no work".replace(
        "%", " %"
    )


def _sections(rows: Sequence[Document]) -> list[Section]:
    ordered = sorted(rows, key=_section_of)
    return [
        _adjusted(list(lines)) if adjusted else _section(corrects, project, list(lines))
        for (adjusted, corrects, project, _), lines in groupby(ordered, _section_of)
    ]


def _section_of(row: Document) -> tuple[bool, str, str, bool]:
    if row["kind"] in ADJUSTMENT_WORDS:
        return True, "", "", False
    return False, row["corrects"], row["project"], row["state"] not in _HELD


def _adjusted(rows: Sequence[Document]) -> Section:
    """Return the adjustments of an invoice; their time is that of other lines, and is not counted again."""
    lines = [
        Line(_reason(row), ADJUSTMENT_WORDS[row["kind"]], hours(row["gpu_hours"]), amount(row["payable"]))
        for row in rows
    ]
    payable = amount(sum(Decimal(row["payable"]) for row in rows))
    return Section("Adjustments", ("What for", "Kind"), tuple(lines), "", payable)


def _reason(row: Document) -> str:
    """Return what an adjustment is for, with the GPUs that it is about where it names none itself."""
    gpu = f"{row['model']} {row['mig_profile']}".strip()
    return f"{row['because']} ({gpu})" if gpu else str(row["because"])


def _section(corrects: str, project: str, rows: Sequence[Document]) -> Section:
    name = title(project) or (NO_PROJECT if rows[0]["state"] in _HELD else "Capacity that no team held")
    ordered = sorted(rows, key=lambda row: (-Decimal(row["payable"]), row["model"], row["mig_profile"]))
    return Section(
        title=f"Correction of {month(corrects)}: {name}" if corrects else name,
        columns=("GPU", "State"),
        lines=tuple(map(_line, ordered)),
        gpu_hours=hours(sum(row["gpu_hours"] for row in rows)),
        payable=amount(sum(Decimal(row["payable"]) for row in rows)),
    )


def _line(row: Document) -> Line:
    gpu = f"{row['model']} {row['mig_profile']}".strip()
    unpriced = row["unpriced_gpu_hours"] and row["unpriced_gpu_hours"] == row["gpu_hours"]
    payable = NO_PRICE if unpriced else amount(row["payable"])
    return Line(gpu, _STATES[row["state"]], hours(row["gpu_hours"]), payable)


def _day(at: str, zone: str) -> str:
    """Return the date of an instant by the days of a zone."""
    return f"{datetime.fromisoformat(at).astimezone(find_zone(zone)):%Y-%m-%d}"
