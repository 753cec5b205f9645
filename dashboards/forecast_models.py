"""What the forecast section shows: where teams land, when budgets are spent, when a GPU model is full. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import polars as pl

from analytics.forecast import LEAST_DAYS, WHY_NOT
from analytics.series_source import TOTAL
from dashboards import wording
from dashboards.view_models import Line, Table
from gpuledger.accounting.periods import parse_instant

Document = Mapping[str, Any]
MOST_ROWS: Final = 25
PATH_DAYS: Final = 42  # of the past beside what is to come: six weeks show its rhythm
NAIVE: Final = "seasonal naive"
WAYS: Final = {
    NAIVE: "naive: last week's weekday again",
    "constant": "never varied",
    "gone": "held nothing for a week",
}


def limits_of(budgets: Sequence[Document], currency: str | None, start_us: int) -> dict[str, float]:
    """Return what teams, and all together, may spend in the month that begins at `start_us`, with raises.

    A team has the budget whose owner ends with its name below a department; where two teams of one name have budgets,
    neither is shown, since a row is of both.
    """
    found: dict[str, list[float]] = {}
    for row in budgets:
        owner, parts = row["owner"], row["owner"].split("/")
        if (
            row["currency"] != currency
            or parse_instant(row["from"]) != start_us
            or not (owner == "*" or len(parts) == 3)
        ):
            continue
        found.setdefault(TOTAL if owner == "*" else parts[-1], []).append(
            float(Decimal(row["limit"]) + Decimal(row["raise"] or 0))
        )
    return {name: limits[0] for name, limits in found.items() if len(limits) == 1 and limits[0] > 0}


def finding(answer: Document) -> str:
    """Return the headline: where the month lands."""
    total = _total(answer)
    month = wording.month_name(answer["period"]["label"])
    if total is None or total["expected"] is None:
        return f"Where {month} will land cannot be said yet"
    return f"{month} is on its way to {_amount(total['expected'], answer)}"


def lead(answer: Document) -> str:
    """Return the sentence below it: how sure that is, and what there is of it so far; or why nothing can be said."""
    total = _total(answer)
    if total is None or total["expected"] is None:
        days = f" {total['known_days']:.0f} are known." if total and total["reason"] == "too_short" else ""
        why = WHY_NOT.get(total["reason"], "nothing is known") if total else "nothing was held"
        return (
            f"A forecast takes {LEAST_DAYS} whole days with known spend:{days or f' {why}.'} It comes by itself then."
        )
    so_far = f"{_amount(total['so_far'], answer)} so far"
    if total["low_80"] is None:
        return f"{so_far}. Nothing says how far off that may be: days never varied."
    low, high = (_amount(total[name], answer) for name in ("low_80", "high_80"))
    return f"{so_far}; in 80 of 100 such months between {low} and {high}."


def path(answer: Document) -> pl.DataFrame:
    """Return days of all groups together: what they had, then what is expected, between which bounds; null: not known.

    The last known day begins what is expected too, so that the line goes on from it.
    """
    names = ("had", "expected", "low_80", "high_80")
    rows = [
        (parse_instant(row["at"]), *(None if row.get(name) is None else float(row[name]) for name in names))
        for row in answer["path"]
    ]
    frame = pl.DataFrame(rows, schema={"at": pl.Int64(), **dict.fromkeys(names, pl.Float64())}, orient="row")
    last = pl.col("at") == frame.filter(pl.col("had").is_not_null())["at"].max()
    joined = (pl.when(last).then(pl.col("had")).otherwise(pl.col(name)).alias(name) for name in names[1:])
    coming = frame.filter(pl.col("expected").is_not_null()).height
    shown = frame.tail(PATH_DAYS + coming) if coming else frame.clear()
    return shown.with_columns(*joined).with_columns(pl.from_epoch("at", time_unit="us").dt.replace_time_zone("UTC"))


def table(answer: Document, names: str) -> Table:
    """Return where each group lands, the dearest first; with budgets, when each is spent."""
    rows = answer["rows"]
    budgets = any(row["budget"] for row in rows)
    heads = (names, "So far", "Lands at", "80 of 100 times", *(("Budget", "Spent") if budgets else ()), "How")
    groups = [row for row in rows if row["key"] != TOTAL]
    lines = [_line(row, answer, budgets=budgets) for row in groups[:MOST_ROWS]]
    lines += [_line(row, answer, budgets=budgets) for row in rows if row["key"] == TOTAL]
    return Table(heads, tuple(lines), 1, left_out=max(0, len(groups) - MOST_ROWS))


def capacity_table(answer: Document) -> Table:
    """Return how many GPUs of each model are held, and when all will be."""
    rows = [row for row in answer["rows"] if row.get("capacity")]
    heads = ("GPU model", "Held now", "All held", "Chance at the end", "How")
    return Table(heads, tuple(_capacity(row) for row in rows[:MOST_ROWS]), 1, left_out=max(0, len(rows) - MOST_ROWS))


def how(answer: Document) -> str:
    """Return how it was found, and where that is the plain way that others are measured by."""
    past = f"{answer['history']['steps']:,} days since {answer['history']['from'][:10]}"
    naive = sum(row["way"] == NAIVE for row in answer["rows"] if row["key"] != TOTAL)
    used = f"it is used itself for {naive:,} of {len(_groups(answer)):,}" if naive else "for none was it the best"
    return (
        f"From {past}, by the way that did best on each row's own past. The number beside a way is its error by that of"
        f" the naive baseline, last week's weekday again: {used}. 1.00 is no better than that."
    )


def _groups(answer: Document) -> list[Document]:
    return [row for row in answer["rows"] if row["key"] != TOTAL]


def _total(answer: Document) -> Document | None:
    return next((row for row in answer["rows"] if row["key"] == TOTAL), None)


def _line(row: Document, answer: Document, *, budgets: bool) -> Line:
    span = (
        wording.UNKNOWN
        if row["low_80"] is None
        else f"{_amount(row['low_80'], answer)} to {_amount(row['high_80'], answer)}"
    )
    kind = "total" if row["key"] == TOTAL else "owner" if row["expected"] is not None else "aside"
    name = "All" if row["key"] == TOTAL else wording.title(row["key"])
    cells = (name, _amount(row["so_far"], answer), _amount(row["expected"], answer), span)
    return Line(kind, (*cells, *(_budget(row, answer) if budgets else ()), _way(row)))


def _budget(row: Document, answer: Document) -> tuple[str, str]:
    found = row["budget"]
    if not found:
        return "", ""
    chance = "" if found["chance"] is None else f", {_chance(found['chance'])}"
    words = {
        "already": "already",
        "expected": f"by {(found['at'] or '')[:10]}{chance}",
        "possible": f"perhaps{chance}",
        "unlikely": f"not expected{chance}",
        "not_known": "no forecast",
    }
    return _amount(found["limit"], answer), words[found["verdict"]]


def _capacity(row: Document) -> Line:
    found = row["capacity"]
    full = f"by {found['full_at'][:10]}" if found["full_at"] else "not expected"
    chance = wording.UNKNOWN if found["chance_at_end"] is None else _chance(found["chance_at_end"])
    return Line("owner", (row["key"], f"{found['held']:.1f} of {found['gpus']:g}", full, chance, _way(row)))


def _way(row: Document) -> str:
    if row["expected"] is None:
        return WHY_NOT[row["reason"]]
    way = str(WAYS.get(row["way"], row["way"]))
    return way if row["error_ratio"] is None else f"{way} {row['error_ratio']:.2f}"


def _chance(chance: float) -> str:
    return "under 1 %" if chance < 0.01 else "over 99 %" if chance > 0.99 else f"{chance:.0%}".replace("%", " %")


def _amount(value: str | float | None, answer: Document) -> str:
    if value is None:
        return wording.UNKNOWN
    amount = Decimal(str(value))
    return wording.money(amount, answer["currency"] or "", 0) if answer["metric"] == "cost" else f"{amount:,.0f}"
