"""How an answer leaves the program: a table for people, or one JSON, CSV or Parquet document for programs."""

from __future__ import annotations

import argparse
import csv
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType

from gpuledger.cli.extras import needs
from gpuledger.errors import ConfigError, GpuLedgerError

Answer = Mapping[str, Any]
Row = Mapping[str, Any]
PLAIN_WIDTH: Final = 120


def emit(
    args: argparse.Namespace,
    answer: Answer,
    table: Callable[[Answer], RenderableType],
    rows: Callable[[Answer], Sequence[Row]] | None = None,
) -> None:
    """Write `answer` as `--format` says; `table` draws it for people, `rows` lays it out flat for CSV and Parquet."""
    chosen = args.format or _default_format(args.output)
    flat = rows or _rows_of
    if chosen == "parquet":
        _write_parquet(args.output, flat(answer))
    elif chosen == "table":
        _write_text(args.output, table(answer))
    else:
        data = _csv(flat(answer)) if chosen == "csv" else _json(answer)
        _write_bytes(args.output, data)


def console() -> Console:
    """Return the console that tables are drawn on."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def progress_console() -> Console:
    """Return the console for progress and remarks: stderr, so that stdout stays one document."""
    return Console(stderr=True, highlight=False)


def flatten(row: Row, prefix: str = "") -> dict[str, Any]:
    """Return one level of columns: `states: {idle: 1}` becomes `states_idle: 1`."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}_")
        else:
            flat[prefix + name] = value
    return flat


def _default_format(output: Path | None) -> str:
    if output is not None:
        suffix = output.suffix.removeprefix(".")
        return suffix if suffix in {"json", "csv", "parquet"} else "json"
    return "table" if sys.stdout.isatty() else "json"


def _rows_of(answer: Answer) -> Sequence[Row]:
    rows = answer.get("rows")
    return rows if isinstance(rows, list) else [answer]


def _json(answer: Answer) -> bytes:
    return msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"


def _csv(rows: Sequence[Row]) -> bytes:
    flat = [flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    return text.getvalue().encode()


def _write_bytes(path: Path | None, data: bytes) -> None:
    if path is None:
        sys.stdout.write(data.decode())
        return
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _unwritable(path, error) from error


def _write_text(path: Path | None, drawn: RenderableType) -> None:
    if path is None:
        console().print(drawn)
        return
    text = io.StringIO()
    Console(file=text, width=PLAIN_WIDTH, highlight=False).print(drawn)
    _write_bytes(path, text.getvalue().encode())


def _write_parquet(path: Path | None, rows: Sequence[Row]) -> None:
    if path is None:
        raise ConfigError("parquet is binary and needs a file", hint="add --output FILE.parquet")
    with needs("collector", "--format parquet"):
        import pyarrow as pa
        from pyarrow import parquet
    try:
        parquet.write_table(pa.Table.from_pylist([flatten(row) for row in rows]), path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> GpuLedgerError:
    return GpuLedgerError(f"cannot write {path}: {error.strerror}", hint="give a folder that exists and is yours")
