"""A lake of usage in Parquet that nobody sent: five-minute lines of a thousand priced and owned GPUs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb

from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR

GPUS: Final = 1_000
STEP_US: Final = 300_000_000
FIRST_US: Final = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 1_000_000
DAYS_A_FILE: Final = 7

# A holder has 8 GPUs for 12 hours; what a GPU does changes every three hours: 62 % active, 14 % held idle, 2 %
# unwatched, 20 % idle (a tenth of that stranded by MIG), 1 % unavailable, 1 % unobserved. One line in 50 has no price.
LINES: Final = """
COPY (
    WITH steps AS (
        SELECT
            g, at_us, at_us // 3600000000 * 3600000000 AS hour_us,
            hash(g, at_us // 10800000000) % 100 AS draw,
            (g // 8 * 7919 + at_us // 43200000000) % 20000 AS h
        FROM
            range({from_us}::BIGINT, {to_us}::BIGINT, {step_us}::BIGINT) t(at_us),
            range({gpus}) u(g)
    ),
    stated AS (
        SELECT
            *, CASE
                WHEN draw < 62 THEN 1 WHEN draw < 76 THEN 2 WHEN draw < 78 THEN 7 WHEN draw < 98 THEN 3
                WHEN draw < 99 THEN 4 ELSE 5
            END::TINYINT AS state
        FROM steps
    )
    SELECT
        hour_us, at_us - hour_us AS offset_us, 'c' AS cluster, 'node-' || g // 8 AS node, 'GPU-' || g AS device,
        ['NVIDIA H100 80GB HBM3', 'NVIDIA A100-SXM4-80GB', 'NVIDIA L40S'][g // 8 % 3 + 1] AS model,
        '' AS mig_profile, 840::INTEGER AS parts,
        CASE WHEN state IN (1, 2, 7) THEN 'pod:' || h || '/main' END AS holder,
        CASE WHEN state IN (1, 2, 7) THEN 'team-' || h % 40 END AS namespace,
        CASE WHEN state IN (1, 2, 7) THEN 'user-' || h % 300 END AS user_name,
        CASE WHEN state IN (1, 2, 7) THEN 'train-' || h END AS pod,
        CASE WHEN state IN (1, 2, 7) THEN 'main' END AS container,
        CASE WHEN state IN (1, 2, 7) THEN '' END AS slurm_job,
        CASE WHEN state IN (1, 2, 7) THEN '' END AS workload_id,
        CASE WHEN state IN (1, 2, 7) THEN 'training ' || h % 900 END AS workload_name,
        CASE WHEN state IN (1, 2, 7) THEN 'acme' ELSE '' END AS organisation,
        CASE WHEN state IN (1, 2, 7) THEN 'team-' || h % 40 ELSE '' END AS team,
        CASE WHEN state IN (1, 2, 7) THEN 'project-' || h % 150 ELSE '' END AS project,
        state,
        CASE
            WHEN state = 2 THEN ['never_started', 'memory_held', 'starved', 'throttled'][h % 4 + 1]
            WHEN state = 3 THEN CASE WHEN g % 10 = 0 THEN 'stranded' ELSE 'free' END
            ELSE ''
        END AS reason,
        {step_us}::BIGINT AS held_us,
        CASE WHEN state = 1 THEN {step_us}::BIGINT * (50 + at_us // {step_us} % 50) // 100 ELSE 0 END AS active_us,
        CASE WHEN state = 7 THEN {step_us}::BIGINT ELSE 0 END AS active_unknown_us,
        CASE
            WHEN state = 1 THEN 90000000 + (hash(g, at_us) % 120000000)::BIGINT
            WHEN state IN (2, 3) THEN 21000000 ELSE 0
        END AS energy_mj,
        CASE WHEN state IN (4, 5, 7) THEN {step_us}::BIGINT ELSE 0 END AS energy_unknown_us,
        118::DECIMAL(18, 6) AS carbon_g_per_kwh,
        CASE WHEN g % 50 <> 7 THEN 207500000 + 1000000 * (g // 8 % 3) END::BIGINT AS cost_quanta
    FROM stated
    ORDER BY at_us, g
) TO '{file}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 250000)
"""


def fill_lake(folder: Path, days: int, gpus: int = GPUS) -> int:
    """Write the lines of so many days into files in `folder`, each of whole days; return how many lines there are."""
    connection = duckdb.connect()
    connection.execute("SET memory_limit = '2GB'; SET threads = 2; SET enable_progress_bar = false")
    connection.execute(f"SET temp_directory = '{folder / 'spill'}'")
    for first in range(0, days, DAYS_A_FILE):
        span = {
            "from_us": FIRST_US + first * US_PER_DAY,
            "to_us": FIRST_US + min(first + DAYS_A_FILE, days) * US_PER_DAY,
        }
        file = folder / f"charges-{first:03}.parquet"
        connection.execute(LINES.format(**span, step_us=STEP_US, gpus=gpus, file=file))
    connection.close()
    return days * gpus * 24 * (US_PER_HOUR // STEP_US)
