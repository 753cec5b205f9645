"""Hours of shares: what each team held of each scope, whose that was, and what its loans cost; settled hour by hour.

Use is that of the hourly ledger, so it is averaged over the hour: a team that holds twice its share for half an hour
and nothing in the other half is not over. Time that was unavailable or unobserved is no capacity: nobody lends it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final, NamedTuple

import pyarrow as pa

from collector.ledger.database import Session
from collector.periods.closed import closed_periods
from collector.pricing.shares import StoredShares, newest_shares, shares_of_version
from collector.pricing.stored import newest_owners
from gpuledger.accounting.intervals import Interval, gaps
from gpuledger.accounting.loans import Loan, Settled, Stake, flat_price, percent_price, settle
from gpuledger.accounting.ownership import placeholders
from gpuledger.accounting.shares import UNOWNED_FIRST, Kind, Scope, Share, ShareBook, Team
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.accounting.validity import segments

SCOPE_SCHEMA: Final = pa.schema([
    *((name, pa.string()) for name in Kind._fields),
    *((name, pa.int64()) for name in ("scope", "from_us", "to_us")),
])  # fmt: skip


class Party(NamedTuple):
    """One team in one hour of a scope: its share, if it has one, what it held and what that cost.

    A team without a name is whoever held time that no owner rule names; the platform pays for it.
    """

    team: Team
    share: Share | None
    used: int
    cost_quanta: int


class PricedLoan(NamedTuple):
    """Who had how much of whose share (by their place among the parties), and what that costs; None: nothing."""

    loan: Loan
    price_quanta: int | None


class SharedHour(NamedTuple):
    """One hour of a scope. Sizes are microseconds x parts; `idle_us` and its cost are of all time that nobody held."""

    hour_us: int
    scope: Scope
    parties: list[Party]
    rows: list[Settled]  # one a party
    loans: list[PricedLoan]
    idle_us: int
    idle_quanta: int


class Books(NamedTuple):
    """A span of time and the version of the share book that holds in it."""

    span: Interval
    shares: StoredShares


def books_of(session: Session, whole: Interval) -> list[Books]:
    """Return the share books that answer for `whole`: of closed periods those that they pin, of the rest the newest."""
    closed = closed_periods(session)
    spans = [
        (Interval(max(each.from_us, whole.start_us), min(each.to_us, whole.end_us)), each.share_version)
        for each in closed
        if each.from_us < whole.end_us and whole.start_us < each.to_us
    ]
    found = [Books(span, shares_of_version(session, version)) for span, version in spans if version is not None]
    newest = newest_shares(session)
    if newest is not None:
        found += [Books(span, newest) for span in gaps([span for span, _ in spans], whole)]
    return sorted(found, key=lambda each: each.span.start_us)


def shared_hours(session: Session, span: Interval, book: ShareBook) -> Iterator[SharedHour]:
    """Yield every hour of every scope in `span` that has charges, in order of time and of scopes in the book."""
    numbered = {scope: number for number, scope in enumerate(book.scopes)}
    bounds = {"from_us": span.start_us, "to_us": span.end_us}
    placed = _placed(session, span, book, numbered)
    rows = session.execute("loan_hours", bounds, {"loan_scopes": placed}).to_pylist()
    settling = _Settling(book, names_of_shares(session, book, rows))
    for (hour_us, number), group in groupby(rows, key=lambda row: (row["hour_us"], row["scope"])):
        yield settling.hour(hour_us, book.scopes[number], list(group))


def _placed(session: Session, span: Interval, book: ShareBook, numbered: dict[Scope, int]) -> pa.Table:
    """Return which kind of devices is in which scope, from when until when."""
    kinds = [Kind(*(row[name] for name in Kind._fields)) for row in session.execute("share_devices").to_pylist()]
    rows = [
        {**kind._asdict(), "scope": numbered[scope], "from_us": start_us, "to_us": end_us}
        for start_us, end_us in segments(span, book.shares)
        for kind in kinds
        if (scope := book.scope_of(kind, start_us)) is not None
    ]
    return pa.Table.from_pylist(rows, schema=SCOPE_SCHEMA)


class _Settling:
    """Settles hours by a book; remembers which shares hold when, and whose they and the held time are."""

    def __init__(self, book: ShareBook, names: dict[Team, Team]) -> None:
        self._book = book
        self._names = names
        self._bounds = sorted({at for share in book.shares for at in share.validity if at is not None})
        self._valid: dict[tuple[Scope, int], list[Share]] = {}
        self._places: dict[tuple[Scope, int, Team], int | None] = {}

    def hour(self, hour_us: int, scope: Scope, rows: list[dict[str, Any]]) -> SharedHour:
        """Return one hour of a scope, settled."""
        parties = self._parties(hour_us, scope, [row for row in rows if row["held"]])
        free = [row for row in rows if not row["held"]]
        idle_us = sum(row["part_us"] for row in free)
        capacity = None if any(row["boundless"] for row in rows) else idle_us + sum(party.used for party in parties)
        stakes = [_stake(party) for party in parties]
        settled = settle(stakes, capacity, unowned_first=self._book.unowned == UNOWNED_FIRST)
        return SharedHour(
            hour_us=hour_us,
            scope=scope,
            parties=parties,
            rows=settled.rows,
            loans=[PricedLoan(loan, _price(loan, parties)) for loan in settled.loans],
            idle_us=idle_us,
            idle_quanta=sum(row["cost_quanta"] for row in free),
        )

    def _parties(self, hour_us: int, scope: Scope, held: list[dict[str, Any]]) -> list[Party]:
        """Return those who have a share or held something, by name."""
        segment = bisect_right(self._bounds, hour_us)
        shares = self._shares(scope, segment, hour_us)
        parties = [Party(self._names[share.holder], share, 0, 0) for share in shares]
        for row in held:
            team = _team(row)
            place = self._place(scope, segment, team, shares)
            if place is None:
                parties.append(Party(team, None, row["part_us"], row["cost_quanta"]))
            else:
                one = parties[place]
                more = {"used": one.used + row["part_us"], "cost_quanta": one.cost_quanta + row["cost_quanta"]}
                parties[place] = one._replace(**more)
        return sorted(parties, key=lambda party: party.team)

    def _shares(self, scope: Scope, segment: int, hour_us: int) -> list[Share]:
        if (scope, segment) not in self._valid:
            self._valid[scope, segment] = [self._book.shares[at] for at in self._book.valid_in(scope, hour_us)]
        return self._valid[scope, segment]

    def _place(self, scope: Scope, segment: int, team: Team, shares: list[Share]) -> int | None:
        key = (scope, segment, team)
        if key not in self._places:
            self._places[key] = next((place for place, share in enumerate(shares) if share.is_of(team)), None)
        return self._places[key]


def names_of_shares(session: Session, book: ShareBook, rows: list[dict[str, Any]]) -> dict[Team, Team]:
    """Return whose each share is in full: the team of that name that held most, else that an owner rule makes."""
    held: Counter[Team] = Counter()
    for row in rows:
        if row["held"]:
            held[_team(row)] += row["part_us"]
    owners = newest_owners(session)
    rules = owners.rules.rules if owners else ()
    made = [rule.owner[:3] for rule in rules if not placeholders(rule.owner)]
    names: dict[Team, Team] = {}
    for share in book.shares:
        seen = [team for team, _ in sorted(held.items(), key=lambda item: (-item[1], item[0])) if share.is_of(team)]
        names[share.holder] = next(iter([*seen, *(team for team in made if share.is_of(team))]), share.holder)
    return names


def _team(row: dict[str, Any]) -> Team:
    return row["organisation"], row["department"], row["team"]


def _stake(party: Party) -> Stake:
    if party.share is None:
        return Stake(party.used)
    most = party.share.most_lent_parts
    return Stake(party.used, party.share.parts * US_PER_HOUR, None if most is None else most * US_PER_HOUR)


def _price(loan: Loan, parties: list[Party]) -> int | None:
    """Return what the lender's terms make of a loan."""
    share, borrower = parties[loan.lender].share, parties[loan.borrower]
    assert share is not None, "only who has a share lends"
    if share.loan_rate_quanta is not None:
        return flat_price(share.loan_rate_quanta, loan.amount)
    if share.loan_percent is not None:
        return percent_price(share.loan_percent, loan.amount, borrower.used, borrower.cost_quanta)
    return None
