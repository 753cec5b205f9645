"""Arrow tables that statements read by name, and their columns: what a transaction brings to the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

_INT: Final = pa.int64()
_TEXT: Final = pa.string()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


_DEVICE_TEXTS: Final = ("cluster", "node", "device_key", "kind", "model", "board", "mig_profile", "pci_bus_id", "pool")
_HOLDER_TEXTS: Final = (
    "cluster", "holder_key", "kind", "namespace", "pod", "pod_uid", "container", "container_id",
    "slurm_job", "slurm_step", "slurm_account", "slurm_partition", "user_name", "labels",
    "workload_system", "workload_scope", "workload_id", "workload_name", "team_claim",
    "team_source", "controller",
)  # fmt: skip

STAGES: Final[dict[str, pa.Schema]] = {
    "incoming_devices": _schema(
        device_id=_INT, **dict.fromkeys(_DEVICE_TEXTS, _TEXT), parts=_INT, units=_INT, memory_bytes=_INT,
        first_seen_us=_INT, retired_us=_INT,
    ),
    "incoming_lives": _schema(device_id=_INT, from_us=_INT, to_us=_INT),
    "incoming_holders": _schema(holder_id=_INT, **dict.fromkeys(_HOLDER_TEXTS, _TEXT), uid=_INT),
    "incoming_evidence": _schema(
        evidence_id=_INT, holder_method=_TEXT, activity_method=_TEXT, energy_method=_TEXT, split_rule=_TEXT,
        confidence=_INT,
    ),
    "incoming_reasons": _schema(reason_id=_INT, reason=_TEXT),
    "incoming_batches": _schema(
        batch_id=_INT, agent=_TEXT, boot=_TEXT, sequence=_INT, cluster=_TEXT, node=_TEXT, digest=pa.binary(),
        usage_rows=_INT, from_us=_INT, until_us=_INT, sealed_at_us=_INT, received_us=_INT, software=_TEXT,
    ),
    "incoming_identities": _schema(agent=_TEXT, boot=_TEXT, sequence=_INT),
    "incoming_usage": _schema(
        device_id=_INT, holder_id=_INT, start_us=_INT, end_us=_INT, state=_INT, reason_id=_INT, evidence_id=_INT,
        held_us=_INT, active_us=_INT, energy_mj=_INT, memory_mean_bytes=_INT, memory_max_bytes=_INT, batch_id=_INT,
    ),
    "incoming_energy": _schema(
        batch_id=_INT, board=_TEXT, energy_mj=_INT, epoch=_TEXT, first_mj=_INT, last_mj=_INT,
    ),
    "incoming_conditions": _schema(
        batch_id=_INT, board=_TEXT, hour_us=_INT, sm_clock_readings=_INT, sm_clock_mhz=_INT, temperature_readings=_INT,
        temperature_c=_INT,
    ),
    "incoming_events": _schema(
        at_us=_INT, cluster=_TEXT, node=_TEXT, kind=_TEXT, severity=_TEXT, device_key=_TEXT, holder_key=_TEXT,
        message=_TEXT, details=_TEXT, batch_id=_INT,
    ),
    "incoming_quarantine": _schema(
        quarantine_id=_INT, received_us=_INT, code=_TEXT, detail=_TEXT, agent=_TEXT, digest=pa.binary(),
        frame=pa.binary(),
    ),
    "incoming_dirty": _schema(cluster=_TEXT, hour_us=_INT),
    "incoming_runs": _schema(
        cluster=_TEXT, job=_TEXT, part=_TEXT, started_us=_INT, booked_until_us=_INT, ended=pa.bool_(), gpus=_INT,
        import_id=_TEXT,
    ),
    "wanted_jobs": _schema(cluster=_TEXT, job=_TEXT),
    "wanted_pools": _schema(cluster=_TEXT, device_key=_TEXT),
}  # fmt: skip


def staged(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return `rows` as the Arrow table that statements know as `name`."""
    return pa.Table.from_pylist(list(rows), schema=STAGES[name])
