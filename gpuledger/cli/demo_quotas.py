"""The quotas of the demo: in the department with most GPUs a team has borrowed of another that leaves some."""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from typing import Final

from gpuledger.cli.demo_plan import DemoPlan
from gpuledger.cli.sources import Source

_HEAD: Final = "# Written by the demo, from what its teams held in the last hour of its history.\n"


def give_quotas(source: Source, plan: DemoPlan, directory: Path) -> None:
    """Import a quota book; nothing where there is one: the demo goes on from there."""
    if source.query("quotas/book", {})["version"]:
        return
    text = quota_book(source, plan)
    if text:
        path = directory / "quotas.toml"
        path.write_text(text, encoding="utf-8")
        source.import_book("quotas", path)


def quota_book(source: Source, plan: DemoPlan) -> str:
    """Return the book; an empty text where no department has two teams that held GPUs."""
    hour = f"{plan.until - timedelta(hours=1):%Y-%m-%dT%H:%MZ}..{plan.until:%Y-%m-%dT%H:%MZ}"
    answer = source.query("chargeback", {"period": hour, "by": "team", "view": "allocation"})
    places = {row["team"]: f"{row['organisation']}/{row['department']}" for row in source.query("owners", {})["rows"]}
    held: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for row in answer["rows"]:
        if row["kind"] == "owner" and row["key"] in places and row["gpu_hours"] >= 1:
            held[places[row["key"]]][row["key"]] = math.ceil(row["gpu_hours"])
    found = max(
        (each for each in held.items() if len(each[1]) > 1), key=lambda each: sum(each[1].values()), default=None
    )
    if found is None:
        return ""
    department, teams = found
    first, second, *_ = sorted(teams, key=lambda team: (-teams[team], team))
    lent, own = teams[first] + 4, max(1, teams[second] - 2)
    return _HEAD + "".join((
        _entry(department, sum(teams.values()) + 4, "stages = [{ at = 80 }]\n"),
        _entry(f"{department}/{first}", lent),
        _entry(f"{department}/{second}", own, 'borrow = "4"\n'),
    ))  # fmt: skip


def _entry(owner: str, gpus: int, more: str = "") -> str:
    return f'\n[[quota]]\nowner = "{owner}"\ndevices = "{gpus}"\n{more}'
