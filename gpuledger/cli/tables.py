"""What each answer shows to a person at a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType
from rich.text import Text

from dashboards import wording
from gpuledger.accounting.idle_policy import PLATFORM, PROPORTIONAL
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]
SHOWN_PROBLEMS: Final = 10
BOOKS: Final = {
    "prices": ("Price book", "entries"),
    "owners": ("Owner mapping", "rules"),
    "directory": ("Directory of people", "memberships"),
    "policies": ("Policy book", "entries"),
    "carbon": ("Carbon intensity", "hours"),
    "shares": ("Share book", "shares"),
    "rules": ("Rule book", "rules"),
    "budgets": ("Budget book", "budgets"),
    "quotas": ("Quota book", "quotas"),
}
_THEN: Final = {  # what an import leads to
    "carbon": "",
    "shares": "",
    "policies": " Bills of open periods follow it.",
    "rules": " It decides from now on.",
    "budgets": " gpuledger budget status shows where they stand.",
    "quotas": " gpuledger quota status shows where they stand.",
}
_TITLED: Final = ("team", "department")


def chargeback(answer: Answer) -> RenderableType:
    """Draw chargeback: owners by cost, what nobody is billed for, the total."""
    currency, by = answer["currency"] or "", answer["by"]
    total = _decimal(answer["total"]["cost"])
    lines = [_chargeback_line(row, by, total) for row in answer["rows"]]
    if lines:
        lines.append(_chargeback_line({**answer["total"], "key": "Total", "kind": "total"}, by, total))
    columns = (
        words(wording.DIMENSION_WORDS.get(by, (by.title(), ""))[0]),
        figures("GPU-hours"),
        figures("Active"),
        figures("Energy, kWh"),
        figures("CO2e, kg"),
        figures(f"Cost, {currency}" if currency else "Cost"),
        figures("Share"),
    )
    notes = [*standing_notes(answer), *_carbon_note(answer["total"]), *_policy_note(answer)]
    view = "by what was used" if answer["view"] == "usage" else "by what was held"
    return draw(f"Chargeback, {period_words(answer)}, {view}", columns, lines, notes)


def _policy_note(answer: Answer) -> list[str]:
    """Say who pays for time that nobody held, where it is not the platform."""
    policy = answer.get("idle_policy", PLATFORM)
    moved = sum((_decimal(row["shared_cost"]) for row in answer["rows"] if row["kind"] == "owner"), Decimal(0))
    if policy == PLATFORM:
        return []
    how = "by what their own time cost" if policy == PROPORTIONAL else "evenly"
    money = f"{moved:,.2f} {answer['currency'] or ''}".strip()
    return [f"Time that nobody held costs {money}, which owners pay {how}. Invoices stay the platform's."]


def _carbon_note(total: Answer) -> list[str]:
    """Say which share of the carbon follows from hourly intensities; nothing where none does."""
    share = total.get("carbon_hourly_ratio")
    if not share:
        return []
    rest = "" if share == 1 else "; that of the rest by the constants of price entries"
    return [f"CO2e of {wording.share(share, 1)} of the energy is by the intensity of its hour{rest}."]


def _chargeback_line(row: Answer, by: str, total: Decimal) -> Line:
    kind = row["kind"]
    cost = _decimal(row["cost"])
    held = kind in {"owner", "device", "unattributed", "total"} and row["active_gpu_hours"] is not None
    cells = (
        group_name(row, by),
        wording.hours_column(row["gpu_hours"]),
        wording.share(row["active_gpu_hours"], wording.watched_hours(row["gpu_hours"], row["states"]))
        if held
        else wording.UNKNOWN,
        _figure(row["energy_kwh"]),
        _figure(row["carbon_kg"]),
        wording.UNKNOWN if row["cost"] is None else f"{cost:,.2f}",
        wording.UNKNOWN if row["cost"] is None else wording.share(cost, total),
    )
    return Line(cells, kind if kind == "total" else "" if kind in {"owner", "device"} else "aside")


def group_name(row: Answer, by: str) -> str:
    """Return what a group is called: its key, or the words for time that is nobody's."""
    if row["kind"] == "total":
        return "Total"
    if row["kind"] not in {"owner", "device"}:
        return wording.KIND_WORDS.get(row["kind"], str(row["key"]))
    key = str(row["key"])
    return wording.title(key) if by in _TITLED else key


def standing_notes(answer: Answer) -> list[str]:
    """Return what makes the figures incomplete, and until when data reaches."""
    notes: list[str] = []
    if answer.get("unpriced_gpu_hours"):
        hours = wording.hours(answer["unpriced_gpu_hours"])
        notes.append(f"! {hours} GPU-hours have no price, so the totals are too low: gpuledger price import FILE")
    if answer.get("unobserved_gpu_hours"):
        notes.append(f"{wording.hours(answer['unobserved_gpu_hours'])} GPU-hours are unobserved: no telemetry.")
    if answer.get("pending_hours"):
        notes.append(f"! {answer['pending_hours']:,} hours wait to be rated again: figures are about to change.")
    if answer.get("as_of"):
        notes.append(f"Data until {wording.instant(answer['as_of'])}.")
    if answer.get("final") is False:
        notes.append("Provisional: charges can change until the period is closed.")
    return notes


