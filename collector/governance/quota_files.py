"""The file that quotas are written in: TOML with `[[quota]]` tables."""

from __future__ import annotations

from datetime import tzinfo
from decimal import Decimal
from typing import Final

from collector.governance.stage_fields import owner_field, refuse_two, stages_field
from collector.pricing.fields import MAX_MODEL, decimal_field, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from collector.pricing.share_files import MAX_GPUS, gpu_parts_of
from gpuledger.accounting.budgets import EVERYTHING, NOTIFY, PERIODS, named_period
from gpuledger.accounting.periods import require_hours
from gpuledger.accounting.quotas import Lane, Quota, given_too_much, stage_key
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import ConfigError, QuotaBookError

KEYS: Final = ("owner", "model", "devices", "gpu_hours", "period", "borrow", "lend", "stages", "from", "to")
ALL: Final = "all"
MAX_HOURS: Final = Decimal(1_000_000_000)
_KIND: Final = FileKind(
    "quota", "quota", QuotaBookError, '[[quota]] owner = "acme/research" model = "NVIDIA H100*" devices = "16"'
)


def parse_quota_book(content: bytes, as_format: FileFormat, source: str, zone: tzinfo) -> tuple[Quota, ...]:
    """Return the quotas of a file, in its order; raises QuotaBookError that names the entry and the next step.

    Periods mean the days of `zone`.
    """
    if as_format != "toml":
        raise QuotaBookError(f"{source}: a quota book is TOML", hint=_KIND.example)
    document = read_document(content, as_format, source, _KIND)
    refuse_unknown(document.settings, ("quota",), source, _KIND)
    quotas = tuple(_quota(record, zone) for record in document.records)
    refuse_two(quotas, source, _KIND)
    found = given_too_much(quotas)
    if found:
        above, below = (place + 1 for place in found)
        raise QuotaBookError(
            f"{source}: with entry {below} more is given beneath {quotas[found[0]].owner} than entry {above} has",
            hint="give less, or let those beneath it borrow of each other what they leave: borrow",
        )
    return quotas


def _quota(record: Record, zone: tzinfo) -> Quota:
    refuse_unknown(record.values, KEYS, record.where, _KIND)
    from_us, to_us = validity_fields(record, _KIND)
    owner, period = owner_field(record, _KIND), _period(record, zone)
    stages = stages_field(record, _KIND, stage_key)
    borrow = _limit(record, "borrow", period, 0)
    early = next((each for each in stages if each.action != NOTIFY and each.percent_millis <= 100_000), None)
    if borrow != 0 and early:
        raise QuotaBookError(
            f"{record.where}: {stage_key(early)} comes before it borrows",
            hint="leave borrow or that stage out; what is beyond its own and what it may borrow is held anyway",
        )
    return Quota(
        owner=owner,
        lane=Lane(text_field(record, "model", _KIND, most=MAX_MODEL) or EVERYTHING, period),
        owns=_amount(record, "gpu_hours" if period else "devices", period),
        borrow=borrow,
        lend=_limit(record, "lend", period, None),
        stages=stages,
        from_us=from_us,
        to_us=to_us,
    )


def _period(record: Record, zone: tzinfo) -> str:
    """Return the period of GPU-hours; of devices there is none."""
    given = [key for key in ("devices", "gpu_hours") if record.values.get(key, "") != ""]
    if len(given) != 1:
        what = "devices and gpu_hours are both" if given else "neither devices nor gpu_hours is"
        raise QuotaBookError(
            f"{record.where}: {what} given",
            hint='devices = "16" are GPUs at once; gpu_hours = "5000" with a period is another entry',
        )
    period = text_field(record, "period", _KIND)
    if given == ["devices"]:
        if period:
            raise QuotaBookError(f"{record.where}: devices have no period", hint="they are GPUs at once; leave it out")
        return ""
    try:
        require_hours(named_period(period or "(none)", 0, zone))
    except ConfigError as error:
        raise QuotaBookError(
            f"{record.where}: period: {error.message}",
            hint=f"gpu_hours are of {', '.join(PERIODS)}, or FROM..TO",
        ) from error
    return period


def _amount(record: Record, key: str, period: str) -> int:
    """Return GPUs in parts, or GPU-hours in microseconds x parts: exactly what is written."""
    if not period:
        return _parts(record, key)
    hours = decimal_field(record, key, 6, _KIND)
    if hours is None or hours > MAX_HOURS:
        raise QuotaBookError(f"{record.where}: {key} is over {MAX_HOURS:,}", hint="leave the quota out")
    return int(hours * US_PER_HOUR * GPU_PARTS)


def _parts(record: Record, key: str) -> int:
    value = record.values.get(key)
    whole = isinstance(value, int) and not isinstance(value, bool)
    parts = gpu_parts_of(str(value).strip()) if whole or isinstance(value, str) else None
    if parts is None:
        raise QuotaBookError(
            f"{record.where}: {key} {str(value)[:40]!r} is not a number of GPUs that is counted exactly",
            hint=f'write GPUs as "16", "2.5" or "3/7" (of a GPU with MIG), in steps of 1/{GPU_PARTS}',
        )
    if not 0 <= parts <= MAX_GPUS * GPU_PARTS:
        raise QuotaBookError(f"{record.where}: {key} is not from 0 to {MAX_GPUS:,}", hint="GPUs, not GPU-hours")
    return parts


def _limit(record: Record, key: str, period: str, absent: int | None) -> int | None:
    """Return how much may be borrowed or lent; None: all that there is."""
    value = record.values.get(key, "")
    if value == "":
        return absent
    return None if value == ALL else _amount(record, key, period)
