"""How an answer leaves the program: a table for people, or one JSON, CSV or Parquet document for programs."""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console, RenderableType

from gpuledger.cli.extras import needs
from gpuledger.errors import ConfigError, GpuLedgerError
from gpuledger.rows import Row, csv_bytes, flat_rows, with_context

Answer = Mapping[str, Any]
PLAIN_WIDTH: Final = 120


def emit(args: argparse.Namespace, answer: Answer, table: Callable[[Answer], RenderableType]) -> None:
    """Write `answer` as `--format` says; `table` draws it for people."""
    chosen = args.format or _default_format(args.output)
    if chosen == "parquet":
        _write_parquet(args.output, _rows_of(answer))
    elif chosen == "table":
        _write_text(args.output, table(answer))
    else:
        data = csv_bytes(*flat_rows(_rows_of(answer))) if chosen == "csv" else _json(answer)
        write_bytes(args.output, data)


def console() -> Console:
    """Return the console that tables are drawn on."""
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(width=width, highlight=False, soft_wrap=False)


def progress_console() -> Console:
    """Return the console for progress and remarks: stderr, so that stdout stays one document."""
    return Console(stderr=True, highlight=False)


def _default_format(output: Path | None) -> str:
    if output is not None:
        suffix = output.suffix.removeprefix(".")
        return suffix if suffix in {"json", "csv", "parquet"} else "json"
    return "table" if sys.stdout.isatty() else "json"


def _rows_of(answer: Answer) -> Sequence[Row]:
    rows = answer.get("rows")
    return with_context(answer, rows) if isinstance(rows, list) else [answer]


def _json(answer: Answer) -> bytes:
    return msgspec.json.format(msgspec.json.encode(answer), indent=2) + b"\n"


def write_bytes(path: Path | None, data: bytes) -> None:
    """Write `data` to a file, or to standard output where there is none. Raises where it cannot be written."""
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
    write_bytes(path, text.getvalue().encode())


def _write_parquet(path: Path | None, rows: Sequence[Row]) -> None:
    if path is None:
        raise ConfigError("parquet is binary and needs a file", hint="add --output FILE.parquet")
    with needs("collector", "--format parquet"):
        import pyarrow as pa
        from pyarrow import parquet
    try:
        columns, flat = flat_rows(rows)
        parquet.write_table(pa.table({name: [row[name] for row in flat] for name in columns}), path)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> GpuLedgerError:
    return GpuLedgerError(f"cannot write {path}: {error.strerror}", hint="give a folder that exists and is yours")
