"""The answer of `energy`: the sums of a period's lines as kilowatt-hours and kilograms, as chargeback writes them."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from analytics.batch_work import COLUMNS as BATCH
from analytics.energy import MEASURES, READ, Lines, energy, kilograms
from analytics.line_groups import columns_of
from analytics.shifting import MEASURES as SHIFTED
from analytics.shifting import READ as MOVES
from analytics.shifting import shifting
from analytics.windows import BY_HOLDER
from gpuledger.accounting.units import gpu_hours, kwh
from gpuledger.cli import known
from gpuledger.cli.sources import Document, Source

ASSUMED: Final = (
    "The intensities of all hours were known beforehand; work may be delayed, never brought forward.",
    "High: every hour of a run moves by itself, and there is always a free GPU.",
    "Low: a run is delayed as a whole, to hours in which as many GPUs of its kind were free.",
    "Runs, steps and jobs may wait, notebooks and endpoints may not; hours with one constant intensity are left out.",
)


def find(source: Source, label: str, by: str, *, days: int = 1, pue: Decimal | None = None) -> Document:
    """Return energy and carbon of a period by group, as far as the ledger knows it."""
    asked = source.query("chargeback", {"period": label, "by": by})
    columns = list(dict.fromkeys((*READ, *MOVES, *BATCH, *columns_of(by), "team")))
    pages = [page.select(columns) for page in known.known_lines(source, asked)]
    return answer(asked, pages, days=days, pue=pue)


def answer(asked: Document, pages: Sequence[Lines], *, days: int, pue: Decimal | None = None) -> Document:
    """Return the same of pages that were read; `asked` is chargeback by the same dimension."""
    found = energy(pages, asked["by"])
    total = {name: sum(found[name]) for name in MEASURES}
    return {
        "period": asked["period"],
        "by": asked["by"],
        "pue": None if pue is None else str(pue),
        "rows": [_row(row, pue) for row in found.iter_rows(named=True)],
        "total": _row({"key": "total", "kind": "total", **total}, pue),
        "shifting": _shifting(pages, asked["by"], days),
        "as_of": asked["as_of"],
        "final": asked["final"],
        "pending_hours": asked["pending_hours"],
    }


def _row(row: Document, pue: Decimal | None) -> Document:
    metered = row["metered_part_us"] > 0 or not row["part_us"]
    carbon = float(round(kilograms(row["carbon_ug_mj"]), 6)) if metered and not row["carbon_unknown_mj"] else None
    shown: Document = {
        "key": row["key"],
        "kind": row["kind"],
        "gpu_hours": known.hours(row["part_us"]),
        "unmetered_gpu_hours": known.hours(row["part_us"] - row["metered_part_us"]),
        "energy_kwh": known.energy(row["energy_mj"]) if metered else None,
        "idle_energy_kwh": known.energy(row["idle_energy_mj"]),
        "carbon_kg": carbon,
        "carbon_unknown_kwh": known.energy(row["carbon_unknown_mj"]),
        "active_gpu_hours": known.hours(row["active_part_us"]),
        "wh_per_active_gpu_hour": _intensity(row["useful_energy_mj"], row["useful_part_us"]),
    }
    if pue is not None:
        shown["building_kwh"] = None if shown["energy_kwh"] is None else float(round(kwh(row["energy_mj"]) * pue, 6))
        shown["building_carbon_kg"] = None if carbon is None else float(round(kilograms(row["carbon_ug_mj"]) * pue, 6))
    return shown


def _intensity(energy_mj: int, part_us: int) -> float | None:
    return float(round(1000 * kwh(energy_mj) / gpu_hours(part_us), 3)) if part_us else None


def _shifting(pages: Sequence[Lines], by: str, days: int) -> Document:
    """Return what moving work would have saved; by owners where the question is by a property of devices."""
    found = shifting(pages, days, by if by in BY_HOLDER else "team")
    total = {name: sum(found[name]) for name in SHIFTED}
    rows = [_moved(row) for row in found.iter_rows(named=True)]
    return {
        "days": days,
        "assumed": list(ASSUMED),
        "rows": rows,
        "total": _moved({"key": "total", "kind": "total", **total}),
    }


def _moved(row: Document) -> Document:
    """Return one group; nothing is known of a saving where no intensity varies."""
    claimed = row["movable_mj"] > 0
    return {
        "key": row["key"],
        "kind": row["kind"],
        "batch_kwh": known.energy(row["energy_mj"]),
        "movable_kwh": known.energy(row["movable_mj"]),
        "movable_carbon_kg": float(round(kilograms(row["carbon_ug_mj"]), 6)) if claimed else None,
        "saving_low_kg": float(round(kilograms(row["low_ug_mj"]), 6)) if claimed else None,
        "saving_high_kg": float(round(kilograms(row["high_ug_mj"]), 6)) if claimed else None,
    }
