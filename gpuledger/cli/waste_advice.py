"""Keeps the advice of a period in the ledger, and follows earlier advice: what the same wasted as long after."""

from __future__ import annotations

from typing import Any, Final

import polars as pl

from analytics.bill_lines import read_charges
from analytics.savings import After, Key, advise, after
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.periods import Period, iso, parse_instant
from gpuledger.cli.known import known_lines, known_period
from gpuledger.cli.sources import Document, Source
from gpuledger.errors import AnalysisError

NOT_THERE: Final = After(0, still_there=False)


def keep(source: Source, label: str) -> Document:
    """Store the advice of a period (empty: this month), and results of earlier advice that are due; return all advice.

    Advice is about time that is over: raises AnalysisError where the ledger does not know the period to its end.
    """
    asked = source.query("chargeback", {"period": label, "by": "cluster"})
    known = known_period(asked)
    if known.end_us < parse_instant(asked["period"]["to"]):
        raise AnalysisError(
            f"{asked['period']['label']} is not known to its end: advice about it would be followed too soon",
            hint="name a period that is over, such as --period FROM..TO in days",
        )
    pages = list(known_lines(source, asked))
    stated = advise(pl.concat(pages, how="vertical_relaxed")) if pages else []
    request = {
        "period": [iso(known.start_us), iso(known.end_us)],
        "currency": asked["currency"] or "",
        "advice": [
            {
                **each.key._asdict(),
                "reason": each.reason,
                "part_us": str(each.part_us),
                "low": _money(each.low_quanta),
                "high": _money(each.high_quanta),
            }
            for each in stated
        ],
        "followed": _follow(source),
    }
    kept: Document = source.change("/v1/advice", request)
    return kept


def _follow(source: Source) -> list[dict[str, Any]]:
    """Return what came of each advice that has no result yet and whose time after is known."""
    known_us = parse_instant(source.query("status", {})["watermark"])
    waiting: dict[tuple[int, int], list[Document]] = {}
    for row in source.query("advice", {})["rows"]:
        start_us, end_us = (parse_instant(each) for each in row["period"])
        if row["result"] is None and 2 * end_us - start_us <= known_us:
            waiting.setdefault((end_us, 2 * end_us - start_us), []).append(row)
    return [
        {"number": row["number"], "part_us": str(found.part_us), "still_there": found.still_there}
        for window, rows in sorted(waiting.items())
        for row, found in _found(source, Period(*window, f"{iso(window[0])}..{iso(window[1])}"), rows)
    ]


def _found(source: Source, window: Period, rows: list[Document]) -> list[tuple[Document, After]]:
    pages = list(read_charges(source, window))
    wasted = after(pl.concat(pages, how="vertical_relaxed")) if pages else {}
    return [(row, wasted.get(Key(*(row[name] for name in Key._fields)), NOT_THERE)) for row in rows]


def _money(quanta: int | None) -> str | None:
    return None if quanta is None else f"{from_quanta(quanta):.9f}"
