"""The share file: which team has how many GPUs, as TOML (`[[share]]` tables) or CSV (one line a share).

At the top of a TOML file stand `idle` and `unowned`, and the loan terms of shares that have none of their own. A file
is the whole book, not a change to it.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from collector.pricing.fields import MAX_MODEL, decimal_field, rate_field, required_text, text_field, validity_fields
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from gpuledger.accounting.shares import IDLE, UNOWNED, Scope, Share, ShareBook
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.errors import ShareBookError

TERMS: Final = ("loan_percent", "loan_rate")
KEYS: Final = (
    "organisation", "department", "team", "gpus", "cluster", "pool", "model", "lends", "lend_limit", *TERMS,
    "from", "to",
)  # fmt: skip
MAX_GPUS: Final = 10_000_000
MAX_PERCENT: Final = Decimal(1000)
_SETTINGS: Final = {"idle": IDLE, "unowned": UNOWNED}
_Terms = tuple[Decimal | None, int | None]  # a percentage, or a rate in quanta
_GPUS: Final = re.compile(r"[0-9]+(\.[0-9]+|/[1-9][0-9]*)?")
_SHARES: Final = FileKind(
    "share", "share", ShareBookError, 'a share needs a team and GPUs: [[share]] team = "vision", gpus = "16"'
)


def parse_share_book(content: bytes, as_format: FileFormat, source: str) -> ShareBook:
    """Return the share book in a file; raises ShareBookError that names the line or entry and the next step."""
    document = read_document(content, as_format, source, _SHARES)
    settings: dict[str, Any] = {}
    if as_format == "csv":
        refuse_unknown(document.settings["columns"], KEYS, f"{source}: line 1", _SHARES)
    else:
        settings = document.settings
        refuse_unknown(settings, ("share", *_SETTINGS, *TERMS), source, _SHARES)
    chosen = {key: _choice(settings, key, source) for key in _SETTINGS}
    terms = _terms(Record(source, settings))
    shares = [_share(record, terms) for record in document.records]
    try:
        return ShareBook(shares, **chosen)
    except ShareBookError as error:
        raise ShareBookError(f"{source}: {error.message}", hint=error.hint) from error


def gpu_parts_of(text: str) -> int | None:
    """Return how many parts `16`, `2.5` or `3/7` GPUs are; None where that is no number or no whole number of parts."""
    if not _GPUS.fullmatch(text) or len(text) > 20:
        return None
    parts = Fraction(text) * GPU_PARTS
    return int(parts) if parts.denominator == 1 else None


def _choice(settings: dict[str, Any], key: str, source: str) -> str:
    known = _SETTINGS[key]
    value = settings.get(key, known[0])
    if value not in known:
        raise ShareBookError(f"{source}: {key} is {value!r}", hint=f"one of: {', '.join(known)}")
    return str(value)


def _share(record: Record, terms: _Terms) -> Share:
    refuse_unknown(record.values, KEYS, record.where, _SHARES)
    from_us, to_us = validity_fields(record, _SHARES)
    lends = _yes(record, "lends")
    limit = _parts(record, "lend_limit") if record.values.get("lend_limit", "") != "" else None
    if limit is not None and not lends:
        raise ShareBookError(f"{record.where}: lend_limit for a share that does not lend", hint="leave one of them out")
    percent, rate_quanta = _terms(record) if any(key in record.values for key in TERMS) else terms
    return Share(
        team=required_text(record, "team", _SHARES),
        parts=_parts(record, "gpus"),
        scope=Scope(
            text_field(record, "cluster", _SHARES),
            text_field(record, "pool", _SHARES),
            text_field(record, "model", _SHARES, most=MAX_MODEL) or "*",
        ),
        organisation=text_field(record, "organisation", _SHARES),
        department=text_field(record, "department", _SHARES),
        lends=lends,
        lend_limit_parts=limit,
        loan_percent=percent,
        loan_rate_quanta=rate_quanta,
        from_us=from_us,
        to_us=to_us,
    )


def _terms(record: Record) -> _Terms:
    """Return what a loan of the share costs: a percentage, or a rate; both None where it costs nothing."""
    percent = decimal_field(record, "loan_percent", 6, _SHARES)
    if percent is not None and percent > MAX_PERCENT:
        raise ShareBookError(
            f"{record.where}: loan_percent {percent} is over {MAX_PERCENT}",
            hint="the percentage of the rate that a borrower pays to the lender on top",
        )
    if record.values.get("loan_rate", "") == "":
        return percent, None
    if percent is not None:
        raise ShareBookError(
            f"{record.where}: loan_percent and loan_rate are both given", hint="a loan has one price: leave one out"
        )
    return None, rate_field(record, "loan_rate", _SHARES)


def _parts(record: Record, key: str) -> int:
    value = record.values.get(key, "")
    where = f"{record.where}: {key}"
    if value == "":
        raise ShareBookError(f"{where} is missing", hint=_SHARES.example)
    whole = isinstance(value, int) and not isinstance(value, bool)
    text = str(value).strip() if whole or isinstance(value, str) else ""
    parts = gpu_parts_of(text)
    if parts is None:
        raise ShareBookError(
            f"{where} {value!r} is not a number of GPUs that is counted exactly",
            hint=f'write GPUs as "16", "2.5" or "3/7" (of a GPU with MIG), in steps of 1/{GPU_PARTS}',
        )
    if parts > MAX_GPUS * GPU_PARTS:
        raise ShareBookError(f"{where} {text} is over {MAX_GPUS:,}", hint="GPUs, not GPU-hours")
    return parts


def _yes(record: Record, key: str) -> bool:
    value = record.values.get(key, True)
    if value in (True, "true", "yes"):
        return True
    if value in (False, "false", "no"):
        return False
    raise ShareBookError(f"{record.where}: {key} is {value!r}", hint=f"{key} = true, or {key} = false")
