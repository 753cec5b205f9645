"""Advice is kept and followed: what the same owner wasted in as long a time after, stored once, with its audit event."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from collector.ledger.store import Ledger
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.clock import VirtualClock
from gpuledger.model import Holder, State, UsageRecord
from tests.collector.batches import device, records
from tests.collector.fleet import owners, prices, usage_frame

MONDAY_US = 1_767_571_200_000_000  # 2026-01-05
HOUR = US_PER_HOUR
BOOK = (
    'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3"\nto = 2026-01-07T00:00:00Z\n'
    '[[price]]\nmodel = "*"\nrate = "4"\nfrom = 2026-01-07T00:00:00Z\n'
)
OWNERS = '[[owner]]\nteam = "vision"\nmatch.namespace = "vision"\n'
BEFORE = "2026-01-05..2026-01-07"
DAYS = 6


def pod(name: str) -> Holder:
    """Return a pod's container of the team."""
    return Holder(f"pod:{name}/c", "pod", namespace="vision", pod=name, container="c")


def stay(gpu: int, name: str, day: int, *hours: tuple[int, int, bool]) -> list[UsageRecord]:
    """Return an hour by hour stay: (first hour of the day, last, whether it worked)."""
    found: list[UsageRecord] = []
    for first, last, works in hours:
        changes: dict[str, Any] = {} if works else {"state": State.HELD_IDLE, "reason": "memory_held", "active_us": 0}
        start_us = MONDAY_US + day * US_PER_DAY
        who = f"pod:{name}/c"
        found += records(
            f"GPU-{gpu:04d}", start_us + first * HOUR, start_us + last * HOUR, who, step_us=HOUR, **changes
        )
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a ledger of six days: a notebook that idles less later, one that is gone, a training that waits as before."""
    usage: list[UsageRecord] = []
    for day in range(DAYS):
        later = day >= 2
        usage += stay(1, f"jupyter-{day}", day, (0, 10 if later else 20, False), (10 if later else 20, 24, True))
        if not later:
            usage += stay(2, f"left-{day}", day, (0, 12, False))
        usage += stay(3, f"train-{day}", day, (0, 3, False), (3, 24, True))
    names = sorted({str(record.holder)[4:-2] for record in usage})
    with Ledger.open(tmp_path, clock=VirtualClock(MONDAY_US + DAYS * US_PER_DAY)) as ledger:
        devices = [device(number) for number in (1, 2, 3)]
        assert ledger.ingest([usage_frame(0, usage, devices, [pod(name) for name in names])])[0].taken
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        rate_dirty(ledger)
    return tmp_path


def waste(capsys: pytest.CaptureFixture[str], folder: Path, *options: str) -> dict[str, Any]:
    """Return the answer of the command."""
    assert main(["waste", "--ledger", str(folder), "--format", "json", *options]) == 0
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_advice_is_followed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """At the prices of before: half of the notebook's waste is saved, all of what is gone, nothing of the training's."""
    kept = waste(capsys, folder, "--period", BEFORE, "--keep")["advice"]
    assert {row["workload"]: (row["high"], row["result"]) for row in kept["rows"]} == {
        "jupyter": ("120.000000000", None),
        "left": ("72.000000000", None),
        "train": ("18.000000000", None),
    }
    found = waste(capsys, folder, "--period", "2026-01-07..2026-01-09", "--keep")["advice"]
    earlier = [row for row in found["rows"] if row["period"][0] == iso(MONDAY_US)]
    assert {row["workload"]: (row["low"], row["result"], row["saved"]) for row in earlier} == {
        "jupyter": ("108.000000000", "less", "60.000000000"),
        "left": ("60.000000000", "gone", "72.000000000"),
        "train": ("6.000000000", "nothing", "0.000000000"),
    }
    assert (found["saved"], found["stated_high"]) == ({"EUR": "132.000000000"}, {"EUR": "210.000000000"})


def test_what_is_kept_twice_is_kept_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same period again, and one that overlaps it, add nothing; the log has one event for each time that did."""
    once = waste(capsys, folder, "--period", BEFORE, "--keep")["advice"]
    assert waste(capsys, folder, "--period", BEFORE, "--keep")["advice"]["followed"] == 3
    again = waste(capsys, folder, "--period", "2026-01-06..2026-01-07", "--keep")["advice"]
    assert len(again["rows"]) == len(once["rows"])
    assert main(["audit", "list", "--ledger", str(folder), "--format", "json"]) == 0
    acts = [row["act"] for row in json.loads(capsys.readouterr().out)["rows"]]
    assert acts.count("advice.keep") == 2  # the advice, and what came of it


def test_time_that_is_not_over_is_no_ground_for_advice(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither is advice kept about a month that goes on, nor followed before as long a time is over."""
    assert main(["waste", "--ledger", str(folder), "--period", "2026-01", "--keep"]) == 1
    assert "not known to its end" in capsys.readouterr().err
    for _ in range(2):
        kept = waste(capsys, folder, "--period", "2026-01-05..2026-01-09", "--keep")["advice"]
        assert (len(kept["rows"]), kept["followed"]) == (3, 0)


def test_people_read_what_was_saved(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The table ends with a sentence about it."""
    for _ in range(2):
        assert main(["waste", "--ledger", str(folder), "--period", BEFORE, "--keep", "--format", "table"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Earlier advice saved €132.00 at the prices of then, of €174.00 to €210.00 that were stated." in shown
