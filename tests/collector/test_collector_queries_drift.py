"""Kept drift: the newest comparison of each dimension stands for a while, and /metrics has what drifted in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from collector.api.bodies import parse_request
from collector.api.changes import find_change
from collector.api.metrics import FiguresCollector
from collector.api.services import ledger_figures
from collector.ledger.store import Ledger
from collector.queries.drift import MOST_RESULTS, DriftRequest, DriftResult, drift, keep_drift
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from tests.collector.batches import START_US, minutes

VISION = DriftResult("team:vision", "power_w", "drift", 0.4, 0.01, 300.0, 410.0)
CARD = DriftResult("device:GPU-1", "power_w", "hardware", 0.14)


@pytest.fixture
def clock() -> VirtualClock:
    """Give the ledger's clock."""
    return VirtualClock(START_US + US_PER_DAY)


@pytest.fixture
def ledger(tmp_path: Path, clock: VirtualClock) -> Iterator[Ledger]:
    """Give a ledger with a batch in it."""
    with Ledger.open(tmp_path, clock=clock) as found:
        found.ingest([minutes(0)])
        yield found


def asked(*results: DriftResult, by: str = "team") -> DriftRequest:
    """Return a comparison of a week with the four before."""
    return DriftRequest(
        by, 0.05, ("2026-01-05", "2026-02-02"), ("2026-02-02", "2026-02-09"), 12, list(results), left_out=3
    )


def test_the_newest_comparison_of_each_dimension_stands(ledger: Ledger) -> None:
    """A later one by team takes the place of an earlier one, also where nothing drifted any more; by node stays."""
    keep_drift(ledger, asked(VISION, CARD))
    keep_drift(ledger, asked(CARD, by="node"))
    kept = keep_drift(ledger, asked())
    assert [(run.by, run.tested, run.results, run.left_out) for run in kept.runs] == [
        ("node", 12, 1, 3),
        ("team", 12, 0, 3),
    ]
    [row] = kept.rows
    assert (row.by, row.scope, row.verdict, row.score) == ("node", "device:GPU-1", "hardware", 0.14)
    assert row.current.from_ == "2026-02-02T00:00:00Z"


def test_what_drifted_furthest_comes_first(ledger: Ledger) -> None:
    """With its means where they are known."""
    rows = keep_drift(ledger, asked(CARD, VISION)).rows
    assert [row.scope for row in rows] == ["team:vision", "device:GPU-1"]
    assert (rows[0].reference_mean, rows[0].current_mean, rows[1].q) == (300.0, 410.0, None)


def test_an_old_comparison_says_nothing_of_today(ledger: Ledger, clock: VirtualClock) -> None:
    """After eight days it is kept, and no longer shown."""
    keep_drift(ledger, asked(VISION))
    clock.advance_to(START_US + 9 * US_PER_DAY)
    assert len(drift(ledger).rows) == 1
    clock.advance_to(START_US + 10 * US_PER_DAY)
    assert drift(ledger) == drift(ledger).__class__([], [])


def test_metrics_have_the_scores(ledger: Ledger) -> None:
    """By scope and figure; with when it was found, and nothing of what did not drift."""
    keep_drift(ledger, asked(VISION))
    registry = CollectorRegistry()
    registry.register(FiguresCollector(ledger_figures(ledger), ledger.now_us()))
    page = generate_latest(registry).decode()
    assert 'gpuledger_drift_score{metric="power_w",scope="team:vision"} 0.4' in page
    [found] = [
        line for line in page.splitlines() if line.startswith('gpuledger_drift_found_timestamp_seconds{by="team"}')
    ]
    assert float(found.split()[1]) == ledger.now_us() / 1e6


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"by": "colour"}, "not known"),
        ({"level": 1.5}, "not between 0 and 1"),
        ({"current": ["2026-02-09", "2026-02-02"]}, "current window ends"),
        ({"current": ["yesterday", "2026-02-02"]}, "ISO 8601"),
        ({"results": [{"scope": "team:a", "metric": "cost", "verdict": "drift", "score": 0.0}]}, "no positive score"),
        ({"results": [msgspec.to_builtins(CARD)] * (MOST_RESULTS + 1)}, "more than are kept"),
        ({"colour": 1}, "not what is asked for"),
    ],
)
def test_what_is_no_comparison_is_refused(ledger: Ledger, wrong: dict[str, object], says: str) -> None:
    """Nothing of it is stored."""
    change, number = find_change("/v1/drift")
    body = msgspec.json.encode({**msgspec.to_builtins(asked(VISION)), **wrong})
    with pytest.raises(ConfigError, match=says):
        change.do(ledger, number, parse_request(body, change.takes, change.example))
    assert drift(ledger).runs == []


def test_the_example_of_the_documentation_is_taken(ledger: Ledger) -> None:
    """What a hint tells people to send can be sent."""
    change, number = find_change("/v1/drift")
    change.do(ledger, number, parse_request(change.example.encode(), change.takes, change.example))
    assert [row.scope for row in drift(ledger).rows] == ["team:vision"]
