"""Carbon intensity of the grid: a CSV file of regions, hours and grams per kilowatt-hour, and its import.

Columns: `region`, `g_per_kwh`, and `hour` (on the hour, UTC) or `time`: then the readings within an hour are averaged,
as an exact fraction that is rounded once, half to even, to a millionth of a gram.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import Final, NamedTuple

import pyarrow as pa

from collector.audit.log import record as audit
from collector.ledger.store import Ledger
from collector.pricing.fields import MAX_CARBON, decimal_field, instant_field, required_text
from collector.pricing.imports import ImportReport
from collector.pricing.records import FileFormat, FileKind, Record, read_document, refuse_unknown
from collector.pricing.stored import newest_prices
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import PriceBookError

_KIND: Final = FileKind(
    "intensity",
    "intensity",
    PriceBookError,
    "a line is a region, an hour and grams per kilowatt-hour: region,hour,g_per_kwh",
)
_SCHEMA: Final = pa.schema([("region", pa.string()), ("hour_us", pa.int64()), ("g_per_kwh", pa.decimal128(18, 6))])
_MILLION: Final = 1_000_000


class CarbonHour(NamedTuple):
    """What a kilowatt-hour of one region's grid emitted in one hour, in grams of carbon dioxide equivalent."""

    region: str
    hour_us: int
    g_per_kwh: Decimal


def parse_carbon(content: bytes, as_format: FileFormat, source: str) -> list[CarbonHour]:
    """Return the hours in a file, by region and hour; raises PriceBookError that names the line and the next step."""
    if as_format != "csv":
        raise PriceBookError(f"{source}: carbon intensities are CSV", hint=_KIND.example)
    document = read_document(content, as_format, source, _KIND)
    columns = document.settings["columns"]
    clock = "time" if "time" in columns else "hour"
    refuse_unknown(columns, ("region", clock, "g_per_kwh"), f"{source}: line 1", _KIND)
    readings: defaultdict[tuple[str, int], dict[int, Fraction]] = defaultdict(dict)
    for record in document.records:
        at_us = instant_field(record, clock, _KIND)
        if at_us is None:
            raise PriceBookError(f"{record.where}: {clock} is missing", hint=_KIND.example)
        if clock == "hour" and at_us % US_PER_HOUR:
            raise PriceBookError(
                f"{record.where}: hour {iso(at_us)} is not on the hour",
                hint="call the column time: then the readings of an hour are averaged",
            )
        hour = readings[required_text(record, "region", _KIND), at_us // US_PER_HOUR * US_PER_HOUR]
        if at_us in hour:
            raise PriceBookError(f"{record.where}: {iso(at_us)} is there twice", hint="remove one of the two lines")
        hour[at_us] = _intensity(record)
    return [CarbonHour(*key, _mean(hour)) for key, hour in sorted(readings.items())]


def import_carbon(
    ledger: Ledger, content: bytes, as_format: FileFormat, *, source: str, imported_us: int
) -> ImportReport:
    """Store the hours of a file; where an hour is known already, the new value counts. No charge changes.

    Raises PriceBookError where the file cannot be used; then nothing is stored.
    """
    hours = parse_carbon(content, as_format, source)
    digest = hashlib.sha256(content).digest()
    with ledger.transaction() as session:
        newest = session.execute("carbon_newest").to_pylist()
        prices = newest_prices(session)
        named = {entry.carbon_region for entry in prices.book.entries} if prices else set()
        warnings = [
            f'no price entry names the region "{region}": set its carbon_region'
            for region in sorted({hour.region for hour in hours} - named)
        ]
        if newest and newest[0]["digest"] == digest:
            return ImportReport(newest[0]["carbon_version"], len(hours), changed=False, warnings=warnings)
        number = newest[0]["carbon_version"] + 1 if newest else 1
        facts = {"carbon_version": number, "imported_us": imported_us, "source": source, "digest": digest}
        session.execute("carbon_insert", facts)
        rows = pa.Table.from_pylist([hour._asdict() for hour in hours], schema=_SCHEMA)
        session.execute("carbon_insert_hours", {"carbon_version": number}, {"new_hours": rows})
        audit(session, ledger.now_us(), "carbon.import", f"carbon {number}", {"source": source, "sha256": digest.hex()})
    return ImportReport(number, len(hours), changed=True, warnings=warnings)


def _intensity(record: Record) -> Fraction:
    intensity = decimal_field(record, "g_per_kwh", 30, _KIND)
    if intensity is None:
        raise PriceBookError(f"{record.where}: g_per_kwh is missing", hint="leave the whole line out")
    if intensity > MAX_CARBON:
        raise PriceBookError(f"{record.where}: g_per_kwh {intensity} is over {MAX_CARBON}", hint="grams, not kilograms")
    return Fraction(intensity)


def _mean(readings: dict[int, Fraction]) -> Decimal:
    mean = sum(readings.values(), Fraction(0)) / len(readings)
    return Decimal(round(mean * _MILLION)).scaleb(-6)
