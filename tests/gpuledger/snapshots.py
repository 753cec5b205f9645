"""Snapshots for tests: short spellings, and random timelines of a node where everything that can happen does."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable
from random import Random
from typing import Any

from hypothesis import strategies as st

from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.meter import Meter, Metered
from gpuledger.accounting.snapshot import BoardSnapshot, DeviceSnapshot, Occupant, Snapshot
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE, US_PER_SECOND
from gpuledger.model import UsageRecord

T0 = 1_780_000_000_000_000 // US_PER_HOUR * US_PER_HOUR  # a full hour
S = US_PER_SECOND
GAP_US = 5 * US_PER_MINUTE
HOLDERS = ("pod:a/1", "slurm:7.0", "user:1000")
GEOMETRIES = {
    "GPU-0": ((("GPU-0", 840),),),
    "GPU-1": (
        (("GPU-1", 840),),
        (("MIG-a", 360), ("MIG-b", 360), ("GPU-1/remainder", 120)),
        (("MIG-a", 360), ("MIG-c", 480)),
    ),
}


def gpu(
    *occupants: Occupant | str,
    key: str = "GPU-0",
    activity: int | None = None,
    by_holder: dict[str, int] | None = None,
    energy: int | None = None,
    power: int | None = None,
    floor: int = 0,
    epoch: str = "boot",
    available: bool = True,
    reason: str = "",
    **more: Any,
) -> BoardSnapshot:
    """Return a whole GPU with its occupants; `more` are other fields of its DeviceSnapshot."""
    found = tuple(Occupant(one, method="process_cgroup") if isinstance(one, str) else one for one in occupants)
    device = DeviceSnapshot(key, 840, available, reason, found, activity, by_holder, **more)
    return BoardSnapshot(key, (device,), epoch, energy, power, floor)


def at(seconds: float, *boards: BoardSnapshot) -> Snapshot:
    """Return a snapshot so many seconds after the full hour."""
    return Snapshot(T0 + round(seconds * S), boards)


def meter_all(snapshots: Iterable[Snapshot], meter: Meter | None = None) -> list[Metered]:
    """Return everything that a meter releases, to the last snapshot."""
    meter = meter or Meter(GAP_US)
    return [*map(meter.observe, snapshots), meter.flush()]


def records_of(released: Iterable[Metered]) -> list[UsageRecord]:
    """Return the records in order of release."""
    return [record for metered in released for record in metered.records]


def rows(*snapshots: Snapshot) -> list[UsageRecord]:
    """Meter the snapshots and return their records in order of time, device and holder."""
    return ordered(records_of(meter_all(snapshots)))


def ordered(records: Iterable[UsageRecord]) -> list[UsageRecord]:
    """Return records in one order, whatever order they came in."""
    return sorted(records, key=lambda r: (r.start_us, r.device, r.holder or "", r.state, r.end_us))


def accepted(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """Return the snapshots that advance the clock: the ones that are metered."""
    kept: list[Snapshot] = []
    for snapshot in snapshots:
        if not kept or snapshot.at_us > kept[-1].at_us:
            kept.append(snapshot)
    return kept


def lifetimes(snapshots: list[Snapshot]) -> dict[str, list[Interval]]:
    """Return when each device was there: from each snapshot that shows it to the next one."""
    found: dict[str, list[Interval]] = defaultdict(list)
    for before, after in itertools.pairwise(snapshots):
        for board in before.boards:
            for device in board.devices:
                found[device.device].append(Interval(before.at_us, after.at_us))
    return found


def board_energy(snapshots: list[Snapshot]) -> dict[str, int]:
    """Return what each board used, straight from the rules: counters by epoch, power where there never was a counter."""
    used: dict[str, int] = defaultdict(int)
    counted: dict[str, tuple[str, int | None]] = {}
    rest: dict[str, int] = defaultdict(int)
    for i, snapshot in enumerate(snapshots):
        present = {board.board: board for board in snapshot.boards}
        for key in [key for key in counted if key not in present]:
            del counted[key]
        for key, board in present.items():
            if key not in counted:
                counted[key] = (board.epoch, board.energy_mj)
                rest[key] = 0
                continue
            length_us = snapshot.at_us - snapshots[i - 1].at_us
            epoch, last_mj = counted[key]
            if board.energy_mj is None or last_mj is None:
                if last_mj is None and board.power_mw is not None and length_us <= GAP_US:
                    energy_mj, rest[key] = divmod(board.power_mw * length_us + rest[key], 1_000_000)
                    used[key] += energy_mj
                if board.energy_mj is not None:
                    counted[key] = (board.epoch, board.energy_mj)
                continue
            reset = board.epoch != epoch or board.energy_mj < last_mj
            used[key] += board.energy_mj if reset else board.energy_mj - last_mj
            counted[key] = (board.epoch, board.energy_mj)
    return used


def boards(key: str, at_us: int) -> st.SearchStrategy[BoardSnapshot]:
    """Return boards in any condition at one instant."""
    return st.integers(0, 2**32).map(lambda seed: _board(Random(seed), key, at_us))


def timelines(*, aligned: bool = False) -> st.SearchStrategy[list[Snapshot]]:
    """Return snapshots of two boards that come and go; `aligned`: at multiples of 20 s, and the clock never goes back.

    Made from a seed: drawing each figure on its own would be slower than all that is tested with them.
    """
    return st.builds(
        lambda seed, size: _timeline(Random(seed), size, aligned), st.integers(0, 2**32), st.integers(2, 8)
    )


def _timeline(rng: Random, size: int, aligned: bool) -> list[Snapshot]:  # noqa: FBT001
    steps = (20 * S, 60 * S, 100 * S, 7 * US_PER_MINUTE) if aligned else (0, -30 * S, 1, 7 * S, 60 * S, 400 * S)
    at_us = T0 + rng.randrange(6) * 20 * S
    snapshots = []
    for _ in range(size):
        present = [_board(rng, key, at_us) for key in GEOMETRIES if rng.random() < 0.85]
        rng.shuffle(present)
        snapshots.append(Snapshot(at_us, tuple(present)))
        at_us += rng.choice(steps) + (0 if aligned else rng.choice((0, rng.randrange(S))))
    return snapshots


def _board(rng: Random, key: str, at_us: int) -> BoardSnapshot:
    return BoardSnapshot(
        key,
        tuple(_device(rng, device, parts, at_us) for device, parts in rng.choice(GEOMETRIES[key])),
        rng.choice(("boot-1", "boot-1", "boot-1", "boot-2")),
        _maybe(rng, rng.choice((10, 10**9))),
        _maybe(rng, 700_000),
        rng.choice((0, rng.randrange(90_000))),
    )


def _device(rng: Random, key: str, parts: int, at_us: int) -> DeviceSnapshot:
    available = rng.random() < 0.85
    return DeviceSnapshot(
        key,
        parts,
        available,
        "" if available else rng.choice(("gpu_lost", "reset_required", "unreadable")),
        _occupants(rng, at_us),
        rng.choice((None, 0, 1_000_000, rng.randrange(1_200_000))),
        None if rng.random() < 0.4 else {h: rng.randrange(900_000) for h in HOLDERS if rng.random() < 0.6},
        replicas=rng.choice((None, None, 1, 4, 10)),
        passed=_occupants(rng, at_us, left=True) if rng.random() < 0.3 else (),
    )


def _occupants(rng: Random, at_us: int, *, left: bool = False) -> tuple[Occupant, ...]:
    return tuple(
        Occupant(
            holder,
            rng.choice((1, 1, rng.randrange(5))),
            _maybe(rng, 80 << 30),
            at_us - rng.randrange(90 * S) if rng.random() < 0.5 else None,
            rng.choice(("process_cgroup", "process_user")),
            at_us - rng.randrange(90 * S) if left else None,
            rng.random() < 0.8,
            rng.random() < 0.9,
        )
        for holder in rng.sample(HOLDERS, rng.randrange(4))
    )


def _maybe(rng: Random, below: int) -> int | None:
    return None if rng.random() < 0.25 else rng.choice((0, rng.randrange(below)))
