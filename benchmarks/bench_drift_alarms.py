"""Drift's errors: how often it raises a false alarm where nothing changed, and how often it finds what was planted."""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import polars as pl

from analytics.drift import find_drift
from analytics.drift_frames import Observations
from analytics.drift_hardware import Cause, find_causes
from benchmarks.drift_fleet import Law, draw, draw_jobs, shifted

LEVEL = 0.05
DRAWS = 1000
LAWS = {
    "independent days": Law(persistence=0.0, shared=0.0),
    "as fleets are": Law(),
    "long trainings": Law(persistence=0.9, shared=0.7),
    "two weeks against one": Law(reference_days=14, persistence=0.7),
    "four weeks against four": Law(current_days=28),
}
Plant = Callable[[Observations], Observations]
ONE = pl.col("device") == "GPU-3"
TEAM = pl.col("team") == "team-3"
MONTH = Law(current_days=28)
FOUND: dict[str, tuple[Plant, str, Law]] = {
    "a team's memory doubled, seen for a week": (
        lambda found: shifted(found, TEAM, "memory_bytes", times=2),
        "team",
        Law(),
    ),
    "a team's power 30 % lower, a week": (lambda found: shifted(found, TEAM, "power_w", times=0.7), "team", Law()),
    "a team's power 30 % lower, four weeks": (lambda found: shifted(found, TEAM, "power_w", times=0.7), "team", MONTH),
    "one card's power 10 % lower, a week": (lambda found: shifted(found, ONE, "power_w", times=0.9), "hardware", Law()),
    "one card's clock 10 % lower, a week": (
        lambda found: shifted(found, ONE, "sm_clock_mhz", times=0.9),
        "hardware",
        Law(),
    ),
    "one card 6 degrees warmer, a week": (
        lambda found: shifted(found, ONE, "temperature_c", plus=6),
        "hardware",
        Law(),
    ),
    "one card's power 2 % lower: too little": (lambda found: shifted(found, ONE, "power_w", times=0.98), "", Law()),
    "all cards of a workload 20 % lower": (lambda found: shifted(found, TEAM, "power_w", times=0.8), "workload", Law()),
}


def main() -> int:
    """Print both tables; return 1 where false alarms are more than the level says."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else DRAWS
    print(f"False alarms: draws of {draws:,} in which nothing changed with any finding, at a level of {LEVEL:.0%}")
    worst = 0.0
    for name, law in LAWS.items():
        alarms, tests = false_alarms(law, draws)
        worst = max(worst, alarms)
        print(f"  {name:26} {alarms:6.1%}   ({tests:,} comparisons a draw)", flush=True)
    print(f"Found: draws of {draws // 10:,} in which what was planted is found, and nothing else is")
    for name, planted in FOUND.items():
        print(f"  {name:40} {found_share(*planted, draws // 10):6.1%}", flush=True)
    return worst > LEVEL


def false_alarms(law: Law, draws: int, seed: int = 1) -> tuple[float, int]:
    """Return the share of draws with any finding, and how many comparisons were made in each."""
    alarms = tested = 0
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        observed, jobs = draw(rng, law), draw_jobs(rng, law)
        drift = find_drift([observed, jobs], "team", level=LEVEL / 2)
        causes = find_causes(observed, level=LEVEL / 2)
        moved = causes.shifts(Cause.HARDWARE, Cause.LOAD, Cause.WORKLOAD, Cause.UNDETERMINED)
        alarms += bool(moved) or (drift.frame["verdict"] == "drift").any()
        tested = drift.tested + len(causes.devices) + len(causes.workloads)
    return alarms / draws, tested


def found_share(plant: Plant, cause: str, law: Law, draws: int, seed: int = 2) -> float:
    """Return the share of draws in which just the planted change is found (no cause: none is)."""
    right = 0
    for number in range(draws):
        found = plant(draw(np.random.default_rng([seed, number]), law))
        if cause == "team":
            drift = find_drift([found], "team", level=LEVEL).frame.filter(pl.col("verdict") == "drift")
            right += set(drift["group"]) == {"team-3"}
        else:
            shifts = find_causes(found, level=LEVEL).shifts(Cause.HARDWARE, Cause.LOAD, Cause.WORKLOAD)
            expected = {"hardware": {("GPU-3", "hardware")}, "workload": {("workload-3", "workload")}}.get(cause, set())
            right += {(shift.of, shift.cause.value) for shift in shifts} == expected
    return right / draws


if __name__ == "__main__":
    sys.exit(main())
