"""Use against shares, as an answer: what each team held of what it has, borrowed, lent, and left idle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec

from collector.ledger.store import Ledger
from collector.periods.lending import Party, SharedHour, books_of, shared_hours
from collector.queries.figures import Span, hours, instant, ratio, span
from collector.queries.standing import standing
from gpuledger.accounting.loans import Settled
from gpuledger.accounting.periods import Period, require_hours
from gpuledger.accounting.shares import Scope, Team
from gpuledger.accounting.units import US_PER_HOUR


class QuotaRow(msgspec.Struct, frozen=True):
    """One team in one scope; a team without a name is whoever no owner rule names. `share_gpus` is its last share.

    `share_gpu_hours` are those of its share, `available_gpu_hours` what of it existed, worked and was seen. What it
    used is `own + borrowed + unowned + unlent`: within its share, on loan, of capacity that nobody owns, and of shares
    that do not lend. What was available is `own + lent + taken + idle`: its own use, loans to others, what others took
    without a loan, and what nobody held. `peak_gpus` is the most that it held in the mean of an hour.
    """

    cluster: str
    pool: str
    model: str
    organisation: str
    department: str
    team: str
    share_gpus: float | None
    share_gpu_hours: float
    available_gpu_hours: float
    used_gpu_hours: float
    used_ratio: float | None
    peak_gpus: float
    hours_above: int
    own_gpu_hours: float
    borrowed_gpu_hours: float
    unowned_gpu_hours: float
    unlent_gpu_hours: float
    lent_gpu_hours: float
    taken_gpu_hours: float
    idle_gpu_hours: float


class Quotas(msgspec.Struct, frozen=True):
    """Use against shares in a period, by the versions of the share book that it follows from."""

    period: Span
    share_versions: list[int]
    rows: list[QuotaRow]
    pending_hours: int
    as_of: str | None
    final: bool


_NOTHING: Final = Settled(0, 0, 0, 0, 0, 0, 0)


@dataclass(slots=True)
class _Sum:
    settled: Settled = _NOTHING
    promised: int = 0
    share_parts: int | None = None
    peak: int = 0
    hours_above: int = 0

    def add(self, party: Party, row: Settled) -> None:
        self.settled = Settled(*map(sum, zip(self.settled, row, strict=True)))
        self.peak = max(self.peak, row.used)
        self.hours_above += row.used > row.own
        if party.share is not None:
            self.share_parts = party.share.parts
            self.promised += party.share.parts * US_PER_HOUR


def quotas(ledger: Ledger, period: Period) -> Quotas:
    """Return use against shares in `period`. Raises ConfigError on a period off the hour."""
    require_hours(period)
    now = standing(ledger, period)
    sums: dict[tuple[Scope, Team], _Sum] = {}
    with ledger.snapshot() as session:
        books = books_of(session, period.interval)
        for each in books:
            for hour in shared_hours(session, each.span, each.shares.book):
                _add(sums, hour)
    return Quotas(
        period=span(period),
        share_versions=sorted({each.shares.version.number for each in books}),
        rows=[_row(scope, team, found) for (scope, team), found in sorted(sums.items(), key=lambda item: item[0])],
        pending_hours=now.pending_hours,
        as_of=instant(now.known_until_us),
        final=now.final,
    )


def _add(sums: dict[tuple[Scope, Team], _Sum], hour: SharedHour) -> None:
    for party, row in zip(hour.parties, hour.rows, strict=True):
        sums.setdefault((hour.scope, party.team), _Sum()).add(party, row)


def _row(scope: Scope, team: Team, found: _Sum) -> QuotaRow:
    row = found.settled
    return QuotaRow(
        **scope._asdict(),
        organisation=team[0],
        department=team[1],
        team=team[2],
        share_gpus=None if found.share_parts is None else hours(found.share_parts * US_PER_HOUR),
        share_gpu_hours=hours(found.promised),
        available_gpu_hours=hours(row.share),
        used_gpu_hours=hours(row.used),
        used_ratio=ratio(row.used, row.share),
        peak_gpus=hours(found.peak),
        hours_above=found.hours_above,
        own_gpu_hours=hours(row.own),
        borrowed_gpu_hours=hours(row.borrowed),
        unowned_gpu_hours=hours(row.unowned),
        unlent_gpu_hours=hours(row.unlent),
        lent_gpu_hours=hours(row.lent),
        taken_gpu_hours=hours(row.taken),
        idle_gpu_hours=hours(row.idle),
    )
