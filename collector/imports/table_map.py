"""The TOML map that says what the columns of a job table mean, and what a site knows of its pools.

`[columns]` gives the column of each field (or `cluster`, `pool`, `model` as constants at the top), `[units]` how times
are written, `[capacity]` GPUs of a pool, `[models]` the full name of a model. Maps for Slurm logs have no columns;
`fields` lists those of `sacct` text without a header.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from collector.imports.jobs import PoolFacts
from collector.imports.times import load_zone
from gpuledger.errors import ConfigError
from gpuledger.wire import MAX_UNITS

FIELDS: Final = (
    "job", "start", "end", "duration", "gpus", "model", "cluster", "account", "user", "partition", "name", "state",
    "pool",
)  # fmt: skip
INSTANT_UNITS: Final = ("timestamp", "seconds", "milliseconds", "microseconds", "nanoseconds")
DURATION_UNITS: Final = {
    "microseconds": 1,
    "milliseconds": 1_000,
    "seconds": 1_000_000,
    "minutes": 60_000_000,
    "hours": 3_600_000_000,
}
_CONSTANTS: Final = ("cluster", "zone", "pool", "model", "delimiter")
_LISTS: Final = ("fields",)
_SECTIONS: Final = ("columns", "units", "capacity", "models")


class TableMap(msgspec.Struct, frozen=True):
    """A checked map. `columns` names a column of the table for each field that it has."""

    zone: ZoneInfo
    source: str
    columns: dict[str, str] = {}
    units: dict[str, str] = {}
    facts: PoolFacts = PoolFacts()
    cluster: str = ""
    pool: str = ""
    model: str = ""
    delimiter: str = ""
    fields: tuple[str, ...] = ()

    def in_cluster(self, cluster: str) -> TableMap:
        """Return the map for jobs of `cluster`, where their rows name none."""
        return msgspec.structs.replace(self, cluster=cluster)


def read_map(path: Path, *, zone: str = "") -> TableMap:
    """Return the map in a file; `zone` overrides its own. Raises ConfigError on anything that is not understood."""
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the map {path}: {error}", hint="give the path of a TOML file") from error
    return parse_map(content, path.name, zone=zone)


def parse_map(content: str, source: str, *, zone: str = "") -> TableMap:
    """Return the map in TOML text."""
    try:
        document = tomllib.loads(content)
    except (ValueError, RecursionError) as error:  # beside bad TOML: huge numbers, deep nesting
        raise ConfigError(
            f"{source} is not TOML: {error}", hint="text needs quotes; sections look like [columns]"
        ) from error
    _refuse_unknown(document, (*_CONSTANTS, *_LISTS, *_SECTIONS), source)
    texts = {key: _text(document[key], f"{key} in {source}") for key in _CONSTANTS if key in document}
    sections = {key: _section(document, key, source) for key in _SECTIONS}
    columns = {key: _text(value, f"[columns] {key} in {source}") for key, value in sections["columns"].items()}
    _refuse_unknown(columns, FIELDS, f"[columns] of {source}")
    named_zone = zone or texts.pop("zone", "") or "UTC"
    texts.pop("zone", None)
    return TableMap(
        zone=load_zone(named_zone),
        source=source,
        columns=columns,
        units=_units(sections["units"], columns, source),
        facts=PoolFacts(
            capacity={
                key: _whole(value, f"[capacity] {key} in {source}") for key, value in sections["capacity"].items()
            },
            models={key: _text(value, f"[models] {key} in {source}") for key, value in sections["models"].items()},
        ),
        fields=_texts(document.get("fields", []), f"fields in {source}"),
        **texts,
    )


def require_columns(table_map: TableMap, present: Iterable[str]) -> None:
    """Raise ConfigError where the map lacks a field that every job needs, or names a column that the table lacks."""
    columns = table_map.columns
    for field in ("job", "start", "gpus"):
        if field not in columns:
            raise ConfigError(f"[columns] of {table_map.source} has no {field}", hint=f'add {field} = "<its column>"')
    if ("end" in columns) == ("duration" in columns):
        raise ConfigError(f"[columns] of {table_map.source} needs either end or duration", hint="give one of the two")
    there = list(present)
    unknown = sorted(set(columns.values()) - set(there))
    if unknown:
        close = difflib.get_close_matches(unknown[0], there, n=1)
        nearest = f'did you mean "{close[0]}"? ' if close else ""
        raise ConfigError(
            f"the table has no column {', '.join(map(repr, unknown))}, which {table_map.source} names",
            hint=f"{nearest}its columns are: {', '.join(there)}",
        )


def _units(given: dict[str, Any], columns: dict[str, str], source: str) -> dict[str, str]:
    known = {"start": INSTANT_UNITS, "end": INSTANT_UNITS, "duration": tuple(DURATION_UNITS)}
    units = {"start": "timestamp", "end": "timestamp", "duration": "seconds"}
    _refuse_unknown(given, known, f"[units] of {source}")
    for key, value in given.items():
        if key not in columns:
            raise ConfigError(
                f"[units] of {source} has {key}, which [columns] has not", hint="remove it, or name its column"
            )
        _refuse_unknown([_text(value, f"[units] {key} in {source}")], known[key], f"[units] {key} of {source}")
        units[key] = value
    return units


def _section(document: dict[str, Any], key: str, source: str) -> dict[str, Any]:
    section = document.get(key, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{key} in {source} is not a section", hint=f"write [{key}] and its entries below")
    return section


def _refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
            hint = f'did you mean "{close[0]}"?' if close else f"known here: {', '.join(names)}"
            raise ConfigError(f'unknown "{name}" in {where}', hint=hint)


def _text(value: Any, where: str) -> str:  # noqa: ANN401 - a TOML value
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where} is {value!r}, not text", hint="write it in quotes")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:  # noqa: ANN401 - a TOML value
    if not isinstance(value, list):
        raise ConfigError(f"{where} is {value!r}, not a list", hint='write it like ["JobID", "State"]')
    return tuple(_text(item, where) for item in value)


def _whole(value: Any, where: str) -> int:  # noqa: ANN401 - a TOML value
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_UNITS:
        raise ConfigError(
            f"{where} is {value!r}, not a number of GPUs", hint=f"write a whole number from 1 to {MAX_UNITS}"
        )
    return value
