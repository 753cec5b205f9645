"""Energy and carbon are chargeback's to the last digit; what work took is of lines that are known whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analytics.energy import SCHEMA, energy, useful_watt_hours
from analytics.windows import BY
from collector.ledger.store import Ledger
from collector.pricing.carbon import import_carbon
from collector.queries.bill import bill_table
from collector.queries.chargeback import chargeback
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.cli.main import main
from gpuledger.errors import AnalysisError
from tests.analytics.ledgers import HOUR, OWNERS, START_US, fill, hours
from tests.collector.batches import device, holder, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices, usage_frame

ALL = hours(0, 6)
BOOK = (
    'currency = "EUR"\n[[price]]\nmodel = "NVIDIA H100*"\nrate = "2.5"\ncarbon_region = "north"\ncarbon_g_per_kwh = "118"\n'
    '[[price]]\nmodel = "NVIDIA T4"\nrate = "1"\n'
)


def intensities(ledger: Ledger, grams: dict[int, str]) -> None:
    """Import what the grid emitted in some hours of the test's time."""
    lines = [f"north,{iso(START_US + hour * HOUR)},{gram}" for hour, gram in grams.items()]
    import_carbon(
        ledger, "\n".join(["region,hour,g_per_kwh", *lines]).encode(), "csv", source="north.csv", imported_us=NOW_US
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a ledger with hours of measured intensity, hours of a constant one, and a model without any."""
    folder = tmp_path_factory.mktemp("ledger")
    with open_ledger(folder) as ledger:
        fill(ledger)
        t4 = device(9, model="NVIDIA T4")
        usage = [
            *records("GPU-0009", START_US, START_US + HOUR, "pod:uid-4/c"),
            *records("GPU-0009", START_US + HOUR, START_US + 2 * HOUR, "pod:uid-4/c", energy_mj=None),
        ]
        assert ledger.ingest([usage_frame(9, usage, [t4], [holder(4)])])[0].taken
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        intensities(ledger, {0: "301.123457", 1: "250", 3: "77.000001"})
        rate_dirty(ledger)
    return folder


def asked(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    command = ["energy", "--ledger", str(folder), "--period", ALL.label, "--format", "json", *more]
    assert main(command) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


@pytest.mark.parametrize("by", BY)
def test_energy_and_carbon_are_those_of_chargeback(folder: Path, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every row and the total, by everything that one can ask by; what is unknown there is unknown here."""
    with open_ledger(folder) as ledger:
        theirs = chargeback(ledger, ALL, by=by)
    answer = asked(folder, capsys, "--by", by)
    figures = ("gpu_hours", "energy_kwh", "carbon_kg")
    ours = {(row["kind"], row["key"]): tuple(row[name] for name in figures) for row in answer["rows"]}
    assert ours == {(row.kind, row.key): tuple(getattr(row, name) for name in figures) for row in theirs.rows}
    assert tuple(answer["total"][name] for name in figures) == tuple(getattr(theirs.total, name) for name in figures)


def test_unknown_carbon_and_energy_have_names(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model without an intensity has no carbon, and says for how much; an hour without a reading is counted."""
    rows = {row["key"]: row for row in asked(folder, capsys, "--by", "model")["rows"]}
    t4, h100 = rows["NVIDIA T4"], rows["NVIDIA H100 80GB HBM3"]
    assert t4["carbon_kg"] is None
    assert t4["carbon_unknown_kwh"] == t4["energy_kwh"] > 0
    assert t4["unmetered_gpu_hours"] >= 1.0
    assert h100["carbon_kg"] > 0
    assert 0 < h100["idle_energy_kwh"] < h100["energy_kwh"]


def test_an_hour_of_work_takes_the_idle_time_of_its_holder_too() -> None:
    """Two hours held, half an hour of it at work, 300 W all along: 1,200 Wh a useful hour; unmetered lines say nothing."""
    line = {
        "state": 1, "parts": 840, "held_us": HOUR, "active_us": HOUR // 2, "active_unknown_us": 0,
        "energy_mj": 300 * 3600 * 1000, "energy_unknown_us": 0, "carbon_g_per_kwh": None, "team": "vision",
    }  # fmt: skip
    idle = {**line, "state": 2, "active_us": 0}
    unmetered = {**line, "energy_mj": 0, "energy_unknown_us": HOUR}
    frame = pl.DataFrame([line, idle, unmetered], schema_overrides={"carbon_g_per_kwh": pl.Decimal(18, 6)})
    [row] = energy([frame]).rows(named=True)
    assert energy([frame]).select(useful_watt_hours()).item() == pytest.approx(1200)
    assert row["useful_energy_mj"] * 2 == 1200 * 3600 * 1000
    assert row["useful_part_us"] * 2 == HOUR * 840
    assert row["carbon_unknown_mj"] == row["energy_mj"] == 2 * line["energy_mj"]


def test_a_pue_is_shown_beside_and_must_be_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What the building takes does not change what the boards took."""
    plain, scaled = asked(folder, capsys), asked(folder, capsys, "--pue", "1.25")
    assert "building_kwh" not in plain["total"]
    assert scaled["total"]["energy_kwh"] == plain["total"]["energy_kwh"]
    assert scaled["total"]["building_kwh"] == pytest.approx(plain["total"]["energy_kwh"] * 1.25, abs=1e-5)
    for wrong in ("0.9", "NaN", "lots"):
        assert main(["energy", "--ledger", str(folder), "--pue", wrong]) == 2
        assert f'a PUE of "{wrong}" is not possible' in capsys.readouterr().err


def test_nothing_and_no_bill(folder: Path) -> None:
    """No pages are a typed answer, pages sum as one, and what is no bill says what is missing."""
    with open_ledger(folder) as ledger:
        lines = pl.DataFrame(bill_table(ledger, ALL))
    assert energy([]).schema == SCHEMA
    assert energy([lines.clear()]).is_empty()
    assert energy([lines[:5].lazy(), lines[5:]], "node").equals(energy([lines], "node"))
    with pytest.raises(AnalysisError, match="energy_mj missing"):
        energy([lines.drop("energy_mj")])


def test_the_table_shows_unknown_as_a_dash(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says what to import."""
    assert main(["energy", "--ledger", str(folder), "--period", ALL.label, "--by", "model", "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert "have no carbon intensity: gpuledger carbon import FILE" in shown
    assert "GPU-hours have no reading of energy" in shown