def utilization(answer: Answer) -> RenderableType:
    """Draw what time was spent as: one column a state that occurs."""
    rows = answer["rows"]
    present = [name for name in wording.STATE_WORDS if any(row["states"].get(name) for row in rows)]
    by = answer["by"]
    lines = [_utilization_line(row, by, present) for row in rows]
    if lines and answer.get("total"):
        lines.append(_utilization_line({**answer["total"], "kind": "total"}, by, present))
    columns = (
        words(wording.DIMENSION_WORDS.get(by, (by.title(), ""))[0]),
        figures("GPU-hours"),
        *(figures(wording.state(name)) for name in present),
    )
    return draw(f"GPU-hours by state, {period_words(answer)}", columns, lines, standing_notes(answer))


def _utilization_line(row: Answer, by: str, present: Sequence[str]) -> Line:
    kind = row.get("kind", "owner")
    cells = (
        group_name({"key": "", **row, "kind": kind}, by),
        wording.hours_column(row["gpu_hours"]),
        *(_figure(row["states"].get(name)) for name in present),
    )
    return Line(cells, kind if kind == "total" else "" if kind in {"owner", "device"} else "aside")


def period_words(answer: Answer) -> str:
    """Return `November 2026`, or the label of any other period."""
    label = str(answer["period"]["label"])
    return wording.month_name(label)


def _figure(value: float | None) -> str:
    return wording.UNKNOWN if value is None else f"{value:,.1f}"


def _decimal(text: str | None) -> Decimal:
    return Decimal(text) if text is not None else Decimal(0)


def idle(answer: Answer) -> RenderableType:
    """Draw who held devices and did nothing, the dearest first."""
    currency = answer["currency"] or ""
    lines = [_idle_line(row) for row in answer["rows"]]
    if lines:
        total = answer["total"]
        cells = ("Total", "", "", "", wording.hours_column(total["gpu_hours"]), "", _cost(total["cost"]))
        lines.append(Line(cells, "total"))
    columns = (
        words("Workload"),
        words("Team"),
        words("GPU model"),
        words("Reason"),
        figures("GPU-hours"),
        figures("Of held"),
        figures(f"Cost, {currency}" if currency else "Cost"),
    )
    return draw(f"Held and did nothing, {period_words(answer)}", columns, lines, standing_notes(answer))


def _idle_line(row: Answer) -> Line:
    name = row["workload"] or row["namespace"] or row["user"] or row["key"]
    held = wording.UNKNOWN if row["share"] is None else wording.share(row["share"], 1)
    return Line(
        (
            name,
            wording.title(row["team"] or "") or "Unattributed",
            row["model"],
            wording.reason(row["reason"]),
            wording.hours_column(row["gpu_hours"]),
            held,
            _cost(row["cost"]),
        )
    )


def _cost(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text):,.2f}"


def prices(answer: Answer) -> RenderableType:
    """Draw the price book; what no entry names (a pool, an owner) has no column."""
    rows = answer["rows"]
    scopes = {
        "MIG profile": [row["mig_profile"] for row in rows],
        "Pool": [row["pool"] for row in rows],
        "Cluster": [row["cluster"] for row in rows],
        "For": [_whose(row) for row in rows],
    }
    named = {head: cells for head, cells in scopes.items() if any(cells)}
    lines = [
        Line(
            (
                row["model"],
                *(cells[number] for cells in named.values()),
                row["rate"],
                row["list_rate"] if row["list_rate"] != row["rate"] else "",
                " ".join(filter(None, (row["carbon_region"], row["carbon_g_per_kwh"]))) or wording.UNKNOWN,
                validity(row),
            )
        )
        for number, row in enumerate(rows)
    ]
    columns = (
        words("GPU model"),
        *map(words, named),
        figures(f"{answer['currency'] or 'Rate'} per GPU-hour"),
        figures("List"),
        figures("CO2e, g/kWh"),
        words("Valid"),
    )
    notes = [f"Entry {row['entry']}: {'; '.join(row['built'])}." for row in rows if row["built"]]
    return draw(book_title("Price book", answer), columns, lines, notes)


def _whose(row: Answer) -> str:
    owner = "/".join(row[level] for level in ("organisation", "department", "team", "project") if row[level])
    return ", ".join(filter(None, (f"contract {row['contract']}" if row["contract"] else "", owner)))


def owners(answer: Answer) -> RenderableType:
    """Draw the owner mapping, in the order in which rules are tried."""
    lines = [
        Line(
            (
                str(row["rule"]),
                row["team"],
                row["project"],
                row["department"],
                ", ".join(f"{name} = {pattern}" for name, pattern in row["match"].items()),
                validity(row),
            )
        )
        for row in answer["rows"]
    ]
    columns = (figures("#"), words("Team"), words("Project"), words("Department"), words("Where"), words("Valid"))
    return draw(book_title("Owner mapping", answer), columns, lines)


