"""Which periods a reader can choose, what they are called, and which earlier one is fair to compare with."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Final, Literal, NamedTuple

from dashboards.wording import month_name
from gpuledger.accounting.periods import Period, from_us, iso, month_of, parse_period
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.zones import find_zone

RECENT: Final = {"24h": ("Last 24 hours", US_PER_DAY), "7d": ("Last 7 days", 7 * US_PER_DAY)}
_MAX_MONTHS: Final = 24


class Choice(NamedTuple):
    """One entry of the period selector: what the address bar says, what people read, and the period itself."""

    slug: str
    name: str
    period: Period


def choices(first_us: int, until_us: int, zone: tzinfo = UTC) -> list[Choice]:
    """Return the months of `zone` that have data, newest first, then the recent past; `until_us`: where data ends."""
    months: list[Choice] = []
    at_us = max(first_us, until_us - 1)
    while len(months) < _MAX_MONTHS:
        month = month_of(at_us, zone)
        months.append(Choice(month.label, month_name(month.label), month))
        if month.start_us <= first_us:
            break
        at_us = month.start_us - 1
    end_us = -(-until_us // US_PER_HOUR) * US_PER_HOUR
    recent = [Choice(slug, name, _span(end_us - length, end_us)) for slug, (name, length) in RECENT.items()]
    return [*months, *recent]


def choose(slug: str | None, known: list[Choice], zone: tzinfo = UTC) -> Choice:
    """Return the choice that the address bar names; a period of its own is one more; else the newest month."""
    for choice in known:
        if choice.slug == slug:
            return choice
    if slug:
        try:
            period = parse_period(slug, zone)
        except ConfigError:
            return known[0]
        return Choice(slug, describe(period), period)
    return known[0]


def describe(period: Period) -> str:
    """Return `November 2026`, or `3 Nov 2026 to 9 Nov 2026`."""
    if _is_month(period):
        return month_name(period.label)
    zone = find_zone(period.zone)
    return f"{_day(period.start_us, zone)} to {_day(period.end_us - 1, zone)}"


def in_words(choice: Choice, until_us: int) -> str:
    """Return how a sentence ends: `in November`, `in November so far`, `in the last 7 days`."""
    if choice.slug in RECENT:
        return f"in the {choice.name[:1].lower()}{choice.name[1:]}"
    if _is_month(choice.period):
        month = choice.name.partition(" ")[0]
        return f"in {month} so far" if until_us < choice.period.end_us else f"in {month}"
    return f"from {choice.name}"


def earlier(choice: Choice, until_us: int) -> tuple[Period, str] | None:
    """Return the span before that is as long as what is known of `choice`, and its name; None where that is empty.

    A month that still runs is compared with the same days of the month before.
    """
    period = choice.period
    known_us = (min(period.end_us, until_us) - period.start_us) // US_PER_HOUR * US_PER_HOUR
    if known_us <= 0:
        return None
    if not _is_month(period):
        return _span(period.start_us - known_us, period.start_us), "the same time before"
    before = month_of(period.start_us - 1, find_zone(period.zone))
    name = month_name(before.label).partition(" ")[0]
    if until_us >= period.end_us:
        return before, name
    end_us = min(before.start_us + known_us, before.end_us)
    return _span(before.start_us, end_us), f"the same days of {name}"


def grain(period: Period, until_us: int) -> Literal["hour", "day"]:
    """Return `hour` for up to three days, else `day`."""
    return "hour" if min(period.end_us, until_us) - period.start_us <= 3 * US_PER_DAY else "day"


def _span(start_us: int, end_us: int) -> Period:
    return Period(start_us, end_us, f"{iso(start_us)}..{iso(end_us)}")


def _is_month(period: Period) -> bool:
    return len(period.label) == len("2026-11") and period.label[5:].isdigit()


def _day(at_us: int, zone: tzinfo) -> str:
    at = from_us(at_us).astimezone(zone)
    return f"{at.day} {at:%b %Y}"
