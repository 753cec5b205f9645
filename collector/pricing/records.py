"""Text of a TOML or CSV file into numbered records; whatever is wrong is said with its line or entry."""

from __future__ import annotations

import csv
import difflib
import io
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, NamedTuple

from gpuledger.errors import ConfigError, GpuLedgerError

FileFormat = Literal["toml", "csv"]
_FORMATS: Final[dict[str, FileFormat]] = {
    "toml": "toml",
    "application/toml": "toml",
    "csv": "csv",
    "text/csv": "csv",
}


class Record(NamedTuple):
    """One entry of a file: where it stands, and its values by key (of TOML types, or all text)."""

    where: str
    values: dict[str, Any]


class Document(NamedTuple):
    """What a file holds: settings at its top (TOML only) and its records."""

    settings: dict[str, Any]
    records: list[Record]


class FileKind(NamedTuple):
    """What is being read: its name in messages, the TOML table of its records, and the error to raise."""

    name: str
    table: str
    error: type[GpuLedgerError]
    example: str


def file_format(name_or_media_type: str) -> FileFormat:
    """Return the format that a file's name or a media type tells; raises ConfigError where it tells none."""
    media_type = name_or_media_type.partition(";")[0].strip().lower()
    known = _FORMATS.get(media_type) or _FORMATS.get(media_type.rpartition(".")[2])
    if known is None:
        raise ConfigError(
            f'"{name_or_media_type}" is neither TOML nor CSV',
            hint="name the file *.toml or *.csv, or send application/toml or text/csv",
        )
    return known


def read_document(content: bytes, as_format: FileFormat, source: str, kind: FileKind) -> Document:
    """Return the records of a file; raises `kind.error` where it cannot be read or has none."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise kind.error(f"{source}: line {line}: not UTF-8 text", hint="save the file as UTF-8") from error
    document = _read_toml(text, source, kind) if as_format == "toml" else _read_csv(text, source, kind)
    if not document.records:
        raise kind.error(f"{source}: no {kind.name} in it", hint=kind.example)
    return document


def refuse_unknown(keys: Iterable[str], known: Sequence[str], where: str, kind: FileKind) -> None:
    """Raise `kind.error` for the first key that is not known, with the nearest that is."""
    for key in keys:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            meant = f'did you mean "{near[0]}"? ' if near else ""
            raise kind.error(f'{where}: unknown key "{key}"', hint=f"{meant}known keys: {', '.join(known)}")


def _read_toml(text: str, source: str, kind: FileKind) -> Document:
    try:
        settings = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # beside bad TOML: a number of thousands of digits, deep nesting
        raise kind.error(f"{source}: not valid TOML: {error}", hint=kind.example) from error
    entries = settings.pop(kind.table, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise kind.error(f'{source}: "{kind.table}" is not a list of tables', hint=kind.example)
    return Document(settings, [Record(f"{source}: entry {n}", entry) for n, entry in enumerate(entries, 1)])


def _read_csv(text: str, source: str, kind: FileKind) -> Document:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    records: list[Record] = []
    try:
        for row in reader:
            where = f"{source}: line {reader.line_num}"
            if None in row or None in row.values():
                raise kind.error(
                    f"{where}: the line has not as many fields as the header ({len(reader.fieldnames or ())})",
                    hint="leave a field empty rather than out, and quote text that holds a comma",
                )
            values = {key.strip(): value.strip() for key, value in row.items()}
            records.append(Record(where, {key: value for key, value in values.items() if value}))
    except csv.Error as error:
        raise kind.error(
            f"{source}: line {reader.line_num}: not valid CSV: {error}", hint="is a quote missing there, or before?"
        ) from error
    header = [name.strip() for name in reader.fieldnames or ()]
    if len(set(header)) != len(header):
        raise kind.error(f"{source}: line 1: a column appears twice", hint="remove one of the two")
    # every record knows the header, so that an unknown column is found even where it is empty throughout
    return Document({"columns": header}, records)
