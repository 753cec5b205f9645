"""Errors of anomalies: how often a fleet that does not change has any, and how often what was planted is found."""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from analytics.anomaly import Kind, find_anomalies
from benchmarks.anomaly_fleet import Fleet, draw, planted, window_from

LEVEL = 0.05
DRAWS = 1000
FLEETS = {"7 weeks before, 2 looked at": Fleet(), "4 weeks before, 1 looked at": Fleet(days=35, window=7)}
KINDS = ("spike", "level_shift", "drop_out")
TEAMS = ("even", "days alike", "trainings", "weekly")


def main() -> int:
    """Print both tables; return 1 where false alarms are more than the level says."""
    draws = int(sys.argv[1]) if len(sys.argv) > 1 else DRAWS
    print(f"False alarms: of {draws:,} fleets of 8 teams that do not change, those with any anomaly, at {LEVEL:.0%}")
    worst = 0.0
    for name, fleet in FLEETS.items():
        alarms, laws = false_alarms(fleet, draws)
        worst = max(worst, alarms)
        print(f"  {name:30} {alarms:6.1%}   {dict(laws)}", flush=True)
    few = max(1, draws // 10)
    print(
        f"Found: of {few} fleets with one thing planted in one team; found: that team in those days; only: nothing else"
    )
    print(f"  {'planted (7 weeks before)':30} {'found':>7} {'its kind':>9} {'only':>7}")
    for kind in KINDS:
        for team in TEAMS:
            print("  {:12}{:18} {:7.0%} {:9.0%} {:7.0%}".format(kind, team, *found_share(kind, team, few)), flush=True)
    return worst > LEVEL


def false_alarms(fleet: Fleet, draws: int, seed: int = 1) -> tuple[float, Counter[str]]:
    """Return the share of fleets with any anomaly, and which laws had them."""
    alarms, laws = 0, Counter[str]()
    for number in range(draws):
        rng = np.random.default_rng([seed, number])
        found = find_anomalies(draw(rng, fleet), window_from(fleet), level=LEVEL).found
        alarms += bool(found)
        laws.update(one.name for one in found)
    return alarms / draws, laws


def found_share(kind: str, team: str, draws: int, seed: int = 2) -> tuple[float, float, float]:
    """Return the shares of fleets in which the planted change is found, as its kind, and with nothing beside it."""
    fleet, hits, named, only = Fleet(), 0, 0, 0
    for number in range(draws):
        series = draw(np.random.default_rng([seed, number]), fleet)
        changed = [planted(each, kind, fleet) if each.name == team else each for each in series]
        found = find_anomalies(changed, window_from(fleet), level=LEVEL).found
        own = [one for one in found if one.name == team]
        hits += bool(own)
        named += any(one.kind == Kind(kind) for one in own)
        only += bool(own) and len(found) == len(own)
    return hits / draws, named / draws, only / draws


if __name__ == "__main__":
    sys.exit(main())
