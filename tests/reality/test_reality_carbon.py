"""A real month of a grid's carbon signal through the import, held against means that are worked out beside it."""

from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path

import pytest

from collector.pricing.carbon import import_carbon
from collector.queries.chargeback import chargeback
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from tests.collector.ask import ask
from tests.collector.batches import frame, records
from tests.collector.fleet import NOW_US, open_ledger, prices

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data") / "carbon"
KWH = 3_600_000_000  # in millijoules


def signal() -> list[tuple[str, Decimal]]:
    """Return a month of readings every five minutes, or skip; in CI its absence is a failure."""
    path = DATA / "caiso_north_5min_2023-06.csv"
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    with path.open(newline="") as file:
        return [(row["oootime"], Decimal(row["Caiso_North"])) for row in csv.DictReader(file)]


def test_a_month_of_a_real_grid_is_charged_hour_by_hour(tmp_path: Path) -> None:
    """Each hour of the signal is the mean of its readings, and a GPU's carbon is its energy in each hour at that mean."""
    readings = signal()
    text = "\n".join(["region,time,g_per_kwh", *(f"north,{at},{value}" for at, value in readings), ""])
    hours: dict[str, list[Decimal]] = {}
    for at, value in readings:
        hours.setdefault(at[:13], []).append(value)
    with open_ledger(tmp_path) as ledger:
        report = import_carbon(ledger, text.encode(), "csv", source="caiso.csv", imported_us=NOW_US)
        assert report.entries == len(hours) == len(readings) // 12
        stored = ask(ledger, "SELECT hour_us, g_per_kwh FROM carbon_known ORDER BY hour_us")
        means = [sum(values, Decimal(0)) / len(values) for values in hours.values()]
        assert [at_us for at_us, _ in stored] == [parse_instant(f"{hour}:00") for hour in hours]
        assert all(abs(value - mean) <= Decimal("0.0000005") for (_, value), mean in zip(stored, means, strict=True))
        start_us = stored[0][0]
        prices(ledger, 'currency = "USD"\n[[price]]\nmodel = "*"\nrate = "1"\ncarbon_region = "north"\n')
        usage = [
            record
            for n, kwh in enumerate((1, 2, 4))
            for record in records(
                "GPU-0001", start_us + n * US_PER_HOUR, start_us + (n + 1) * US_PER_HOUR, energy_mj=kwh * KWH // 60
            )
        ]
        assert ledger.ingest([frame(0, usage)])[0].taken
        rate_dirty(ledger)
        total = chargeback(ledger, Period(start_us, start_us + 3 * US_PER_HOUR, "three hours")).total
    expected = sum((kwh * value for kwh, (_, value) in zip((1, 2, 4), stored, strict=False)), Decimal(0))
    assert total.carbon_kg == round(float(expected / 1000), 6)
    assert total.carbon_hourly_ratio == 1.0
