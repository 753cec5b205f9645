"""Two periods side by side: every cost is chargeback's, every change is the sum of its parts, who came and went is named."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from analytics.compare import compare, spending
from analytics.windows import BY
from collector.queries.bill import bill_table
from collector.queries.chargeback import chargeback
from gpuledger.cli.main import main
from gpuledger.errors import AnalysisError
from tests.analytics.ledgers import BOOK, HOUR, START_US, hours
from tests.analytics.ledgers import fill as fill_six_hours
from tests.collector.batches import device, holder, records
from tests.collector.fleet import open_ledger, prices, usage_frame

EARLY, LATE = hours(0, 3), hours(3, 6)


def rising(folder: Path) -> Path:
    """Make a ledger whose price rises in the fourth hour, with a team that comes then and a GPU without a price."""
    with open_ledger(folder) as ledger:
        fill_six_hours(ledger)
        start_us = START_US + 3 * HOUR
        usage = [
            *records("GPU-0004", start_us, start_us + 2 * HOUR, "pod:uid-5/c"),
            *records("GPU-0005", start_us - HOUR, start_us + HOUR, "pod:uid-4/c"),
        ]
        devices = [device(4), device(5, model="Unknown card")]
        holders = [holder(5, namespace="team-2"), holder(4, namespace="team-1")]
        assert ledger.ingest([usage_frame(7, usage, devices, holders)])[0].taken
        later = EARLY.label.partition("..")[2]
        dearer = f'[[price]]\nmodel = "NVIDIA H100*"\nrate = "3"\nfrom = {later}\n'
        prices(ledger, BOOK.replace('model = "*"', 'model = "NVIDIA H100*"').rstrip() + f"\nto = {later}\n{dearer}")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rising(tmp_path_factory.mktemp("ledger"))


def asked(folder: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    capsys.readouterr()
    command = ["compare", "--ledger", str(folder), "--period", LATE.label, "--format", "json", *more]
    assert main(command) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def chargebacks(folder: Path, by: str) -> list[dict[tuple[str, str], str | None]]:
    with open_ledger(folder) as ledger:
        answers = [chargeback(ledger, period, by=by) for period in (EARLY, LATE)]
    return [{(row.kind, row.key): row.cost for row in answer.rows} for answer in answers]


@pytest.mark.parametrize("by", BY)
def test_costs_are_those_of_chargeback_and_parts_sum(folder: Path, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    """To the last digit, by everything that one can ask by; the total is the sum of the rows and of its own parts."""
    answer = asked(folder, capsys, "--with", EARLY.label, "--by", by)
    before, now = chargebacks(folder, by)
    rows = {(row["kind"], row["key"]): row for row in answer["rows"]}
    assert rows.keys() == {*before, *now}
    for group, row in rows.items():
        assert row["cost_before"] == (before.get(group, "0.00"))
        assert row["cost"] == now.get(group, "0.00")
    for row in [*answer["rows"], answer["total"]]:
        if row["change"] is not None:
            parts = sum(Decimal(row[name] or 0) for name in ("price", "volume", "mix", "no_price"))
            assert parts == Decimal(row["change"]) == Decimal(row["cost"]) - Decimal(row["cost_before"])
    for name in ("cost", "cost_before", "price", "volume", "mix", "no_price"):
        assert Decimal(answer["total"][name]) == sum(Decimal(row[name] or 0) for row in answer["rows"])


def test_a_price_that_rose_is_price(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Idle H100s cost 3 instead of 2.491500007: of that part of the change nothing is volume."""
    found = {row["key"]: row for row in asked(folder, capsys, "--with", EARLY.label, "--by", "node")["rows"]}
    [row] = found.values()
    now = Decimal(row["gpu_hours"] - row["unpriced_gpu_hours"]).quantize(Decimal("0.000001"))
    assert Decimal(row["price"]) == pytest.approx(now * (3 - Decimal("2.491500007")), abs=Decimal("1e-6"))


def test_who_comes_goes_or_has_no_price_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A workload that is new is called so, and one without a price has no change, not one of zero."""
    answer = asked(folder, capsys, "--with", EARLY.label, "--by", "workload")
    standing = {row["key"]: row["standing"] for row in answer["rows"]}
    assert standing["-train"] == ""
    assert standing["pod:uid-5/c"] == "new"
    unpriced = next(row for row in answer["rows"] if row["key"] == "pod:uid-4/c")
    assert (unpriced["cost"], unpriced["change"], unpriced["price"]) == (None, None, None)
    assert unpriced["unpriced_gpu_hours"] == unpriced["gpu_hours"] == 1.0
    assert answer["known"]["unpriced_gpu_hours"] == 3.0, "with two hours in which nobody saw that card"
    back = asked(folder, capsys, "--with", hours(5, 6).label, "--by", "workload", "--period", EARLY.label)
    assert {row["key"]: row["standing"] for row in back["rows"]}["pod:uid-4/c"] == "new"


def test_the_period_before_is_compared_with_unless_another_is_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three hours are held against the three hours before them."""
    answer = asked(folder, capsys)
    assert (answer["with"]["from"], answer["with"]["to"]) == (
        answer["known_before"] and hours(0, 3).label.split("..")[0],
        answer["period"]["from"],
    )
    assert (answer["known"]["hours"], answer["known"]["of_hours"]) == (3, 3)


def test_the_table_says_what_it_leaves_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hours that are not known, and time without a price, stand below it."""
    year = f"{hours(-20, 0).label.split('..')[0]}..{hours(0, 40).label.split('..')[1]}"
    assert main(["compare", "--ledger", str(folder), "--period", year, "--format", "table"]) == 0
    shown = capsys.readouterr().out
    assert "is known for 6 of its 60 hours" in shown
    assert "4.00 GPU-hours have no price" in shown


def test_lines_of_pages_are_those_of_one(folder: Path) -> None:
    """However a period is cut into pages, what was spent is the same; nothing is a typed answer; no bill is refused."""
    with open_ledger(folder) as ledger:
        lines = pl.DataFrame(bill_table(ledger, hours(0, 6)))
    whole = spending([lines], "user")
    assert spending([lines[:7], lines[7:19].lazy(), lines[19:]], "user").equals(whole)
    nothing = spending([], "user")
    assert nothing.schema == whole.schema
    assert compare(nothing, nothing).is_empty()
    assert set(compare(nothing, whole)["standing"]) == {"new"}
    assert set(compare(whole, nothing)["standing"]) == {"gone"}
    with pytest.raises(AnalysisError, match="cost_quanta missing"):
        spending([lines.drop("cost_quanta")], "user")
    with pytest.raises(AnalysisError, match='by "colour"'):
        spending([lines], "colour")
