"""`export` from the command line: over HTTP as from a folder, all files or none, and a bill that adds up or no export."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analytics.bill_lines import read_charges
from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from collector.ledger.calendar import CalendarChange
from collector.periods.closing import close_period
from gpuledger.accounting.periods import parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.export_files import all_or_none
from gpuledger.cli.export_focus import ChangedError, export_focus
from gpuledger.cli.local import LocalSource
from gpuledger.cli.main import build_parser, main
from gpuledger.errors import GpuLedgerError
from tests.analytics.ledgers import billed_ledger, export, fill, hours
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger

ALL = hours(0, 6).label


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return billed_ledger(tmp_path_factory.mktemp("ledger"))


class Moving(LocalSource):
    """A ledger that is rated anew between two questions."""

    asked = 0

    def query(self, name: str, params: Mapping[str, str]) -> dict[str, Any]:
        answer = super().query(name, params)
        self.asked += name == "chargeback"
        if self.asked > 1:
            answer["total"]["cost"] = "1.00"
        return answer


class Pages(LocalSource):
    """A ledger that tells which hours it was asked for."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.hours: list[int] = []

    def table(self, name: str, params: Mapping[str, str]) -> pa.Table:
        period = parse_period(params["period"])
        self.hours.append((period.end_us - period.start_us) // US_PER_HOUR)
        return super().table(name, params)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("kind", ["focus", "csv"])
def test_a_running_collector_gives_the_same_files_as_its_folder(
    kind: str, ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte: both ways read the same lines."""
    export(capsys, kind, "--ledger", str(ledger), "--period", ALL, "--out", str(tmp_path / "folder"))
    settings = CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(directory=ledger))
    with running(settings) as url:
        export(capsys, kind, "--url", url, "--period", ALL, "--out", str(tmp_path / "http"))
    assert contents(tmp_path / "folder") == contents(tmp_path / "http")


def test_people_see_what_was_written(ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table names the billing periods with their sums, the files, and what is provisional."""
    where = ["--ledger", str(ledger), "--period", ALL, "--out", str(tmp_path), "--format", "table"]
    assert main(["export", "focus", *where]) == 0
    shown = capsys.readouterr().out
    assert "FOCUS 1.4" in shown
    assert "focus_1_4_invoice_detail.csv" in shown
    assert "Provisional:" in shown
    assert main(["export", "parquet", *where]) == 0
    assert "usage_by_hour.parquet" in capsys.readouterr().out


def test_rows_that_do_not_sum_to_the_bill_are_no_export(ledger: Path, tmp_path: Path) -> None:
    """Where the ledger moved on meanwhile nothing is written, and the next step is said."""
    args = build_parser().parse_args(["export", "focus", "--period", ALL, "--out", str(tmp_path / "out")])
    source = Moving(ledger)
    try:
        with pytest.raises(ChangedError, match=r"the rows sum to \d+\.\d{9}, the ledger says 1\.00") as raised:
            export_focus(source, args)
    finally:
        source.close()
    assert "export again" in raised.value.hint
    assert not list((tmp_path / "out").iterdir())


def test_a_period_is_read_in_whole_hours_and_fair_pages(ledger: Path) -> None:
    """Page after page doubles while they are small; together they are all hours, each once."""
    source = Pages(ledger)
    try:
        pages = list(read_charges(source, hours(0, 6)))
    finally:
        source.close()
    assert source.hours == [1, 2, 3]
    found = [hour for page in pages for hour in page["hour_us"].unique().sort().to_list()]
    assert found == [START_US + number * US_PER_HOUR for number in range(6)]


def test_files_appear_together_or_not_at_all(tmp_path: Path) -> None:
    """Where writing fails, what was there before stays, and nothing half-done is left."""
    (tmp_path / "a.csv").write_text("old")
    with pytest.raises(GpuLedgerError, match="Is a directory"), all_or_none(tmp_path) as folder:
        (folder / "a.csv").write_bytes(tmp_path.read_bytes())
    assert contents(tmp_path) == {"a.csv": b"old"}
    with all_or_none(tmp_path) as folder:
        (folder / "a.csv").write_text("new")
    assert contents(tmp_path) == {"a.csv": b"new"}


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """A file in its place is a failure with a hint, not a traceback."""
    (tmp_path / "file").touch()
    with pytest.raises(GpuLedgerError, match="cannot write to"), all_or_none(tmp_path / "file"):
        pass


def test_the_day_that_a_period_ends_off_the_hour_is_refused(
    ledger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Charges are hourly, and the hint says which hours to ask for."""
    period = "2026-05-28T20:30..2026-05-28T22:00"
    assert main(["export", "focus", "--ledger", str(ledger), "--period", period, "--out", str(tmp_path)]) == 2
    assert "ask for 2026-05-28T20:00:00Z..2026-05-28T22:00:00Z" in capsys.readouterr().err


def test_the_page_of_a_month_is_by_the_days_of_the_billing_zone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A month of Berlin holds Berlin's bill and its invoices, and this month is asked for where none is named."""
    with open_ledger(tmp_path / "ledger") as ledger:
        ledger.change_calendar(CalendarChange("Europe/Berlin", None))
        fill(ledger)
        month = parse_period("2026-05", ledger.calendar.days)
        close_period(ledger, month, closed_by="ann", exception="the fleet was new")
    where = ["--ledger", str(tmp_path / "ledger"), "--out", str(tmp_path)]
    found = export(capsys, "html", "--period", "2026-05", *where)
    assert {row["table"]: row["rows"] for row in found["rows"]} == {"teams": 2, "billing periods": 1, "invoices": 3}
    assert export(capsys, "html", *where)["rows"][1]["rows"] == 0


def test_a_bill_of_another_zone_is_exported_by_its_time_in_utc(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A month that was closed by the days of UTC is not the one that Berlin calls so: the hint says how to ask for it."""
    with open_ledger(tmp_path / "ledger") as ledger:
        fill(ledger)
        close_period(ledger, parse_period("2026-05"), closed_by="ann", exception="the fleet was new")
        ledger.change_calendar(CalendarChange("Europe/Berlin", None))
    where = ["--ledger", str(tmp_path / "ledger"), "--out", str(tmp_path)]
    assert main(["export", "focus", "--period", "2026-05", *where]) == 2
    asked = capsys.readouterr().err.partition("ask for ")[2].partition(",")[0]
    [row] = export(capsys, "focus", "--period", asked, *where)["rows"]
    assert (row["label"], row["status"]) == ("2026-05", "closed")


def test_which_end_of_a_period_is_earlier_the_billing_zone_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """05:00Z is before 03:00 in New York, so a period between them is one, though its figures read backwards."""
    with open_ledger(tmp_path / "ledger") as ledger:
        ledger.change_calendar(CalendarChange("America/New_York", None))
        fill(ledger)
    where = ["--ledger", str(tmp_path / "ledger"), "--out", str(tmp_path)]
    found = export(capsys, "html", "--period", "2026-05-29T05:00Z..2026-05-29T03:00", *where)
    assert found["period"] == "2026-05-29T05:00Z..2026-05-29T03:00"
