"""What endpoints served, from a file: a CSV of names and counts, or what Prometheus answered to an instant query."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import msgspec

from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_MINUTE, US_PER_SECOND
from gpuledger.errors import ConfigError

COLUMNS: Final = ("key", "count")
NO_LABEL: Final = 'name one with --label, such as "model_name", or sum by (label) in the query'


def read_counts(path: Path, label: str, end_us: int) -> dict[str, int]:
    """Return how much each key served in the period that ends at `end_us`, several rows of a key together.

    Counts of Prometheus are rounded, half to even, once for each key: `increase()` reckons to the ends of its range.
    Raises ConfigError on a file that is neither, on what is no count, and on an answer of another instant.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="name a CSV or JSON file") from error
    found = _prometheus(text, str(path), label, end_us) if text.lstrip().startswith("{") else _table(text, str(path))
    sums: dict[str, Fraction] = {}
    for key, count in found:
        sums[key] = sums.get(key, Fraction(0)) + count
    return {key: round(count) for key, count in sums.items()}


def _table(text: str, source: str) -> Iterable[tuple[str, Fraction]]:
    rows = csv.DictReader(text.splitlines())
    if tuple(rows.fieldnames or ()) != COLUMNS:
        raise ConfigError(f"{source} has not the columns {','.join(COLUMNS)}", hint="its first line names them")
    for number, row in enumerate(rows, start=2):
        count = row["count"]
        if not row["key"] or not count or not count.isascii() or not count.isdigit():
            raise ConfigError(f"{source}, line {number}: no key with a whole count", hint="such as: search,1200")
        yield row["key"], Fraction(int(count))


def _prometheus(text: str, source: str, label: str, end_us: int) -> Iterable[tuple[str, Fraction]]:
    try:
        answer = msgspec.json.decode(text)
        data = answer["data"]
        kind, series = data["resultType"], data["result"]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ConfigError(f"{source} is no answer of Prometheus", hint="save what /api/v1/query says") from error
    if kind != "vector":
        raise ConfigError(
            f"{source} holds a {kind}", hint="ask /api/v1/query (one instant) for increase(...[the period])"
        )
    for each in series:
        yield _key(each["metric"], label, source), _value(each["value"], source, end_us)


def _key(metric: Mapping[str, str], label: str, source: str) -> str:
    names = [name for name in metric if name != "__name__"]
    if label:
        names = [name for name in names if name == label]
    if len(names) != 1:
        raise ConfigError(f"{source}: a series has {len(names)} labels that may name what served", hint=NO_LABEL)
    return metric[names[0]]


def _value(sample: list[Any], source: str, end_us: int) -> Fraction:
    at_s, text = sample
    if abs(round(at_s * US_PER_SECOND) - end_us) > US_PER_MINUTE:
        raise ConfigError(
            f"{source} is of {iso(round(at_s) * US_PER_SECOND)}, the period ends at {iso(end_us)}",
            hint=f"ask with time={iso(end_us)}, and a range as long as the period",
        )
    value = float(text)
    if not math.isfinite(value) or value < 0:
        raise ConfigError(f'{source}: "{text}" is no count', hint="take increase() of a counter")
    return Fraction(value)
