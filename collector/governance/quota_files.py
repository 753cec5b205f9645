"""The file that quotas are written in: TOML with `[[quota]]` tables."""

from __future__ import annotations

import re
from datetime import tzinfo
from decimal import Decimal
from typing import Any, Final

from collector.governance.owners import LEVELS
from collector.pricing.fields import MAX_MODEL, decimal_field, required_text, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from collector.pricing.share_files import MAX_GPUS, gpu_parts_of
from gpuledger.accounting.budgets import ACTIONS, EVERYTHING, NOTIFY, PERIODS, Stage, in_order, named_period
from gpuledger.accounting.periods import require_hours
from gpuledger.accounting.quotas import Lane, Quota, given_too_much, stage_key
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import ConfigError, QuotaBookError

KEYS: Final = ("owner", "model", "devices", "gpu_hours", "period", "borrow", "lend", "stages", "from", "to")
ALL: Final = "all"
MAX_HOURS: Final = Decimal(1_000_000_000)
MAX_PERCENT: Final = 1_000
MAX_STAGES: Final = 20
MAX_TOLD: Final = 20
_KIND: Final = FileKind(
    "quota", "quota", QuotaBookError, '[[quota]] owner = "acme/research" model = "NVIDIA H100*" devices = "16"'
)
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def parse_quota_book(content: bytes, as_format: FileFormat, source: str, zone: tzinfo) -> tuple[Quota, ...]:
    """Return the quotas of a file, in its order; raises QuotaBookError that names the entry and the next step.

    Periods mean the days of `zone`.
    """
    if as_format != "toml":
        raise QuotaBookError(f"{source}: a quota book is TOML", hint=_KIND.example)
    document = read_document(content, as_format, source, _KIND)
    refuse_unknown(document.settings, ("quota",), source, _KIND)
    quotas = tuple(_quota(record, zone) for record in document.records)
    _refuse_two(quotas, source)
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
    owner, period = _owner(record), _period(record, zone)
    stages = _stages(record)
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


def _owner(record: Record) -> str:
    owner = required_text(record, "owner", _KIND)
    if owner != EVERYTHING and not all(part.strip() == part and part for part in owner.split("/")):
        raise QuotaBookError(
            f'{record.where}: owner "{owner}" is not a path', hint='write "acme/research/vision"; "*" is everything'
        )
    if owner.count("/") >= len(LEVELS):
        raise QuotaBookError(
            f'{record.where}: owner "{owner}" goes below teams', hint=f"a quota is of one of: {', '.join(LEVELS)}"
        )
    return owner


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


def _stages(record: Record) -> tuple[Stage, ...]:
    given = record.values.get("stages", [])
    if not isinstance(given, list) or len(given) > MAX_STAGES or not all(isinstance(each, dict) for each in given):
        raise QuotaBookError(
            f"{record.where}: stages are not a list of at most {MAX_STAGES} tables", hint="stages = [{ at = 80 }]"
        )
    stages = in_order(_stage(Record(f"{record.where}: stage {number}", each)) for number, each in enumerate(given, 1))
    keys = [stage_key(each) for each in stages]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise QuotaBookError(f'{record.where}: "{twice[0]}" is there twice', hint="name everybody in one tell = []")
    return tuple(stages)


def _stage(record: Record) -> Stage:
    refuse_unknown(record.values, ("at", "do", "tell"), record.where, _KIND)
    action = text_field(record, "do", _KIND) or NOTIFY
    if action not in ACTIONS:
        raise QuotaBookError(f'{record.where}: do "{action}" is not known', hint=f"one of: {', '.join(ACTIONS)}")
    return Stage(_percent(record), action=action, tell=_tell(record.values.get("tell", []), record.where))


def _percent(record: Record) -> int:
    value: Any = record.values.get("at")
    if isinstance(value, int) and not isinstance(value, bool):
        record = record._replace(values={**record.values, "at": str(value)})
    found = decimal_field(record, "at", 3, _KIND)
    if found is None or not 0 < found <= MAX_PERCENT:
        raise QuotaBookError(
            f"{record.where}: at is not a per cent of the quota, over 0 and at most {MAX_PERCENT:,}", hint="at = 80"
        )
    return int(found.scaleb(3))


def _tell(names: object, where: str) -> tuple[str, ...]:
    """Return who is told. What is no name is not shown: it may be an address with a password in it."""
    if not isinstance(names, list) or len(names) > MAX_TOLD:
        raise QuotaBookError(f"{where}: tell is not a list of names", hint='tell = ["vision-leads"]')
    for number, name in enumerate(names, 1):
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise QuotaBookError(
                f"{where}: tell: name {number} is not one",
                hint="a name such as vision-leads; its address is in the collector's settings alone",
            )
    return tuple(dict.fromkeys(names))


def _refuse_two(quotas: tuple[Quota, ...], source: str) -> None:
    """Raise QuotaBookError where two entries of one quota hold at once: which was meant is unknown."""
    seen: dict[str, list[tuple[int, Quota]]] = {}
    for number, each in enumerate(quotas, 1):
        for before, other in seen.setdefault(each.key, []):
            if each.validity.meets(other.validity):
                raise QuotaBookError(
                    f"{source}: entries {before} and {number} are both the quota of {each.key}",
                    hint="let the earlier one end where the later one begins: to, from",
                )
        seen[each.key].append((number, each))
