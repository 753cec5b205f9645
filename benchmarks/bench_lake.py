"""Analytics over a year of a thousand GPUs in Parquet, against the same aggregates written by hand in DuckDB.

    python -m benchmarks.bench_lake [DAYS]     365 days are 105 million lines; each measurement is a process of its own

Both read the same files and both answers are held against each other: a fast wrong sum is no result.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.compare import spending
from analytics.energy import energy
from analytics.fragmentation import fragmentation
from analytics.utilisation import heat_map, utilisation
from analytics.waste import idle_power, waste
from benchmarks.filled_lake import fill_lake
from benchmarks.process_figures import measured

DAYS: Final = 365
REPEATS: Final = 1  # a year takes a quarter of an hour
MEMORY: Final = "3GB"  # what DuckDB may take
HELD: Final = "state IN (1, 2, 6, 7)"
TIMES: Final = f"""
    sum(held_us::HUGEINT * parts) AS capacity, coalesce(sum(held_us::HUGEINT * parts) FILTER ({HELD}), 0) AS held,
    coalesce(sum(active_us::HUGEINT * parts) FILTER ({HELD}), 0) AS active,
    coalesce(sum((held_us - active_unknown_us)::HUGEINT * parts) FILTER ({HELD}), 0) AS watched,
    coalesce(sum(held_us::HUGEINT * parts) FILTER (state = 2), 0) AS held_idle,
    coalesce(sum(held_us::HUGEINT * parts) FILTER (state = 3), 0) AS idle,
    coalesce(sum(held_us::HUGEINT * parts) FILTER (state = 4), 0) AS unavailable,
    coalesce(sum(held_us::HUGEINT * parts) FILTER (state = 5), 0) AS unobserved
"""
TEAM: Final = f"CASE WHEN {HELD} THEN coalesce(nullif(team, ''), 'unattributed') ELSE 'state ' || state END"
BERLIN: Final = "timezone('Europe/Berlin', make_timestamptz(hour_us))"
WASTE: Final = """
    WITH read AS (
        SELECT
            *, CASE WHEN state = 2 THEN 'held_idle' WHEN state = 3 AND reason = 'stranded' THEN 'stranded' END AS kind
        FROM lake
    ),
    hours AS (
        SELECT cluster, node, device, holder, hour_us
        FROM read GROUP BY ALL HAVING bool_or(kind IS NOT NULL) AND NOT bool_or(coalesce(active_us, 0) > 0)
    ),
    numbered AS (
        SELECT *, hour_us // 3600000000 - row_number() OVER (
            PARTITION BY cluster, node, device, holder ORDER BY hour_us) AS stretch FROM hours
    ),
    began AS (
        SELECT *, min(hour_us) OVER (PARTITION BY cluster, node, device, holder, stretch) AS began_us FROM numbered
    )
    SELECT
        r.kind, r.reason, CASE WHEN r.kind = 'held_idle' THEN r.workload_name ELSE '' END AS workload,
        CASE WHEN r.kind = 'held_idle' THEN r.team ELSE '' END AS team,
        CASE WHEN r.kind = 'held_idle' THEN r.user_name ELSE '' END AS user_name,
        CASE WHEN r.kind = 'held_idle' THEN '' ELSE r.node END AS at_node,
        sum(r.held_us::HUGEINT * r.parts) AS part_us,
        sum(r.cost_quanta::HUGEINT) FILTER (b.began_us IS NOT NULL AND r.hour_us >= b.began_us + 7200000000) AS low,
        sum(r.cost_quanta::HUGEINT) AS high, sum(r.energy_mj) AS energy,
        count(DISTINCT (r.cluster, r.holder)) FILTER (r.holder IS NOT NULL) AS holders,
        count(DISTINCT (r.cluster, r.node, r.device)) AS devices,
        max((r.cost_quanta, r.hour_us, r.offset_us, r.device, r.holder), 3) AS evidence
    FROM read r LEFT JOIN began b
        ON r.cluster = b.cluster AND r.node = b.node AND r.device = b.device
        AND r.holder IS NOT DISTINCT FROM b.holder AND r.hour_us = b.hour_us
    WHERE r.kind IS NOT NULL
    GROUP BY ALL
