"""Bills with every kind of line are made again from what was known, and an earlier instant knows nothing later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from collector.audit.log import entries as logged
from collector.ledger.calendar import CalendarChange
from collector.ledger.store import Ledger
from collector.periods.as_known import as_known
from collector.periods.closing import close_period
from collector.periods.disputes import open_dispute, resolve_dispute, withdraw_dispute
from collector.periods.late_prices import price_closed
from collector.periods.manual import add_adjustment, withdraw_adjustment
from collector.periods.verifying import verify_period
from collector.policies.imports import import_policies
from collector.pricing.shares import import_shares
from collector.queries.adjustments import adjustments
from collector.queries.billing import invoice, invoices, periods
from collector.queries.disputes import disputes
from collector.queries.entered import entered
from collector.rating import rate_dirty
from gpuledger.accounting.adjustments import KINDS
from gpuledger.accounting.periods import Period, iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.clock import VirtualClock
from gpuledger.model import Event, State
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, owners, prices

HOUR, SECOND_US = US_PER_HOUR, 1_000_000
FIRST, SECOND, THIRD = (Period(START_US + n * HOUR, START_US + (n + 1) * HOUR, f"hour {n + 1}") for n in range(3))
EVER = parse_period("2026-01-01..2027-01-01")
LOST_US = START_US + 90 * US_PER_MINUTE
PRICES = f"""currency = "EUR"
[[price]]
model = "*"
rate = "2.50"
from = {iso(START_US + 607 * SECOND_US)}
[[contract]]
name = "lease"
cluster = "c1"
model = "*"
gpus = 6
rate = "1.10"
from = 2026-01-01
"""
OWNERS = '[[owner]]\nteam = "{namespace}"\nproject = "p"\nmatch.namespace = "team-*"\n'
SHARES = 'loan_percent = "25"\n[[share]]\nteam = "team-1"\ngpus = 1\n[[share]]\nteam = "team-2"\ngpus = 3\n'
POLICIES = (
    '[[policy]]\nfault_credit = { minutes = 30 }\nidle = "even"\n'
    '[[policy]]\nbasis = "usage"\nteam = "team-2"\nfree = { gpu_hours = "100" }\n'
)


class Site:
    """A ledger whose clock goes on with everything that is done to it."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(NOW_US)
        self.ledger = Ledger.open(folder, clock=self.clock)
        self.told: list[tuple[int, Any]] = []

    def now(self) -> int:
        """Let a second pass."""
        self.clock.advance_to(self.clock.now_us() + SECOND_US)
        return self.clock.now_us()

    def book(self, kind: str, text: str) -> None:
        """Import a book."""
        taking = {"shares": import_shares, "policies": import_policies}[kind]
        assert taking(self.ledger, text.encode(), "toml", source=f"{kind}.toml", imported_us=self.now()).changed

    def close(self, period: Period) -> None:
        """Close a period."""
        self.now()
        close_period(self.ledger, period, closed_by="ann", exception="the contract comes later")

    def keep(self) -> None:
        """Keep what the ledger answers now, to be asked for later."""
        self.now()
        rate_dirty(self.ledger)
        self.told.append((self.clock.now_us(), answers(self.ledger)))


