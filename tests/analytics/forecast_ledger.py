"""A ledger of seven weeks: a team with weekends, one that is steady, and on request a spike and a day that nobody saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from collector.rating import rate_dirty
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.model import Holder, State, UsageRecord
from tests.analytics.series import MONDAY_US
from tests.collector.batches import EVIDENCE, device
from tests.collector.fleet import Ledger, owners, prices, usage_frame

DAYS = 49
GPUS = 6
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n'
OWNERS = '[[owner]]\nteam = "vision"\nmatch.namespace = "train"\n[[owner]]\nteam = "lab"\nmatch.namespace = "lab"\n'


def fill(folder: Path, *, days: int = DAYS, spike: range = range(0), unobserved: range = range(0)) -> Path:
    """Write the ledger. On the days of `spike` the lab holds four GPUs instead of one, all day long."""
    rng = np.random.default_rng(5)
    devices = [device(number) for number in range(GPUS)]
    with Ledger.open(folder, clock=VirtualClock(MONDAY_US + days * US_PER_DAY)) as ledger:
        for day in range(days):
            if day in unobserved:
                continue
            train, lab = (_pod(team, day) for team in ("train", "lab"))
            usage: list[UsageRecord] = []
            for number in range(GPUS):
                mine = number >= 2 if day in spike else number == GPUS - 1
                who = lab if mine else train
                until = 24 if mine and day in spike else int(rng.integers(9, 13)) if mine else 8 if day % 7 >= 5 else 20
                until = until if mine else until + int(rng.integers(-2, 3))
                usage += _day(devices[number].key, MONDAY_US + day * US_PER_DAY, who.key, until)
            assert ledger.ingest([usage_frame(day, usage, devices, [train, lab])])[0].taken
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        rate_dirty(ledger)
    return folder


def _pod(team: str, day: int) -> Holder:
    pod = f"{team}-{day}"
    return Holder(key=f"pod:{pod}/c", kind="pod", namespace=team, pod=pod, container="c")


def _day(key: str, start_us: int, who: str, until: int) -> list[UsageRecord]:
    """Return a record an hour: held from midnight to `until`, free after that."""
    found = []
    for hour in range(24):
        held = who if hour < until else None
        start = start_us + hour * US_PER_HOUR
        fields = {
            "device": key, "holder": held, "start_us": start, "end_us": start + US_PER_HOUR, "held_us": US_PER_HOUR,
            "state": State.ACTIVE if held else State.IDLE, "reason": "" if held else "free",
            "active_us": US_PER_HOUR if held else 0, "energy_mj": 0,
            "memory_mean_bytes": 1_000_000, "memory_max_bytes": 2_000_000, "evidence": EVIDENCE,
        }  # fmt: skip
        found.append(UsageRecord(**fields))  # type: ignore[arg-type]
    return found
