"""The lines of `sacct -P` put together into rows: which separator, which columns, which lines belong to one job.

`sacct` escapes nothing, so that a job name may hold the separator or a line break. A line that does not fit is tried
with its surplus in each free-text column, and joined with the lines after it; what then fits in exactly one way is
taken, everything else is reported with its line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from collector.imports.findings import Findings
from collector.imports.tres import TRES_SHAPE
from gpuledger.errors import ImportFileError

DEFAULT_DELIMITER: Final = "|"
MAX_LINES_OF_A_ROW: Final = 50
REQUIRED: Final = ("state", "start", "end", "alloctres")
ADVICE: Final = (
    "export with: sacct -a -D -P -S FROM -E TO "
    "-o JobID,Cluster,Account,User,Partition,State,Start,End,ElapsedRaw,AllocTRES,JobName"
)
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_FREE_TEXT: Final = (
    "jobname", "submitline", "comment", "admincomment", "systemcomment", "extra", "workdir", "constraints", "wckey",
    "reason", "stdout", "stderr", "stdin", "failednode", "licenses",
)  # fmt: skip
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*|\d{9,11}|Unknown|None|N/A|", re.IGNORECASE)
_JOB_ID: Final = re.compile(r"\d+(?:_(?:\d+|\[[^\]]*\]))?(?:\+\d+)?(?:\.[^\s|]+)?")
_NUMBER: Final = re.compile(r"\d*")
_SHAPES: Final = {
    "jobid": _JOB_ID,
    "jobidraw": _JOB_ID,
    "state": re.compile(r"[A-Z_]+(?: by \S+)?\+?"),
    "start": _TIME,
    "end": _TIME,
    "submit": _TIME,
    "eligible": _TIME,
    "elapsedraw": _NUMBER,
    "alloctres": TRES_SHAPE,
    "user": re.compile(r"\S*"),
    "account": re.compile(r"\S*"),
    "cluster": re.compile(r"\S*"),
    "partition": re.compile(r"\S*"),
    "nnodes": _NUMBER,
    "alloccpus": _NUMBER,
    "ncpus": _NUMBER,
    "uid": _NUMBER,
}


class Layout(NamedTuple):
    """The columns of a file, by lower-case name, and what separates them."""

    columns: tuple[str, ...]
    delimiter: str
    header: str  # as written; empty where the columns were given

    def place_of(self, *names: str) -> int | None:
        """Return where the first of `names` that the file has stands."""
        for name in names:
            if name in self.columns:
                return self.columns.index(name)
        return None


class Row(NamedTuple):
    """One record: its fields in the order of the layout, and the line where it starts."""

    line: int
    fields: list[str]


class _Fit(NamedTuple):
    fields: list[str] | None
    found: int
    reason: str = ""


def decode_lines(lines: Iterable[bytes], findings: Findings) -> Iterator[tuple[int, str]]:
    """Yield numbered lines as text; bytes that are not UTF-8 become U+FFFD, and their line is reported."""
    for number, raw in enumerate(lines, 1):
        stripped = raw.rstrip(b"\r\n")
        try:
            yield number, stripped.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            findings.problem(
                number, f"not UTF-8 at byte {error.start + 1}: the bytes are shown as \N{REPLACEMENT CHARACTER}"
            )
            yield number, stripped.decode("utf-8", errors="replace")


def given_layout(fields: Iterable[str], delimiter: str) -> Layout:
    """Return the layout of a file whose columns were stated; raises ImportFileError where one is missing."""
    columns = tuple(field.partition("%")[0].strip().lower() for field in fields)
    return _checked(Layout(columns, delimiter or DEFAULT_DELIMITER, ""), "the given list of fields")


def header_layout(header: str, delimiter: str) -> Layout:
    """Return the layout that a header line shows; raises ImportFileError where it is none."""
    if not delimiter:
        between = set(_WORD.sub("\0", header).strip("\0").split("\0")) - {""}
        trailing = header[max((found.end() for found in _WORD.finditer(header)), default=0) :]
        separators = between - {trailing} if trailing and len(between) > 1 else between
        if len(separators) != 1:
            raise ImportFileError("the file does not start with the names of its columns", hint=_NO_HEADER)
        delimiter = separators.pop()
    columns = tuple(name.strip().lower() for name in header.removesuffix(delimiter).split(delimiter))
    if "jobid" not in columns and "jobidraw" not in columns:
        raise ImportFileError("the file does not start with the names of its columns", hint=_NO_HEADER)
    return _checked(Layout(columns, delimiter, header), "the header")


def assemble_rows(lines: Iterable[tuple[int, str]], layout: Layout, findings: Findings) -> Iterator[Row]:
    """Yield the rows in `lines`; every line ends up in a row or in a reported problem."""
    fitter = _Fitter(layout)
    pending: list[tuple[int, str]] = []
    for number, text in lines:
        if (not text and not pending) or (layout.header and text == layout.header):
            continue
        alone = fitter.fit(text)
        if alone.fields is not None:
            _report(pending, fitter, findings)
            pending = []
            yield Row(number, alone.fields)
            continue
        pending.append((number, text))
        broken, row = _joined(pending, fitter)
        _report(pending[:broken], fitter, findings)
        pending = [] if row else pending[broken:]
        if row:
            yield row
    _report(pending, fitter, findings)


def _joined(pending: list[tuple[int, str]], fitter: _Fitter) -> tuple[int, Row | None]:
    """Return how many of the first lines belong to no row, and the row that the others make once it is complete."""
    for first in range(len(pending)):
        fit = fitter.fit("\n".join(text for _, text in pending[first:]))
        if fit.fields is not None:
            return first, Row(pending[first][0], fit.fields)
        if fit.found < fitter.width and len(pending) - first <= MAX_LINES_OF_A_ROW:
            return first, None
    return len(pending), None


class _Fitter:
    """Fits the text of a row to a layout."""

    def __init__(self, layout: Layout) -> None:
        self.width = len(layout.columns)
        self._delimiter = layout.delimiter
        self._shapes = [(i, name, _SHAPES[name]) for i, name in enumerate(layout.columns) if name in _SHAPES]
        self._free = [i for i, name in enumerate(layout.columns) if name in _FREE_TEXT]
        self._essential = [i for i, name in enumerate(layout.columns) if name in _SHAPES]

    def fit(self, text: str) -> _Fit:
        """Return the fields of `text`, or how many there are and why they do not fit."""
        fields = text.split(self._delimiter)
        if len(fields) == self.width + 1 and not fields[-1]:
            fields.pop()
        if len(fields) == self.width:
            reason = self._misfit(fields)
            return _Fit(None if reason else fields, self.width, reason)
        if len(fields) > self.width:
            return self._absorb(fields)
        return _Fit(None, len(fields), f"has {len(fields)} of {self.width} columns")

    def _absorb(self, fields: list[str]) -> _Fit:
        """Give the surplus to the one free-text column with which the rest fits."""
        surplus = len(fields) - self.width
        fitting: dict[tuple[str, ...], list[str]] = {}
        for i in self._free:
            text = self._delimiter.join(fields[i : i + surplus + 1])
            candidate = [*fields[:i], text, *fields[i + surplus + 1 :]]
            if not self._misfit(candidate):
                fitting.setdefault(tuple(candidate[j] for j in self._essential), candidate)
        if len(fitting) == 1:
            return _Fit(next(iter(fitting.values())), len(fields))
        why = "and more than one way to read them" if fitting else "and none of its text columns takes the surplus"
        return _Fit(None, len(fields), f"has {len(fields)} columns instead of {self.width}, {why}")

    def _misfit(self, fields: list[str]) -> str:
        for i, name, shape in self._shapes:
            if not shape.fullmatch(fields[i]):
                return f"{name} cannot be {_shortened(fields[i])!r}"
        return ""


_NO_HEADER: Final = f"name the columns with --fields JobID,State,Start,End,AllocTRES,..., or {ADVICE}"


def _checked(layout: Layout, where: str) -> Layout:
    missing = [name for name in REQUIRED if name not in layout.columns]
    if layout.place_of("jobid", "jobidraw") is None:
        missing.insert(0, "jobid")
    if missing:
        raise ImportFileError(f"{where} has no {', '.join(missing)}", hint=ADVICE)
    return layout


def _report(lines: list[tuple[int, str]], fitter: _Fitter, findings: Findings) -> None:
    for number, text in lines:
        findings.problem(number, fitter.fit(text).reason)


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."
