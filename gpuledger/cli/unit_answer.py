"""The answer of `unit-cost`: groups of a chargeback beside what they served, each divided or named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import RenderableType

from gpuledger.accounting.money import from_quanta, quanta
from gpuledger.accounting.periods import parse_instant
from gpuledger.accounting.unit_cost import Known, unit_cost
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.sources import Document, Source
from gpuledger.cli.unit_counts import read_counts
from gpuledger.model import RUN_NUMBER

WORDS: Final = {
    Known.KNOWN: "",
    Known.NO_COUNT: "nobody counted",
    Known.NOTHING_SERVED: "served nothing",
    Known.NO_PRICE: "some time has no price",
    Known.NO_TIME: "no GPU time of that name",
}


class _Spent(NamedTuple):
    """What a group's runs took and cost together; `priced`: all of it has a price."""

    gpu_hours: float
    cost_quanta: int
    priced: bool


def find(source: Source, label: str, by: str, counts: Path, name: str, *, unit: str, per: int) -> Document:
    """Return what `per` units cost for each group whose counts are given; `left_over` is what the others cost.

    By workload all runs and replicas of a name are one: numbers at its end tell them apart. Raises ConfigError on
    counts that are none.
    """
    asked = source.query("chargeback", {"period": label, "by": by, "view": "allocation"})
    end_us = min(parse_instant(at) for at in (asked["period"]["to"], asked["as_of"]) if at)
    served: dict[str, int] = {}
    for key, count in read_counts(counts, name, end_us).items():
        served[_one(key, by)] = served.get(_one(key, by), 0) + count
    spent = _spent(asked, by)
    rows = [_row(key, served.get(key), spent.get(key), per) for key in sorted(served)]
    rows.sort(key=lambda row: (row["known"] != Known.KNOWN, -Decimal(row["cost"] or 0), row["key"]))
    others = [each for key, each in spent.items() if key not in served]
    return {
        "period": asked["period"],
        "as_of": asked["as_of"],
        "currency": asked["currency"],
        "by": by,
        "unit": unit,
        "per": per,
        "rows": rows,
        "left_over": {
            "groups": len(others),
            "gpu_hours": sum(each.gpu_hours for each in others),
            "cost": f"{from_quanta(sum(each.cost_quanta for each in others)):.9f}",
        },
    }


def drawing(answer: Mapping[str, Any]) -> RenderableType:
    """Draw the cost of units, and say what was not counted."""
    unit, per = answer["unit"], answer["per"]
    heads = (words("What"), figures(unit.capitalize()), figures("Cost"), figures(f"For {per:,}"), words(""))
    lines = [
        Line(
            (
                row["key"],
                f"{row['count']:,}",
                _money(row["cost"], 2),
                _money(row["unit_cost"], 6),
                WORDS[Known(row["known"])],
            ),
            "" if row["known"] == Known.KNOWN else "aside",
        )
        for row in answer["rows"]
    ]
    left = answer["left_over"]
    note = f"{left['groups']:,} more cost {_money(left['cost'], 2)} {answer['currency'] or ''}: nobody counted these."
    return draw(
        f"Cost of {per:,} {unit}, {answer['period']['label']}, {answer['currency'] or 'no currency'}",
        heads,
        lines,
        [note],
    )


def _spent(asked: Document, by: str) -> dict[str, _Spent]:
    found: dict[str, _Spent] = {}
    for row in asked["rows"]:
        if row["kind"] not in {"owner", "device"}:
            continue
        before = found.get(_one(row["key"], by), _Spent(0.0, 0, priced=True))
        found[_one(row["key"], by)] = _Spent(
            before.gpu_hours + row["gpu_hours"],
            before.cost_quanta + (quanta(Decimal(row["cost"])) if row["cost"] is not None else 0),
            before.priced and row["cost"] is not None and not row["unpriced_gpu_hours"],
        )
    return found


def _row(key: str, count: int | None, spent: _Spent | None, per: int) -> Document:
    cost = None if spent is None else spent.cost_quanta
    found = unit_cost(cost, count, per=per, priced=spent is None or spent.priced)
    return {
        "key": key,
        "count": count,
        "gpu_hours": None if spent is None else spent.gpu_hours,
        "cost": None if cost is None else f"{from_quanta(cost):.9f}",
        "unit_cost": None if found.quanta is None else f"{from_quanta(found.quanta):.9f}",
        "known": str(found.known),
    }


def _one(key: str, by: str) -> str:
    return re.sub(RUN_NUMBER, "", key) if by == "workload" else key


def _money(amount: str | None, places: int) -> str:
    return "" if amount is None else f"{Decimal(amount):,.{places}f}"
