"""A table of jobs (CSV or Parquet) to records, read in chunks, its columns explained by a map."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from collector.imports.findings import Findings
from collector.imports.jobs import JobRecord, implausible
from collector.imports.lines import decode_lines
from collector.imports.slurm import NEVER_STARTED, NO_GPU, NO_TIME
from collector.imports.table_map import DURATION_UNITS, TableMap, require_columns
from collector.imports.times import LocalInstant, is_absent, localise, parse_time, resolve_run
from gpuledger.errors import ConfigError, ImportFileError

CHUNK_ROWS: Final = 20_000
_PER_SECOND: Final = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000, "nanoseconds": 1_000_000_000}


class TableRow(NamedTuple):
    """The mapped values of one line (CSV) or row (Parquet, counted from 1)."""

    line: int
    values: dict[str, Any]


def parse_table(path: Path, table_map: TableMap, findings: Findings) -> Iterator[JobRecord]:
    """Yield the jobs of a CSV or Parquet file that held GPUs; broken rows are reported with their line.

    Raises ConfigError where map and table do not fit, ImportFileError where the file cannot be read.
    """
    is_parquet = path.suffix.lower() in {".parquet", ".pq"}
    rows = _parquet_rows(path, table_map) if is_parquet else _csv_rows(path, table_map, findings)
    for row in rows:
        try:
            record = table_record(row, table_map, findings)
        except (ValueError, InvalidOperation, OverflowError) as error:
            findings.problem(row.line, str(error) or f"cannot be read: {type(error).__name__}")
            continue
        if record is not None:
            yield record


def table_record(row: TableRow, table_map: TableMap, findings: Findings) -> JobRecord | None:
    """Return the record of one row, or None (counted) where it held no GPU time; raises ValueError if broken."""
    values = row.values
    job = _text(values.get("job"))
    if not job:
        raise ValueError("the row names no job")
    start = _instant(values.get("start"), "start", table_map)
    if start is None:
        findings.skip(NEVER_STARTED)
        return None
    run = _run(values, start, table_map)
    gpus = _gpus(values.get("gpus"))
    nonsense = implausible(*run, gpus)
    if nonsense:
        raise ValueError(f"job {job}: {nonsense}")
    findings.saw(*run)
    if run[1] is not None and run[1] < run[0]:
        raise ValueError(f"job {job} ends before it starts")
    if not gpus or run[1] == run[0]:
        findings.skip(NO_TIME if gpus else NO_GPU)
        return None
    return JobRecord(
        job=job,
        cluster=_text(values.get("cluster")) or table_map.cluster,
        start_us=run[0],
        end_us=run[1],
        gpus=gpus,
        gpu_model=_text(values.get("model")) or table_map.model,
        pool=_text(values.get("pool")) or table_map.pool,
        line=row.line,
        **{field: _text(values.get(field)) for field in ("account", "user", "partition", "name", "state")},
    )


def _run(values: dict[str, Any], start: LocalInstant, table_map: TableMap) -> tuple[int, int | None]:
    if "end" in table_map.columns:
        return resolve_run(start, _instant(values.get("end"), "end", table_map), None)
    duration = values.get("duration")
    start_us = start.readings_us[0]
    if duration is None or is_absent(str(duration)):
        return start_us, None
    duration_us = _scaled(duration, DURATION_UNITS[table_map.units["duration"]], 1)
    return start_us, start_us + duration_us


def _instant(value: Any, field: str, table_map: TableMap) -> LocalInstant | None:  # noqa: ANN401 - a cell
    if value is None or (isinstance(value, str) and is_absent(value)):
        return None
    unit = table_map.units[field]
    if unit != "timestamp":
        return LocalInstant((_scaled(value, 1_000_000, _PER_SECOND[unit]),))
    if isinstance(value, datetime):
        return localise(value, table_map.zone)
    if isinstance(value, str) and not value.strip().isdigit():
        return parse_time(value, table_map.zone)
    raise ValueError(f"{field} is {value!r}: say in [units] what it counts")


def _scaled(value: Any, factor: int, divisor: int) -> int:  # noqa: ANN401 - a cell
    """Return `value * factor / divisor` to the nearest microsecond, exact for whole numbers."""
    if isinstance(value, int) and not isinstance(value, bool):
        number = Decimal(value)
    elif isinstance(value, float | str | Decimal):
        number = Decimal(str(value).strip())
    else:
        raise ValueError(f"{value!r} is not a number")  # noqa: TRY004 - the log is wrong, not the call
    if not number.is_finite():
        raise ValueError(f"{value!r} is not a number")
    return int((number * factor / divisor).to_integral_value(ROUND_HALF_EVEN))


def _gpus(value: Any) -> int:  # noqa: ANN401 - a cell
    if value is None or value == "":
        return 0
    number = Decimal(str(value).strip())
    if number != number.to_integral_value() or number < 0:
        raise ValueError(f"{value} is not a number of GPUs")
    return int(number)


def _text(value: Any) -> str:  # noqa: ANN401 - a cell
    return "" if value is None else str(value).strip()


def _parquet_rows(path: Path, table_map: TableMap) -> Iterator[TableRow]:
    try:
        with pq.ParquetFile(path) as file:
            require_columns(table_map, file.schema_arrow.names)
            wanted = sorted(set(table_map.columns.values()))
            number = 0
            for batch in file.iter_batches(batch_size=CHUNK_ROWS, columns=wanted):
                cells = {name: _cells(batch.column(name)) for name in wanted}
                for i in range(batch.num_rows):
                    number += 1
                    yield TableRow(number, {field: cells[name][i] for field, name in table_map.columns.items()})
    except (pa.ArrowException, OSError) as error:
        raise ImportFileError(f"cannot read {path}: {error}", hint="is it a Parquet file, and complete?") from error


def _cells(column: Any) -> list[Any]:  # noqa: ANN401 - an Arrow array
    """Return Python values; timestamps become microseconds first, which is all that the ledger keeps."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    cells: list[Any] = column.to_pylist()
    return cells


def _csv_rows(path: Path, table_map: TableMap, findings: Findings) -> Iterator[TableRow]:
    if len(table_map.delimiter or ",") != 1:
        raise ConfigError(
            f"delimiter in {table_map.source} is {table_map.delimiter!r}",
            hint="a CSV file has one character between cells",
        )
    try:
        with path.open("rb") as file:
            reader = csv.reader(_texts(file, findings), delimiter=table_map.delimiter or ",")
            header = next(reader, None)
            if header is None:
                raise ImportFileError(f"{path} is empty", hint="its first line names the columns")
            require_columns(table_map, header)
            position = {field: header.index(name) for field, name in table_map.columns.items()}
            yield from _csv_body(reader, len(header), position, findings)
    except OSError as error:
        raise ImportFileError(f"cannot read {path}: {error.strerror}", hint="give the path of a CSV file") from error


def _csv_body(reader: Any, width: int, position: dict[str, int], findings: Findings) -> Iterator[TableRow]:  # noqa: ANN401
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            findings.problem(line, f"not CSV: {error}")
            continue
        if not cells:
            continue
        if len(cells) != width:
            findings.problem(line, f"has {len(cells)} of {width} columns")
            continue
        yield TableRow(line, {field: cells[i] for field, i in position.items()})


def _texts(lines: Iterable[bytes], findings: Findings) -> Iterator[str]:
    for _, text in decode_lines(lines, findings):
        yield f"{text}\n"
