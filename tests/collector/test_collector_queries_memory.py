"""Memory: the most in use on each device and day by group; time whose memory nobody read has none."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
from msgspec.structs import replace

from analytics.windows import narrow
from collector.ledger.store import Ledger
from collector.queries.bill import bill_table
from collector.queries.grouping import BY
from collector.queries.memory import memory
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import ConfigError
from gpuledger.model import Holder, State, Workload
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.test_collector_queries_chargeback import (
    BOOK,
    DEVICES,
    HOUR,
    NLP,
    OWNERS,
    PERIOD,
    STRAY,
    VISION,
    record,
)

GIB = 2**30
USAGE = (
    record(
        "GPU-a", VISION, (0, 30), State.ACTIVE, active_us=HOUR // 4, memory_mean_bytes=GIB, memory_max_bytes=3 * GIB
    ),
    record("GPU-a", VISION, (30, 60), State.HELD_IDLE, memory_mean_bytes=GIB, memory_max_bytes=7 * GIB),
    record("GPU-b", NLP, (0, 15), State.HELD_UNOBSERVED, active_us=None, energy_mj=None),
    record("MIG-c", STRAY, (0, 60), State.ACTIVE, active_us=HOUR, memory_mean_bytes=GIB, memory_max_bytes=2 * GIB),
    record("GPU-d", None, (0, 60), State.IDLE, reason="free", memory_mean_bytes=5, memory_max_bytes=5),
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Give the rated ledger of an hour."""
    with open_ledger(tmp_path_factory.mktemp("ledger")) as found:
        assert found.ingest([usage_frame(0, USAGE, DEVICES, (VISION, NLP, STRAY))])[0].taken
        prices(found, BOOK)
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


def test_the_most_of_a_day_counts(ledger: Ledger) -> None:
    """The larger of two states; nothing of a holder whose memory nobody read, and nothing of time that nobody held."""
    rows = memory(ledger, PERIOD).rows
    assert [(row.key, row.device, row.memory_max_bytes) for row in rows] == [
        ("", "MIG-c", 2 * GIB),
        ("vision", "GPU-a", 7 * GIB),
    ]
    assert {row.day_us for row in rows} == {START_US // US_PER_DAY * US_PER_DAY}


@pytest.mark.parametrize("by", BY)
def test_every_group_has_the_same_devices(ledger: Ledger, by: str) -> None:
    """Whatever is asked by, both devices are there with what they had."""
    rows = memory(ledger, PERIOD, by=by).rows
    assert {row.device: row.memory_max_bytes for row in rows} == {"GPU-a": 7 * GIB, "MIG-c": 2 * GIB}


def test_models_are_named_with_their_profile(ledger: Ledger) -> None:
    """A slice is not the whole GPU."""
    assert "NVIDIA A100-SXM4-40GB 3g.20gb" in {row.key for row in memory(ledger, PERIOD, by="model").rows}


def test_what_cannot_be_asked_is_refused(ledger: Ledger) -> None:
    """Groups that nobody knows, and periods off the hour."""
    with pytest.raises(ConfigError, match="not known"):
        memory(ledger, PERIOD, by="colour")
    with pytest.raises(ConfigError, match="on the hour"):
        memory(ledger, Period(START_US + 1, START_US + HOUR, "off"))


def test_workloads_are_called_as_drift_calls_them(tmp_path: Path) -> None:
    """Runs, replicas and jobs of one workload are one, by the very names that drift gives its other figures."""
    named = (
        Holder("pod:a/c", "pod", namespace="lab", pod="train-7-1", container="c"),
        Holder(
            "pod:b/c", "pod", namespace="lab", pod="train-8", container="c", workload=Workload("mlflow", name="fit 3")
        ),
        Holder("pod:c/c", "pod", namespace="lab", pod="x", container="c", workload=Workload("slurm", name="job 12")),
        *(
            Holder(
                f"pod:{run}/c", "pod", namespace="lab", pod="y", workload=Workload("mlflow", name=f"tune/{run * 32}")
            )
            for run in "ef"
        ),
        Holder("slurm:9.0", "slurm_job", slurm_job="9", slurm_account="bio", user="ada"),
        Holder("user:7", "user", user="bob"),
        Holder("user:8", "user"),
    )
    devices = [replace(DEVICES[0], key=f"GPU-{number}") for number in range(len(named))]
    usage = [
        record(each.key, who, (0, 60), State.ACTIVE, active_us=HOUR, memory_mean_bytes=GIB, memory_max_bytes=GIB)
        for each, who in zip(devices, named, strict=True)
    ]
    with open_ledger(tmp_path) as found:
        assert found.ingest([usage_frame(0, usage, devices, named)])[0].taken
        prices(found, BOOK)
        rate_dirty(found)
        lines = narrow(pl.DataFrame(bill_table(found, PERIOD)))
        theirs = dict(lines.filter(pl.col("holder").is_not_null()).select("device", "workload").iter_rows())
        ours = {row.device: row.key for row in memory(found, PERIOD, by="workload").rows}
    assert ours == {device: name or "" for device, name in theirs.items()}
    assert set(ours.values()) == {"lab/train", "fit", "tune", "lab/x", "bio/ada", "bob", ""}
