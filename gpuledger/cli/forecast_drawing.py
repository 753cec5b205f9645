"""A forecast as people read it on a terminal: so far, where it lands, how sure that is, and the budget."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from rich.console import RenderableType

from analytics.forecast import WHY_NOT
from analytics.series_source import TOTAL
from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]
MOST_STEPS: Final = 60
VERDICTS: Final = {
    "already": "spent",
    "expected": "by {at}",
    "possible": "perhaps",
    "unlikely": "not expected",
    "not_known": "no forecast",
}


def forecast(answer: Answer) -> RenderableType:
    """Draw where each group lands; below, how it was found."""
    rows, unit = answer["rows"], _unit(answer)
    budgets = any(row["budget"] for row in rows)
    capacity = any(row.get("capacity") for row in rows)
    heads = [words(wording.DIMENSION_WORDS[answer["by"]][0])]
    heads += [figures("So far"), figures("Lands at"), figures("80 of 100 times")]
    heads += [figures("Budget"), words("Spent")] if budgets else []
    heads += [figures("GPUs held"), words("All held")] if capacity else []
    heads += [] if budgets or capacity else [figures("95 of 100")]
    lines = []
    for row in rows:
        cells = [row["key"], _amount(row["so_far"], unit), _amount(row["expected"], unit), _range(row, "80", unit)]
        cells += _budget(row, unit) if budgets else []
        cells += _capacity(row) if capacity else []
        cells += [] if budgets or capacity else [_range(row, "95", unit)]
        kind = "total" if row["key"] == TOTAL else "" if row["expected"] else "aside"
        lines.append(Line([*cells, _how(row)], kind))
    heads.append(words("How"))
    title = f"{'Spend' if answer['metric'] == 'cost' else 'GPU-hours'}, {answer['period']['label']}"
    return draw(title, heads, lines, _notes(answer))


def steps(answer: Answer) -> RenderableType:
    """Draw the coming steps, the first ones."""
    unit = _unit(answer)
    heads = (words("Who"), words("From"), figures("Expected"), figures("80 of 100 times"), figures("95 of 100"))
    rows = answer["rows"]
    lines = [
        Line(
            (
                row["key"],
                wording.instant(row["at"]),
                _amount(row["expected"], unit),
                _range(row, "80", unit),
                _range(row, "95", unit),
            )
        )
        for row in rows[:MOST_STEPS]
    ]
    more = [f"{len(rows) - MOST_STEPS:,} more rows with --format csv."] if len(rows) > MOST_STEPS else []
    return draw(f"Coming {answer['grain']}s", heads, lines, more)


def _how(row: Answer) -> str:
    if row["expected"] is None:
        return WHY_NOT[row["reason"]]
    return str(row["way"]) if row["error_ratio"] is None else f"{row['way']} {row['error_ratio']:.2f}"


def _budget(row: Answer, unit: str) -> tuple[str, str]:
    found = row["budget"]
    if not found:
        return "", ""
    chance = "" if found["chance"] is None else f", {_chance(found['chance'])}"
    spent = VERDICTS[found["verdict"]].format(at=(found["at"] or "")[:10])
    return _amount(found["limit"], unit), f"{spent}{chance if found['verdict'] != 'already' else ''}"


def _capacity(row: Answer) -> tuple[str, str]:
    found = row.get("capacity")
    if not found:
        return "", ""
    full = f"by {found['full_at'][:10]}" if found["full_at"] else "not expected"
    chance = "" if found["chance_at_end"] is None else f", {_chance(found['chance_at_end'])}"
    return f"{found['held']:.1f} of {found['gpus']:g}", f"{full}{chance}"


def _chance(chance: float) -> str:
    return "under 1 %" if chance < 0.01 else "over 99 %" if chance > 0.99 else f"{chance:.0%}"


def _notes(answer: Answer) -> list[str]:
    rows = answer["rows"]
    past = f"{answer['history']['steps']:,} {answer['grain']}s from {answer['history']['from'][:10]}"
    notes = [
        f"Known up to {wording.instant(answer['as_of'])}; the past is {past}.",
        "How: the way that did best on the group's own past; its error by that of last week's same weekday.",
    ]
    unknown = sum(row["unknown_steps"] or 0 for row in rows if row["key"] != TOTAL)
    if unknown:
        notes.append(
            f"Left out, not taken as zero, for they were not observed or have no price: {unknown:,} {answer['grain']}s."
        )
    if any(row["beyond_trials"] for row in rows):
        notes.append("! The past is too short to try a forecast this long: ranges follow from shorter ones.")
    if any(row["budget"] for row in rows):
        notes.append("Spent: when what is expected passes the budget, and the chance that it is passed in this period.")
    if any(row.get("capacity") for row in rows):
        notes.append("All held: when 95 % of the GPUs are as likely held as not, and the chance of it at the end.")
    if any(row["way"] in {"constant", "gone"} for row in rows):
        notes.append("A group that never varied, or held nothing for a week, has no range.")
    return notes


def _range(row: Answer, level: str, unit: str) -> str:
    low, high = row[f"low_{level}"], row[f"high_{level}"]
    return "" if low is None else f"{_amount(low, unit)} to {_amount(high, unit)}"


def _amount(value: str | float | None, unit: str) -> str:
    if value is None:
        return wording.UNKNOWN
    amount = Decimal(str(value))
    return wording.money(amount, unit, 0) if unit else f"{amount:,.0f}"


def _unit(answer: Answer) -> str:
    return answer["currency"] or "" if answer["metric"] == "cost" else ""
