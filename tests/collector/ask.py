"""What a test asks a ledger in SQL of its own, and the whole contents of one in names instead of ids."""

from __future__ import annotations

from typing import Any

from collector.ledger.store import Ledger

CONTENTS = {
    "usage": """SELECT device_key, coalesce(holder_key, ''), start_us, end_us, state, reason, held_us, active_us,
        energy_mj, memory_mean_bytes, memory_max_bytes, activity_method, sequence
        FROM usage JOIN devices USING (device_id) LEFT JOIN holders USING (holder_id)
        JOIN reasons USING (reason_id) JOIN evidence USING (evidence_id) JOIN batches USING (batch_id) ORDER BY ALL""",
    "hourly": """SELECT hour_us, node, device_key, coalesce(holder_key, ''), state, reason, held_us, active_us,
        active_unknown_us, energy_mj, energy_unknown_us, memory_byte_us, memory_max_bytes
        FROM usage_hourly JOIN devices USING (device_id) LEFT JOIN holders USING (holder_id)
        JOIN reasons USING (reason_id) ORDER BY ALL""",
    "lives": "SELECT device_key, parts, from_us, to_us FROM device_lives JOIN devices USING (device_id) ORDER BY ALL",
    "devices": "SELECT device_key, parts, first_seen_us, retired_us FROM devices ORDER BY ALL",
    "dirty": "SELECT cluster, hour_us FROM dirty_hours ORDER BY ALL",
    "energy": "SELECT board, energy_mj, first_mj, last_mj FROM board_energy ORDER BY ALL",
    "events": "SELECT at_us, kind, device_key, details FROM events ORDER BY ALL",
}
RAW_HOURLY = """SELECT start_us // 3600000000 * 3600000000, node, device_key, coalesce(holder_key, ''), state, reason,
    sum(held_us), sum(coalesce(active_us, 0)), sum(CASE WHEN active_us IS NULL THEN held_us ELSE 0 END),
    sum(coalesce(energy_mj, 0)), sum(CASE WHEN energy_mj IS NULL THEN held_us ELSE 0 END),
    coalesce(sum(memory_mean_bytes::HUGEINT * held_us), 0), max(memory_max_bytes)
    FROM usage JOIN devices USING (device_id) LEFT JOIN holders USING (holder_id) JOIN reasons USING (reason_id)
    GROUP BY ALL ORDER BY ALL"""


def ask(ledger: Ledger, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    with ledger.snapshot() as session:
        return session._connection.sql(sql).fetchall()


def contents(ledger: Ledger) -> dict[str, list[tuple[Any, ...]]]:
    """Return everything that figures are made from, so that two ledgers compare."""
    return {name: ask(ledger, sql) for name, sql in CONTENTS.items()}
