"""Frames of a running collector: exact money, real instants, and the same table from exported files."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from analytics import frames
from analytics.energy import energy
from analytics.waste import waste
from collector.app import running
from collector.config import CollectorSettings, LedgerSettings, ServerSettings
from gpuledger.cli.main import main
from gpuledger.client import CollectorClient
from gpuledger.errors import AnalysisError, ConfigError
from tests.analytics.ledgers import billed_ledger, hours

ALL = hours(0, 6).label
MONEY, INSTANT = pl.Decimal(38, 9), pl.Datetime("us", "UTC")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CollectorClient]:
    folder = billed_ledger(tmp_path_factory.mktemp("ledger"))
    with running(CollectorSettings(server=ServerSettings(port=0), ledger=LedgerSettings(folder))) as url:
        yield CollectorClient(url)


def test_money_is_exact_and_sums_to_the_answer(client: CollectorClient) -> None:
    """Charges, chargeback and timeline are one total, to the last digit, as decimals."""
    total = Decimal(client.get_json("/v1/chargeback", {"period": ALL})["total"]["cost"])
    charges, teams = frames.charges(client, ALL), frames.chargeback(client, ALL)
    steps = frames.timeline(client, ALL, "hour")
    for frame in (charges, teams, steps):
        assert frame.schema["cost"] == MONEY
        assert frame["cost"].sum() == total
    assert frames.charges(client, ALL).group_by("team").agg(pl.col("cost").sum()).height == 3
    assert frames.states(client, ALL)["gpu_hours"].sum() == pytest.approx(teams["gpu_hours"].sum())


def test_every_frame_has_its_types(client: CollectorClient) -> None:
    """Instants are in UTC and figures are numbers, also where all of a column is unknown."""
    assert frames.charges(client, ALL).schema["hour"] == INSTANT
    assert frames.usage(client, ALL).schema["start"] == INSTANT
    devices = frames.devices(client)
    assert (devices.schema["first_seen"], devices.schema["until"]) == (INSTANT, INSTANT)
    assert devices["until"].null_count() == len(devices) > 0
    assert frames.chargeback(client, ALL, by="model").schema["carbon_kg"] == pl.Float64
    assert frames.utilisation(client, ALL).schema["active_of_held"] == pl.Float64
    assert frames.idle(client, ALL).schema["cost"] == MONEY
    assert frames.invoices(client).schema["issued_at"] == INSTANT
    assert frames.periods(client).schema["from"] == INSTANT
    assert frames.events(client).columns


def test_lines_are_what_analytics_takes(client: CollectorClient) -> None:
    """Energy and waste of a notebook are those of the commands."""
    lines = frames.lines(client, ALL)
    assert sum(energy([lines])["energy_mj"]) == sum(each or 0 for each in lines["energy_mj"])
    assert waste(lines)["high_quanta"].sum() > 0


def test_kept_lines_are_read_lazily_and_once(client: CollectorClient, tmp_path: Path) -> None:
    """Parts of a period kept apart are the lines of all of it; what is kept is not kept again, and nothing is no lines."""
    with pytest.raises(AnalysisError, match="holds no lines"):
        frames.scan_lines(tmp_path)
    for part in (hours(0, 2), hours(2, 6)):
        lazy = frames.keep_lines(client, part.label, tmp_path)
    lines = frames.lines(client, ALL)
    assert energy([lazy]).equals(energy([lines]))
    assert waste(lazy).equals(waste(lines))
    with pytest.raises(AnalysisError, match="already"):
        frames.keep_lines(client, hours(0, 2).label, tmp_path)


def test_exported_files_are_the_same_table(client: CollectorClient, tmp_path: Path) -> None:
    """Lazily, over every export in a folder; each of them is the frame that the collector gives."""
    for part in (hours(0, 2), hours(2, 6)):
        out = str(tmp_path / part.label.replace(":", ""))
        assert main(["export", "parquet", "--url", client.url, "--period", part.label, "--out", out]) == 0
    lazy = frames.scan(tmp_path)
    assert isinstance(lazy, pl.LazyFrame)
    read = lazy.collect()
    charges = frames.charges(client, ALL)
    assert read.schema == charges.schema
    assert read.sort(pl.all()).equals(charges.sort(pl.all()))
    with pytest.raises(AnalysisError, match=r"holds no prices\.parquet"):
        frames.scan(tmp_path, "prices")


def test_a_period_without_data_is_empty_and_a_wrong_one_is_refused(client: CollectorClient) -> None:
    """Nothing is no error; what names no period, or is off the hour, says how it is written."""
    assert frames.charges(client, "2020-01").is_empty()
    assert frames.lines(client, "2031-01").is_empty()
    assert frames.charges(client, "2031-01").schema == frames.charges(client, ALL).schema
    with pytest.raises(ConfigError, match='"yesterday" is not a period'):
        frames.charges(client, "yesterday")
    with pytest.raises(ConfigError, match="on the hour"):
        frames.lines(client, "2026-11-01T00:30Z..2026-11-01T02:00Z")