"""


class Case(NamedTuple):
    """A function, the same by hand, and the column that both sum to the same total."""

    ours: Callable[[pl.LazyFrame], pl.DataFrame]
    by_hand: str
    total: tuple[str, str]


CASES: Final = {
    "utilisation by team": Case(
        lambda lake: utilisation(lake, "team"),
        f"SELECT {TEAM} AS key, {TIMES} FROM lake GROUP BY ALL",
        ("held_part_us", "held"),
    ),
    "utilisation by node and day": Case(
        lambda lake: utilisation(lake, "node", "day", "Europe/Berlin"),
        f"SELECT date_trunc('day', {BERLIN}) AS at, node, {TIMES} FROM lake GROUP BY ALL",
        ("active_part_us", "active"),
    ),
    "heat map by model": Case(
        lambda lake: heat_map(lake, "model", "Europe/Berlin"),
        f"SELECT model, isodow({BERLIN}) AS weekday, hour({BERLIN}) AS hour, {TIMES} FROM lake GROUP BY ALL",
        ("watched_part_us", "watched"),
    ),
    "waste": Case(waste, WASTE, ("high_quanta", "high")),
    "fragmentation": Case(
        lambda lake: fragmentation(lake).requests,
        """WITH d AS (
                SELECT
                    cluster, model, node, device, hour_us, sum(held_us) AS t,
                    coalesce(
                        sum(held_us) FILTER (state = 3 AND reason NOT IN ('stranded', 'cordoned', 'draining')), 0
                    ) AS f,
                    coalesce(sum(held_us) FILTER (state = 5), 0) AS u
                FROM lake WHERE mig_profile = '' AND parts = 840 GROUP BY ALL
            ),
            n AS (
                SELECT cluster, model, hour_us, node, count(*) FILTER (f = t) AS free,
                    count(*) FILTER (f + u = t) AS could
                FROM d GROUP BY ALL
            ),
            h AS (
                SELECT cluster, model, hour_us, sum(free) AS total, max(free) AS largest, max(could) AS could,
                    sum(could) AS could_total
                FROM n GROUP BY ALL
            )
            SELECT
                cluster, model, size, count(*) FILTER (largest >= size) AS fits, avg(total) AS mean_free,
                count(*) FILTER (could < size AND total >= size) AS fragmented,
                count(*) FILTER (could_total < size) AS scarce
            FROM h, (VALUES (1), (2), (4), (8)) s(size) GROUP BY ALL""",
        ("fits_hours", "fits"),
    ),
    "idle power": Case(
        idle_power,
        """SELECT node, model, sum(held_us::HUGEINT * parts) AS part_us, sum(energy_mj) AS energy_mj,
            sum(energy_unknown_us::HUGEINT * parts) AS unknown FROM lake WHERE state = 3 GROUP BY ALL""",
        ("energy_mj", "energy_mj"),
    ),
    "energy by team": Case(
        lambda lake: energy([lake], "team"),
        f"""SELECT {TEAM} AS key, sum(held_us::HUGEINT * parts) AS part_us, sum(energy_mj) AS energy_mj,
            sum((held_us - energy_unknown_us)::HUGEINT * parts) AS metered,
            sum(energy_mj) FILTER (state = 3) AS idle_energy, sum(active_us::HUGEINT * parts) AS active,
            sum(energy_mj::HUGEINT * (carbon_g_per_kwh * 1000000)::BIGINT) AS carbon,
            sum(energy_mj) FILTER (carbon_g_per_kwh IS NULL) AS carbon_unknown,
            sum(active_us::HUGEINT * parts)
                FILTER ({HELD} AND energy_unknown_us = 0 AND active_unknown_us = 0) AS useful,
            sum(energy_mj) FILTER ({HELD} AND energy_unknown_us = 0 AND active_unknown_us = 0) AS useful_energy
            FROM lake GROUP BY ALL""",
        ("carbon_ug_mj", "carbon"),
    ),
    "chargeback by team and model": Case(
        lambda lake: spending([lake], "team"),
        f"""SELECT {TEAM} AS key, model, mig_profile, sum(cost_quanta) AS cost,
            sum(held_us::HUGEINT * parts) AS part_us,
            sum(held_us::HUGEINT * parts) FILTER (cost_quanta IS NULL) AS unpriced,
            sum(CASE WHEN {HELD} THEN active_unknown_us WHEN state = 5 THEN held_us ELSE 0 END::HUGEINT * parts)
                AS unseen
            FROM lake GROUP BY ALL""",
        ("cost_quanta", "cost"),
    ),
}  # fmt: skip


def main() -> int:
    """Fill a lake and measure each function and its counterpart, in turn; 1 where their answers differ."""
    days = int(sys.argv[1]) if len(sys.argv) > 1 else DAYS
    with tempfile.TemporaryDirectory() as folder:
        rows = fill_lake(Path(folder), days)
        return compare(Path(folder), rows)


def compare(folder: Path, rows: int, names: list[str] | None = None) -> int:
    """Measure over the files of a folder."""
    print(
        f"{rows:,} lines, {sum(file.stat().st_size for file in folder.glob('*.parquet')) / 2**20:,.0f} MiB of Parquet"
    )
    print(f"{'':32}{'ours, s':>9}{'by hand':>9}{'ratio':>7}{'peak, MiB':>11}{'by hand':>9}")
    differ = []
    for name in names or CASES:
        runs = [(_apart(name, "ours", folder), _apart(name, "by_hand", folder)) for _ in range(REPEATS)]
        ours, hand = (min((run[side] for run in runs), key=_seconds) for side in (0, 1))
        ratio = ours["seconds"] / hand["seconds"]
        peaks = [max(run[side]["peak_mib"] for run in runs) for side in (0, 1)]
        print(
            f"{name:32}{ours['seconds']:9.2f}{hand['seconds']:9.2f}{ratio:7.2f}{peaks[0]:11,.0f}{peaks[1]:9,.0f}",
            flush=True,
        )
        if ours["result"] != hand["result"]:
            differ.append(f"{name}: {ours['result']} is not {hand['result']}")
    print(*differ, sep="\n")
    return bool(differ)


def _seconds(run: dict[str, Any]) -> float:
    return float(run["seconds"])


def measure(name: str, side: str, folder: Path) -> dict[str, Any]:
    """Return what a measurement took in this process, and the sum of its telling column."""
    work = {"ours": _ours, "by_hand": _by_hand}[side]
    found = measured(lambda: work(CASES[name], folder))
    return {**found._asdict(), "result": str(found.result)}


def _ours(case: Case, folder: Path) -> int:
    found = case.ours(pl.scan_parquet(str(folder / "*.parquet")))
    return sum(value for value in found[case.total[0]].to_list() if value is not None)


def _by_hand(case: Case, folder: Path) -> int:
    import duckdb  # noqa: PLC0415 - not in the process that measures ours

    connection = duckdb.connect()
    connection.execute(f"SET memory_limit = '{MEMORY}'; SET enable_progress_bar = false; SET TimeZone = 'UTC'")
    connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
    connection.execute(f"CREATE VIEW lake AS SELECT * FROM read_parquet('{folder}/*.parquet')")
    found = connection.execute(case.by_hand)
    column = [each[0] for each in found.description or ()].index(case.total[1])
    return sum(int(row[column]) for row in found.fetchall() if row[column] is not None)


def _apart(name: str, side: str, folder: Path) -> dict[str, Any]:
    call = [sys.executable, "-c", _CALL, name, side, str(folder)]
    done = subprocess.run(call, check=True, capture_output=True, text=True, cwd=Path(__file__).parent.parent)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


_CALL: Final = """
import json, sys
from pathlib import Path
from benchmarks.bench_lake import measure
print(json.dumps(measure(sys.argv[1], sys.argv[2], Path(sys.argv[3]))))
"""


if __name__ == "__main__":
    sys.exit(main())
