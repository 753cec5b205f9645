"""The gap between what each team held and what it used, by cause; the parts sum to it exactly."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.policies.adjusters import sums_of
from collector.queries.figures import Span, cost_of, hours, instant, money, span
from collector.queries.standing import standing
from gpuledger.accounting.gap import Gap, gaps_of
from gpuledger.accounting.held import PLATFORM_TEAM, Team
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.accounting.policybook import PolicyBook


class GapRow(msgspec.Struct, frozen=True):
    """One team by both views: `allocation_cost` = `usage_cost` + `gap`, and `gap` is the sum of `parts`.

    `beyond_share` is less than zero: a shared device was used for more than was held of it. An empty team is what no
    owner rule names. All amounts are None where nothing that it held has a price.
    """

    organisation: str
    department: str
    team: str
    gpu_hours: float
    active_gpu_hours: float
    unpriced_gpu_hours: float
    allocation_cost: str | None
    usage_cost: str | None
    gap: str | None
    parts: dict[str, str]


class Gaps(msgspec.Struct, frozen=True):
    """All teams that held anything, the widest gap first, and their sum."""

    currency: str | None
    period: Span
    rows: list[GapRow]
    total: GapRow
    as_of: str | None
    final: bool


def gap(ledger: Ledger, period: Period) -> Gaps:
    """Return how far what was held and what was used of it lie apart, by team. Raises ConfigError off the hour."""
    require_hours(period)
    now = standing(ledger, period)
    with ledger.snapshot() as session:
        found = gaps_of(sums_of(session, period, PolicyBook()))
    total = Gap()
    for each in found.values():
        _sum(total, each)
    held = [(team, each) for team, each in found.items() if each.part_us]  # a record may be of no time
    ordered = sorted(held, key=lambda item: (-item[1].gap_quanta, item[0]))
    return Gaps(
        currency=now.currency,
        period=span(period),
        rows=[_row(team, each) for team, each in ordered],
        total=_row(PLATFORM_TEAM, total),
        as_of=instant(now.known_until_us),
        final=now.final,
    )


def _sum(total: Gap, other: Gap) -> None:
    for name in ("allocation_quanta", "usage_quanta", "part_us", "active_part_us", "unpriced_part_us"):
        setattr(total, name, getattr(total, name) + getattr(other, name))
    for cause, quanta in other.parts.items():
        total.parts[cause] += quanta


def _row(team: Team, found: Gap) -> GapRow:
    unknown = cost_of(found.part_us, found.unpriced_part_us, 0) is None
    return GapRow(
        *team,
        gpu_hours=hours(found.part_us),
        active_gpu_hours=hours(found.active_part_us),
        unpriced_gpu_hours=hours(found.unpriced_part_us),
        allocation_cost=None if unknown else money(found.allocation_quanta),
        usage_cost=None if unknown else money(found.usage_quanta),
        gap=None if unknown else money(found.gap_quanta),
        parts={
            cause: money(quanta) or ""
            for cause, quanta in sorted(found.parts.items(), key=lambda item: (-item[1], item[0]))
        },
    )