def imported_book(kind: str, answer: Answer) -> RenderableType:
    """Say what an import of a book did, and what in it may be a mistake."""
    name, counted = BOOKS[kind]
    entries = f"{answer['entries']:,} {counted}"
    rated = _THEN.get(kind, " Hours that it changes are rated again.")
    done = f"{name} is now version {answer['version']} ({entries}).{rated}"
    if not answer["changed"]:
        done = f"{name} unchanged: this file is version {answer['version']} already ({entries})."
    return Text("\n".join([done, *(f"! {warning}" for warning in answer["warnings"])]))


def book_title(name: str, answer: Answer) -> str:
    """Return which version of a book is shown, and where it came from."""
    if answer["version"] is None:
        return f"{name}: none imported yet"
    return f"{name}, version {answer['version']}, from {answer['source']} on {wording.instant(answer['imported_at'])}"


def validity(row: Answer) -> str:
    """Return when an entry holds, in words."""
    if not row["from"] and not row["to"]:
        return "always"
    since = f"from {_to_the_second(row['from'])}" if row["from"] else ""
    until = f"until {_to_the_second(row['to'])}" if row["to"] else ""
    return " ".join(part for part in (since, until) if part)


def _to_the_second(at: str) -> str:
    minute, second = at[11:16], at[11:19]
    return wording.instant(at).replace(minute, minute if second.endswith(":00") else second)


def imported_jobs(answer: Answer) -> RenderableType:
    """Say what an import of jobs booked, by team, and what it could not read."""
    lines = [Line((team, _hours_of(seconds))) for team, seconds in answer["gpu_seconds_by_team"].items()]
    lines.append(Line(("Total", _hours_of(answer["gpu_seconds"])), "total"))
    counts = ", ".join(f"{answer[name]:,} {name}" for name in ("new", "extended", "unchanged", "conflicts"))
    notes = [f"{answer['open']:,} had not ended."] if answer["open"] else []
    notes += [f"{count:,} without GPU time: {why}." for why, count in answer["skipped"].items()]
    if answer["problem_count"]:
        notes.append(f"! {answer['problem_count']:,} problems; the first of them:")
        notes += [f"  line {item['line']}: {item['reason']}" for item in answer["problems"][:SHOWN_PROBLEMS]]
    title = f"{answer['jobs']:,} jobs: {counts}"
    return draw(title, (words("Team"), figures("GPU-hours booked")), lines, notes)


def _hours_of(seconds: float) -> str:
    return wording.hours_column(seconds / 3600)


def rated(answer: Answer) -> RenderableType:
    """Say what waits to be rated, and what rating it changed."""
    waiting = f"{answer['pending_hours']:,} hours wait to be rated"
    if not answer["applied"]:
        return Text(f"{waiting}. Rate them with --apply.")
    currency = answer["currency"] or ""
    before, after = (
        wording.UNKNOWN if answer[name] is None else wording.money(Decimal(answer[name]), currency)
        for name in ("cost_before", "cost_after")
    )
    was = f" (it was {before})" if answer["cost_before"] is not None else ""
    return Text(f"{answer['pending_hours']:,} hours rated. {period_words(answer)} costs {after}{was}.")


def reconcile(answer: Answer) -> RenderableType:
    """Draw the conservation proof: each law, what it weighs, and whether it holds."""
    lines = [
        Line((name, what, "holds" if ok else f"off by {off}"), "" if ok else "failed")
        for name, what, off, ok in _laws(answer)
    ]
    notes = [f"! {item if isinstance(item, str) else _violation(item)}" for item in answer["violations"]]
    title = "Everything adds up" if answer["ok"] else f"{len(answer['violations']):,} violations"
    columns = (words("Law"), figures("Weighed"), words("Result"))
    return draw(f"{title}, {period_words(answer)}", columns, lines, [*notes, *standing_notes(answer)])


def _laws(answer: Answer) -> list[tuple[str, str, str, bool]]:
    hours = answer["elapsed_us"] / 3_600_000_000
    energy = wording.UNKNOWN if answer["energy_mj"] is None else f"{answer['energy_mj'] / 3_600_000_000:,.1f} kWh"
    money, currency = Decimal(answer["money_imbalance"] or 0), answer["currency"] or ""
    cost = f"{_cost(answer['cost'])} {currency}".strip()
    return [
        (
            "Held, idle, unavailable and unobserved time is all time",
            f"{hours:,.1f} h of {answer['devices']:,} devices",
            f"{answer['imbalance_us']:,} us",
            not answer["imbalance_us"],
        ),
        (
            "The energy of all rows is the energy of all boards",
            energy,
            f"{answer['energy_imbalance_mj']:,} mJ",
            not answer["energy_imbalance_mj"],
        ),
        ("Charges are what prices make of time", cost, f"{money} {currency}".strip(), not money),
    ]


def _violation(item: Answer) -> str:
    return ", ".join(f"{name} {value}" for name, value in item.items() if value not in {None, ""})
