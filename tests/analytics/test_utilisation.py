"""Utilisation from bill lines is the collector's to the last microsecond; what nobody observed is never idle."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings

from analytics.utilisation import heat_map, utilisation
from analytics.windows import BY
from collector.queries.bill import bill_table
from collector.queries.figures import hours as gpu_hours
from collector.queries.figures import ratio
from collector.queries.utilization import UtilizationRow, utilization
from collector.rating import rate_dirty
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import AnalysisError, ConfigError
from gpuledger.model import Device, UsageRecord
from tests.analytics.ledgers import billed_ledger, hours
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, owners, usage_frame
from tests.collector.random_fleets import HOLDERS, fleets

OWNERS = '[[owner]]\nteam = "even"\nmatch.slurm_account = "acct0"\n[[owner]]\nteam = "odd"\nmatch.user = "u1"\n'
ALL = hours(0, 3)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleet=fleets())
def test_any_ledger_has_the_collectors_figures(fleet: list[tuple[Device, list[UsageRecord]]]) -> None:
    """By every dimension: the same groups, hours and ratios; and hours add up to the whole."""
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        owners(ledger, OWNERS)
        for sequence, (device, usage) in enumerate(fleet):
            if usage:
                assert ledger.ingest([usage_frame(sequence, usage, [device], HOLDERS)])[0].taken
        rate_dirty(ledger)
        lines = pl.DataFrame(bill_table(ledger, ALL))
        for by in BY:
            whole = utilisation(lines, by)
            theirs = {(row.kind, row.key): row for row in utilization(ledger, ALL, by=by).rows}
            ours = {(row["kind"], row["key"]): row for row in whole.iter_rows(named=True)}
            assert ours.keys() == theirs.keys()
            for group, row in ours.items():
                agrees(row, theirs[group])
            by_hour = (
                utilisation(lines.lazy(), by, "hour")
                .group_by("kind", "key")
                .agg(pl.col("held_part_us", "active_part_us", "unobserved_part_us").sum())
            )
            columns = by_hour.columns
            assert by_hour.sort("kind", "key").equals(whole.select(columns).sort("kind", "key"))


def agrees(row: dict[str, int], theirs: UtilizationRow) -> None:
    """One group is what the collector answers."""
    assert gpu_hours(row["held_part_us"]) == theirs.held_gpu_hours
    assert ratio(row["active_part_us"], row["watched_part_us"]) == theirs.active_of_held
    assert ratio(row["held_part_us"], row["capacity_part_us"]) == theirs.held_of_capacity
    if theirs.active_gpu_hours is not None:
        assert gpu_hours(row["active_part_us"]) == theirs.active_gpu_hours
    for state in ("held_idle", "idle", "unavailable", "unobserved"):
        assert gpu_hours(row[f"{state}_part_us"]) == theirs.states.get(state, 0.0)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> pl.DataFrame:
    """Return six hours of three GPUs, one of them silent for an hour."""
    with open_ledger(billed_ledger(tmp_path_factory.mktemp("ledger"))) as ledger:
        rate_dirty(ledger)
        return pl.DataFrame(bill_table(ledger, hours(0, 6)))


def test_a_week_has_no_zero_where_nobody_looked(lines: pl.DataFrame) -> None:
    """Cells without observed time are null; the hour with a silent GPU has the ratio of those that were seen."""
    week = heat_map(lines, "device", "Europe/Berlin")
    assert week.height == 168 * lines["device"].n_unique()
    silent = week.filter((pl.col("key") == "GPU-0002") & (pl.col("unobserved_part_us") > 0))
    assert silent["held_of_observed"].to_list() == [None]
    seen = week.filter(pl.col("capacity_part_us") > pl.col("unobserved_part_us"))
    assert seen["held_of_observed"].null_count() == 0
    assert week.filter(pl.col("capacity_part_us") == 0)["held_of_observed"].null_count() == 168 * 3 - 18
    whole = heat_map(lines, zone="Europe/Berlin")
    assert whole["capacity_part_us"].sum() == week["capacity_part_us"].sum()


def test_hours_are_the_zones(lines: pl.DataFrame) -> None:
    """A cell is an hour of the ledger's clock on the wall, not of UTC."""
    first = pl.from_epoch(pl.Series([START_US]), time_unit="us").dt.replace_time_zone("UTC")
    for zone in ("UTC", "Asia/Tokyo"):
        at = first.dt.convert_time_zone(zone)
        cell = heat_map(lines, zone=zone).filter(
            (pl.col("weekday") == at.dt.weekday()[0]) & (pl.col("hour") == at.dt.hour()[0])
        )
        assert cell["capacity_part_us"][0] == (2 * 840 + 120) * US_PER_HOUR


def test_nothing_is_a_typed_answer_and_bad_input_has_words(lines: pl.DataFrame) -> None:
    """No lines have the columns of some lines; an unknown name, and what is no bill, are errors that say what to do."""
    for by in ("team", "model"):
        assert utilisation(lines.clear(), by, "day").schema == utilisation(lines, by, "day").schema
    assert heat_map(lines.clear()).schema == heat_map(lines).schema
    with pytest.raises(AnalysisError, match='by "colour"'):
        utilisation(lines, "colour")
    with pytest.raises(AnalysisError, match='grain "week"'):
        utilisation(lines, grain="week")
    with pytest.raises(AnalysisError, match="no bill lines: parts"):
        utilisation(lines.drop("parts"))
    with pytest.raises(AnalysisError, match='by "team"'):
        heat_map(lines, "team")
    with pytest.raises(ConfigError, match="no time zone"):
        heat_map(lines, zone="Mars/Olympus")
