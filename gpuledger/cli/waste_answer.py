"""The answer of `waste`: the charges of a period, read whole, ranked, with money as exact text."""

from __future__ import annotations

import polars as pl

from analytics.over_asked import over_asked, with_advice
from analytics.waste import NOT_KNOWN, idle_power, waste
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.units import gpu_hours, kwh
from gpuledger.cli.known import known_lines
from gpuledger.cli.sources import Document, Source
from gpuledger.errors import AnalysisError


def find(source: Source, label: str, grace_hours: int) -> Document:
    """Return the waste of a period (empty: this month), as far as the ledger knows it."""
    if grace_hours < 0:
        raise AnalysisError(f"a grace of {grace_hours} hours is not possible", hint="give 0 or more hours")
    asked = source.query("chargeback", {"period": label, "by": "cluster"})
    pages = list(known_lines(source, asked))
    lines = pl.concat(pages, how="vertical_relaxed") if pages else None
    found = answer(asked, lines, grace_hours, source.query("holdings", {"period": label}))
    return {**found, "advice": source.query("advice", {})}


def answer(
    asked: Document, lines: pl.DataFrame | pl.LazyFrame | None, grace_hours: int, holdings: Document | None = None
) -> Document:
    """Return the waste in the lines of a period, with advice where its holdings are given, in one list.

    `asked` is an answer about the period that says how far it is known.
    """
    rows: list[Document] = []
    power: list[Document] = []
    if lines is not None:
        advice = over_asked(holdings["rows"], holdings["kinds"]) if holdings else over_asked([], [])
        rows = [_row(row) for row in with_advice(waste(lines, grace_hours), advice).iter_rows(named=True)]
        power = [_power(row) for row in idle_power(lines).iter_rows(named=True)]
    return {
        "period": asked["period"],
        "currency": asked["currency"],
        "as_of": asked["as_of"],
        "grace_hours": grace_hours,
        "rows": rows,
        "idle_power": power,
        "left_out": NOT_KNOWN,
    }


def _row(row: Document) -> Document:
    words = {name: row[name] for name in ("kind", "reason", "workload", "team", "user", "node", "holders", "devices")}
    return {
        **words,
        "gpu_hours": float(gpu_hours(row["part_us"])),
        "unpriced_gpu_hours": float(gpu_hours(row["unpriced_part_us"])),
        "saving_low": _money(row["low_quanta"]),
        "saving_high": _money(row["high_quanta"]),
        "energy_kwh": float(kwh(row["energy_mj"])),
        "evidence": row["evidence"],
        "instead": row["instead"],
    }


def _power(row: Document) -> Document:
    return {
        "node": row["node"],
        "model": row["model"],
        "gpu_hours": float(gpu_hours(row["part_us"])),
        "energy_kwh": float(kwh(row["energy_mj"])),
        "unknown_gpu_hours": float(gpu_hours(row["energy_unknown_part_us"])),
    }


def _money(quanta: int | None) -> str | None:
    return None if quanta is None else f"{from_quanta(quanta):.9f}"