def answers(ledger: Ledger) -> Any:
    """Return all that bills and people said, and the log of it."""
    documents = [invoice(ledger, number=row.number) for row in invoices(ledger).rows]
    with ledger.snapshot() as session:
        log = list(logged(session))
    return disputes(ledger), entered(ledger), adjustments(ledger, EVER), periods(ledger), documents, log


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give three hours of four GPUs: one is held by team-1, one by team-2 until it is lost, one by both in turn."""
    made = Site(tmp_path)
    usage = [
        *records("GPU-0001", START_US, THIRD.end_us, "pod:uid-1/c"),
        *records("GPU-0002", START_US, LOST_US, "pod:uid-2/c"),
        *records("GPU-0002", LOST_US, THIRD.end_us, state=State.UNAVAILABLE, reason="gpu_lost"),
        *records("GPU-0003", START_US, THIRD.end_us, "pod:uid-1/c"),
        *records("GPU-0004", START_US, THIRD.end_us),
    ]
    lost = Event(LOST_US, "gpu_lost", "device is not usable", "error", "GPU-0002", details={"reason": "gpu_lost"})
    assert made.ledger.ingest([frame(0, usage, events=[lost])])[0].taken
    prices(made.ledger, PRICES, made.now())
    owners(made.ledger, OWNERS, made.now())
    yield made
    made.ledger.close()


def history(site: Site) -> None:
    """Close three hours with every kind of adjustment on their bills, and go on after that."""
    ledger = site.ledger
    site.keep()
    site.book("shares", SHARES)
    site.keep()
    site.close(FIRST)
    site.book("policies", POLICIES)
    site.keep()
    team = next(row.number for row in invoices(ledger).rows if row.team == "team-1")
    site.now()
    number = open_dispute(ledger, on=f"{team}-1", by="vic", why="not ours")
    site.keep()
    site.now()
    resolve_dispute(ledger, number, decision="partly", percent="50", by="bob", why="half of it")
    site.now()
    added = add_adjustment(ledger, owner="team-2", amount="-1.25", currency="EUR", by="ann", why="agreed")
    site.keep()
    prices(ledger, PRICES.replace(f"from = {iso(START_US + 607 * SECOND_US)}\n", ""), site.now())
    site.now()
    price_closed(ledger, FIRST, by="ann", why="signed")
    site.close(SECOND)
    site.keep()
    site.now()
    withdrawn = add_adjustment(ledger, owner="team-2", amount="7", currency="EUR", by="ann", why="a mistake")
    site.book("shares", SHARES.replace("25", "50"))
    site.book("policies", POLICIES.replace("30", "15"))
    site.keep()
    site.now()
    withdraw_adjustment(ledger, withdrawn, by="ann", why="it was one")
    site.close(THIRD)
    site.keep()
    assert added != withdrawn
    site.now()
    newest = [row.number for row in invoices(ledger).rows if row.team == "team-1"][-1]
    line = next(row.line for row in invoice(ledger, number=newest).rows if row.kind == "charge")
    late = open_dispute(ledger, on=f"{newest}-{line}", by="vic", why="not ours either")
    site.now()
    withdraw_dispute(ledger, late, by="vic", why="ours")
    prices(ledger, PRICES.replace("2.50", "9"), site.now())
    site.book("shares", SHARES.replace("25", "75"))
    site.book("policies", '[[policy]]\nbasis = "max"\n')
    ledger.change_calendar(CalendarChange(grace_hours=7))


def test_bills_with_every_kind_of_line_are_made_again(site: Site) -> None:
    """Whatever books came later, and whatever people did since."""
    history(site)
    assert {row.kind for row in adjustments(site.ledger, EVER).rows if row.final} == set(KINDS)
    for period in (FIRST, SECOND, THIRD):
        found = verify_period(site.ledger, period)
        assert found.ok, found.differences


def test_what_was_known_does_not_know_what_came_later(site: Site) -> None:
    """Disputes, decisions, entries, late prices, books and the log are as they were at every instant."""
    history(site)
    for at_us, told in site.told:
        with as_known(site.ledger, at_us) as known:
            for was, now in zip(told, answers(known), strict=True):
                assert now == was


def test_what_an_older_version_of_a_book_rated_is_rated_again_before_it_is_closed(site: Site) -> None:
    """A new entry for another model changes no hour, and yet a bill follows from the one version that it pins."""
    rate_dirty(site.ledger)
    prices(site.ledger, f'{PRICES}[[price]]\nmodel = "A100"\nrate = "1"\nfrom = 2026-12-01\n', site.now())
    owners(site.ledger, f'{OWNERS}[[owner]]\nteam = "x"\nmatch.namespace = "x"\nfrom = 2026-12-01\n', site.now())
    site.close(FIRST)
    found = verify_period(site.ledger, FIRST)
    assert found.ok, found.differences
