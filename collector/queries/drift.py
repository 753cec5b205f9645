"""Drift that was kept: comparisons that analytics made, stored as they were found; the newest of each dimension."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa

from collector.audit.canonical import Value
from collector.audit.log import record
from collector.ledger.store import Ledger
from collector.queries.figures import Span, span
from collector.queries.grouping import BY, choice
from gpuledger.accounting.periods import Period, iso, parse_instant
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import ConfigError

STANDS_DAYS: Final = 8  # a comparison that is made weekly is replaced by then; an older one says nothing of today
MOST_RESULTS: Final = 250
RESULTS: Final = pa.schema([
    *((name, pa.string()) for name in ("scope", "metric", "verdict")),
    *((name, pa.float64()) for name in ("score", "q", "reference_mean", "current_mean")),
])  # fmt: skip


class DriftResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that drifted: `scope` is whose figure (`team:vision`, `device:GPU-1`), `score` how far it moved.

    The score has no unit: the distance of the windows by the reference's scatter; of a device or a workload, the change
    as a share.
    """

    scope: str
    metric: str
    verdict: str
    score: float
    q: float | None = None
    reference_mean: float | None = None
    current_mean: float | None = None


class DriftRow(DriftResult, frozen=True, kw_only=True):
    """The same, with the comparison it is of."""

    by: str
    found: str
    reference: Span
    current: Span


class DriftRun(msgspec.Struct, frozen=True):
    """A comparison: when it was found, what shared its level, and how many results were not kept."""

    by: str
    found: str
    level: float
    tested: int
    results: int
    left_out: int


class KeptDrift(msgspec.Struct, frozen=True):
    """The newest comparison of each dimension that still stands, and what drifted in them, the furthest first."""

    runs: list[DriftRun]
    rows: list[DriftRow]


class DriftRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A comparison to keep: by what, its level, its windows (ISO 8601, half-open), and what drifted."""

    by: str
    level: float
    reference: tuple[str, str]
    current: tuple[str, str]
    tested: int
    results: list[DriftResult]
    left_out: int = 0


def keep_drift(ledger: Ledger, asked: DriftRequest) -> KeptDrift:
    """Store a comparison; return what stands now.

    Raises ConfigError on windows that are none, on a score that is no positive number, and on too many results.
    """
    choice("by", asked.by, BY)
    spans = [_window(name, each) for name, each in (("reference", asked.reference), ("current", asked.current))]
    _require(asked.results)
    if not 0 < asked.level < 1:
        raise ConfigError(f"a level of {asked.level} is not between 0 and 1", hint="0.05 is one false alarm in twenty")
    with ledger.transaction() as session:
        run_id = session.execute("drift_next").to_pylist()[0]["run_id"]
        run = {
            "run_id": run_id,
            "found_us": ledger.now_us(),
            "dimension": asked.by,
            "level": asked.level,
            "reference_from_us": spans[0].start_us,
            "reference_to_us": spans[0].end_us,
            "current_from_us": spans[1].start_us,
            "current_to_us": spans[1].end_us,
            "tested": asked.tested,
            "left_out": asked.left_out,
        }
        session.execute("drift_insert_run", run)
        table = pa.Table.from_pylist([msgspec.structs.asdict(each) for each in asked.results], schema=RESULTS)
        session.execute("drift_insert_results", {"run_id": run_id}, {"new_drift": table})
        said: dict[str, Value] = {"by": asked.by, "tested": asked.tested, "drifted": len(asked.results)}
        record(session, ledger.now_us(), "drift.keep", f"comparison {run_id}", said)
    return drift(ledger)


def drift(ledger: Ledger) -> KeptDrift:
    """Return the newest comparison of each dimension that is no older than STANDS_DAYS, and what drifted in it."""
    since_us = ledger.now_us() - STANDS_DAYS * US_PER_DAY
    found = ledger.execute("drift_newest", {"since_us": since_us}).to_pylist()
    rows = [
        DriftRow(
            **{name: row[name] for name in DriftResult.__struct_fields__},
            by=row["dimension"],
            found=iso(row["found_us"]),
            reference=_span(row["reference_from_us"], row["reference_to_us"]),
            current=_span(row["current_from_us"], row["current_to_us"]),
        )
        for row in found
        if row["scope"] is not None
    ]
    runs = {row["dimension"]: row for row in found}
    return KeptDrift([_run(row, sum(each.by == by for each in rows)) for by, row in runs.items()], rows)


def _run(row: dict[str, Any], results: int) -> DriftRun:
    return DriftRun(row["dimension"], iso(row["found_us"]), row["level"], row["tested"], results, row["left_out"])


def _require(results: Sequence[DriftResult]) -> None:
    if len(results) > MOST_RESULTS:
        raise ConfigError(f"{len(results)} results are more than are kept", hint=f"send the {MOST_RESULTS} largest")
    for each in results:
        if not (math.isfinite(each.score) and each.score > 0 and each.scope and each.metric):
            raise ConfigError(f"{each.scope or 'a result'} has no positive score", hint="send what drifted alone")


def _window(name: str, ends: tuple[str, str]) -> Period:
    start_us, end_us = (parse_instant(each) for each in ends)
    if end_us <= start_us:
        raise ConfigError(f"the {name} window ends where it begins, or before", hint="send FROM and TO")
    return Period(start_us, end_us, "..".join(ends))


def _span(start_us: int, end_us: int) -> Span:
    return span(Period(start_us, end_us, f"{iso(start_us)}..{iso(end_us)}"))
