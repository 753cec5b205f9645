"""Which whole days are compared for drift, and what has to be read for that. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from analytics.windows import LOOKBACK_DAYS, Span, whole_days
from gpuledger.accounting.periods import Period, iso, parse_instant, parse_period
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.errors import AnalysisError

CURRENT_DAYS: Final = 7
REFERENCE_DAYS: Final = 28


def choose_spans(status: Mapping[str, Any], period: str | None = None, against: str | None = None) -> tuple[Span, Span]:
    """Return the reference and the current window as whole days that are known.

    Without names: the last 7 days, and up to 28 before them. Raises AnalysisError where a window has none, or where the
    reference does not end before the current one begins.
    """
    if status["watermark"] is None:
        raise AnalysisError("the ledger holds no usage", hint="start an agent, or import jobs")
    known_us = parse_instant(status["watermark"])
    until_us = known_us // US_PER_DAY * US_PER_DAY
    current = whole_days(
        parse_period(period) if period else days(until_us - CURRENT_DAYS * US_PER_DAY, until_us), known_us
    )
    first_us = parse_instant(status["first_usage"])
    earlier = days(max(first_us, current.start_us - REFERENCE_DAYS * US_PER_DAY), current.start_us)
    reference = whole_days(parse_period(against) if against else earlier, known_us)
    if reference.end_us > current.start_us:
        raise AnalysisError(
            f"the reference ends at {iso(reference.end_us)}, the current window begins at {iso(current.start_us)}",
            hint="name an earlier period with --against",
        )
    return reference, current


def read_period(span: Span) -> Period:
    """Return what is read for a window: it, and the days before it in which its jobs may have begun."""
    return days(max(0, span.start_us - LOOKBACK_DAYS * US_PER_DAY), span.end_us)


def days(start_us: int, end_us: int) -> Period:
    """Return `[start_us, end_us)` as a period. Raises AnalysisError where that is empty."""
    if end_us <= start_us:
        raise AnalysisError("the ledger holds no whole days before the current window", hint="name one with --against")
    return Period(start_us, end_us, f"{iso(start_us)}..{iso(end_us)}")
