"""Loans from the ledger to the bill: three hours of eight GPUs whose loans can be added by hand.

The worked example of docs/concepts/shares.md: vision and speech have four of eight GPUs each, a GPU-hour costs 2.00,
and a loan a quarter of what the hour costs its borrower. Hours: vision holds 7, 6, 4; speech holds 1, 2, 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from collector.api.metrics import ShareFigures
from collector.api.services import ledger_figures
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.periods.lent import idle_of
from collector.pricing.imports import ImportReport
from collector.pricing.shares import import_shares
from collector.queries.adjustments import adjustments
from collector.queries.billing import invoices, periods
from collector.queries.chargeback import chargeback
from collector.queries.loans import loans
from collector.queries.quotas import QuotaRow, quotas
from collector.queries.reconcile import reconcile
from collector.queries.shares import shares
from collector.rating import rate_dirty
from gpuledger.accounting.adjustments import Adjustment
from gpuledger.accounting.periods import Period, iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.model import Device, State, UsageRecord
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices

GPUS = 8
CONCEPT = Path(__file__).parents[2] / "docs" / "concepts" / "shares.md"
PERIOD = Period(START_US, START_US + 3 * US_PER_HOUR, "three hours")
VISION, SPEECH = "pod:uid-0/c", "pod:uid-1/c"
HELD = ((7, 1), (6, 2), (4, 4))  # GPUs of vision and of speech, hour by hour
OWNERS = """
[[owner]]
team = "vision"
department = "research"
match.namespace = "team-0"
[[owner]]
team = "speech"
department = "products"
match.namespace = "team-1"
"""
SHARES = """
loan_percent = "25"
[[share]]
team = "vision"
gpus = 4
[[share]]
team = "speech"
gpus = 4
"""


def hour_of(hour: int, vision: int, speech: int, gpus: int = GPUS) -> list[UsageRecord]:
    """Return an hour in which the first GPUs are vision's, the next speech's, and the rest free."""
    start_us = START_US + hour * US_PER_HOUR
    who = [VISION] * vision + [SPEECH] * speech + [None] * (gpus - vision - speech)
    return [
        record
        for number, holder in enumerate(who)
        for record in records(f"GPU-{number:04d}", start_us, start_us + US_PER_HOUR, holder)
    ]


def give(ledger: Ledger, text: str) -> ImportReport:
    return import_shares(ledger, text.encode(), "toml", source="shares.toml", imported_us=NOW_US)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give the rated ledger of those hours, without shares."""
    with open_ledger(tmp_path) as found:
        for hour, (vision, speech) in enumerate(HELD):
            assert found.ingest([frame(hour, hour_of(hour, vision, speech))])[0].taken
        prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.00"\n')
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Ledger]:
    """Give a rated hour in which each team holds three GPUs of eight."""
    with open_ledger(tmp_path) as found:
        assert found.ingest([frame(0, hour_of(0, 3, 3))])[0].taken
        prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.00"\n')
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


def by_team(ledger: Ledger) -> dict[str, QuotaRow]:
    return {row.team: row for row in quotas(ledger, PERIOD).rows}


def test_a_loan_is_seen_priced_and_taken_back(ledger: Ledger) -> None:
    """Vision has five GPU-hours of speech's share for a quarter of what they cost; speech takes it back twice."""
    give(ledger, SHARES)
    answer = loans(ledger, PERIOD)
    [row] = answer.rows
    assert (row.borrower, row.borrower_department, row.lender) == ("vision", "research", "speech")
    assert (row.gpu_hours, row.hours, row.most_gpus, row.price) == (5.0, 2, 3.0, "2.50")
    assert (row.first, row.until) == (iso(START_US), iso(START_US + 2 * US_PER_HOUR))
    assert (row.reclaims, row.last_reclaimed) == (2, iso(START_US + 2 * US_PER_HOUR))
    assert (answer.gpu_hours, answer.price, answer.share_versions, answer.final) == (5.0, "2.50", [1], False)


def test_use_against_shares(ledger: Ledger) -> None:
    """Each team's row says whose what it held was, and who had its share."""
    give(ledger, SHARES)
    vision, speech = by_team(ledger)["vision"], by_team(ledger)["speech"]
    assert (vision.share_gpus, vision.share_gpu_hours, vision.used_gpu_hours, vision.peak_gpus) == (
        4.0,
        12.0,
        17.0,
        7.0,
    )
    assert (vision.own_gpu_hours, vision.borrowed_gpu_hours, vision.hours_above) == (12.0, 5.0, 2)
    assert (speech.own_gpu_hours, speech.lent_gpu_hours, speech.idle_gpu_hours, speech.hours_above) == (
        7.0,
        5.0,
        0.0,
        0,
    )


def test_what_is_lent_is_on_both_bills_and_sums_to_nothing(ledger: Ledger) -> None:
    """The borrower pays its usage and the loan, the lender is credited once; the total is as before."""
    assert [(row.team, row.cost) for row in adjustments(ledger, parse_period("2026-01-01..2027-01-01")).rows] == []
    before = chargeback(ledger, PERIOD).total.cost
    give(ledger, SHARES)
    report = close_period(ledger, PERIOD, closed_by="ann")
    assert (report.adjustments, report.cost) == (2, before)
    assert [(row.kind, row.team, row.cost, row.reference, row.because) for row in adjustments(ledger, PERIOD).rows] == [
        ("loan", "vision", "2.50", "shares 1", "on loan from speech (all devices)"),
        ("loan", "speech", "-2.50", "shares 1", "on loan to vision (all devices)"),
    ]
    assert {(row.team, row.department): row.cost for row in invoices(ledger).rows} == {
        ("vision", "research"): "36.50",
        ("speech", "products"): "11.50",
    }
    assert reconcile(ledger, PERIOD).ok


def test_a_closed_period_keeps_its_share_book(ledger: Ledger) -> None:
    """Another book changes what open hours would be billed, and nothing that is closed."""
    give(ledger, SHARES)
    close_period(ledger, PERIOD, closed_by="ann")
    kept = loans(ledger, PERIOD)
    give(ledger, SHARES.replace('"25"', '"50"').replace("gpus = 4", "gpus = 1"))
    assert loans(ledger, PERIOD) == kept
    assert kept.final
    [closed] = [row for row in periods(ledger).rows if row.state == "closed"]
    assert closed.share_version == 1
    assert shares(ledger).version == 2


def test_a_loan_costs_nothing_where_nobody_says_so(ledger: Ledger) -> None:
    """It is visible and on no bill."""
    give(ledger, SHARES.replace('loan_percent = "25"', ""))
    assert [(row.gpu_hours, row.price) for row in loans(ledger, PERIOD).rows] == [(5.0, None)]
    assert close_period(ledger, PERIOD, closed_by="ann").adjustments == 0


def test_a_flat_price_and_a_limit(ledger: Ledger) -> None:
    """A rate is for a GPU-hour on loan; beyond the limit a share is taken without a loan, which has a name."""
    give(ledger, SHARES.replace('loan_percent = "25"', 'loan_rate = "0.10"') + "lend_limit = 2\n")
    assert [(row.gpu_hours, row.price) for row in loans(ledger, PERIOD).rows] == [(4.0, "0.40")]
    assert (by_team(ledger)["vision"].unlent_gpu_hours, by_team(ledger)["speech"].taken_gpu_hours) == (1.0, 1.0)


@pytest.mark.parametrize(("setting", "borrowed", "unowned"), [("", 2.0, 1.0), ('unowned = "first"', 0.0, 3.0)])
def test_who_has_no_share_borrows_or_has_what_nobody_owns(
    small: Ledger, setting: str, borrowed: float, unowned: float
) -> None:
    """Speech holds three GPUs without a share: two are idle of vision's, three are nobody's; the book says which first."""
    give(small, f'{setting}\n[[share]]\nteam = "vision"\ngpus = 5\n')
    speech = by_team(small)["speech"]
    assert (speech.share_gpus, speech.borrowed_gpu_hours, speech.unowned_gpu_hours) == (None, borrowed, unowned)


def test_the_owner_of_a_share_pays_for_what_nobody_held_of_it(small: Ledger) -> None:
    """Two GPUs idle, one of them of speech's share and one nobody's: speech pays half of the idle cost."""
    give(small, 'idle = "owner"\n[[share]]\nteam = "vision"\ngpus = 3\n[[share]]\nteam = "speech"\ngpus = 4\n')
    hour = Period(START_US, START_US + US_PER_HOUR, "one hour")
    close_period(small, hour, closed_by="ann")
    assert [(row.kind, row.team, row.cost, row.state) for row in adjustments(small, hour).rows] == [
        ("idle_share", "speech", "2.00", "idle"),
        ("idle_share", "", "-2.00", "idle"),
    ]
    assert {row.team: row.cost for row in invoices(small).rows} == {"": "2.00", "speech": "8.00", "vision": "6.00"}


def test_idle_time_is_paid_for_once(small: Ledger) -> None:
    """Where it was moved already, the owners of shares pay nothing on top; what was unavailable is another matter."""
    give(small, 'idle = "owner"\n[[share]]\nteam = "vision"\ngpus = 4\nlends = false\n')
    hour = Period(START_US, START_US + US_PER_HOUR, "one hour")
    moved = Adjustment("idle_share", "spread", "policy 1", hour.start_us, hour.end_us, 0, state=State.IDLE)
    down = moved._replace(state=State.UNAVAILABLE)
    with small.snapshot() as session:
        for before in ((), [down]):
            assert [line.team for line in idle_of(session, hour, before)] == ["vision", ""]
        assert idle_of(session, hour, [down, moved]) == []


def test_broken_and_unseen_gpus_are_no_capacity(tmp_path: Path) -> None:
    """Of four GPUs one is broken and one silent: two shares of two shrink to one each, and nobody lends what is not."""
    start_us = START_US
    usage = [
        *records("GPU-0000", start_us, start_us + US_PER_HOUR, VISION),
        *records("GPU-0001", start_us, start_us + US_PER_HOUR, VISION),
        *records("GPU-0002", start_us, start_us + US_PER_HOUR, None, state=State.UNAVAILABLE, reason="gpu_lost"),
        *records("GPU-0003", start_us, start_us + US_PER_HOUR, None, state=State.UNOBSERVED, reason="no_samples"),
    ]
    with open_ledger(tmp_path) as found:
        assert found.ingest([frame(0, usage)])[0].taken
        owners(found, OWNERS)
        rate_dirty(found)
        give(found, SHARES.replace("gpus = 4", "gpus = 2"))
        rows = by_team(found)
        assert [(rows[team].available_gpu_hours, rows[team].share_gpu_hours) for team in ("vision", "speech")] == [
            (1.0, 2.0),
            (1.0, 2.0),
        ]
        assert (rows["vision"].borrowed_gpu_hours, rows["speech"].lent_gpu_hours) == (1.0, 1.0)


def test_time_that_no_rule_names_borrows_too(ledger: Ledger) -> None:
    """Its loan is the platform's to pay, and the lender is credited all the same."""
    owners(ledger, OWNERS.replace("team-0", "team-9"))
    rate_dirty(ledger)
    give(ledger, 'loan_percent = "25"\n[[share]]\nteam = "speech"\ngpus = 4\n')
    [row] = loans(ledger, PERIOD).rows
    assert (row.borrower, row.lender, row.price) == ("", "speech", "2.50")
    close_period(ledger, PERIOD, closed_by="ann")
    assert [(line.team, line.cost) for line in adjustments(ledger, PERIOD).rows] == [
        ("", row.price),
        ("speech", f"-{row.price}"),
    ]


def test_shares_begin_and_end_and_devices_have_scopes(ledger: Ledger) -> None:
    """A share that begins with the second hour lends from then on; devices of another pool are not its business."""
    later = SHARES.replace("gpus = 4", f"gpus = 4\nfrom = {iso(START_US + US_PER_HOUR)}")
    give(ledger, later)
    assert [(row.first, row.gpu_hours) for row in loans(ledger, PERIOD).rows] == [(iso(START_US + US_PER_HOUR), 2.0)]
    report = give(ledger, SHARES.replace("gpus = 4", 'gpus = 4\npool = "elsewhere"'))
    assert report.warnings == ["shares of pool elsewhere: the ledger knows no such device"]
    assert quotas(ledger, PERIOD).rows == []


def test_an_import_says_what_may_be_wrong(ledger: Ledger) -> None:
    """Teams that no rule makes, and more shares than GPUs; the same file again is no new version."""
    text = SHARES.replace("gpus = 4", "gpus = 6").replace('"speech"', '"speach"')
    assert give(ledger, text).warnings == [
        'no owner rule makes the team "speach", so that nothing counts against its share: did you mean "speech"?',
        "shares of all devices are 12 GPUs, and 8 exist: all of them shrink in proportion",
    ]
    again = give(ledger, text)
    assert (again.version, again.changed) == (1, False)


def test_a_share_may_leave_out_the_department(ledger: Ledger) -> None:
    """It is billed to the team as its owner rule names it, although it held nothing."""
    owners(ledger, OWNERS.replace("team-1", "team-9"))
    rate_dirty(ledger)
    give(ledger, SHARES)
    assert {(row.lender, row.lender_department) for row in loans(ledger, PERIOD).rows} == {("speech", "products")}


def test_a_pool_of_unknown_size_shrinks_no_share(tmp_path: Path) -> None:
    """A job log without capacity knows only what was held; shares of it are taken at their word."""
    pool = Device(key="pool:c1/gpu", kind="pool", model="T4", units=None, pool="gpu")
    [held] = records("pool:c1/gpu", START_US, START_US + US_PER_HOUR, VISION)[:1]
    with open_ledger(tmp_path) as found:
        assert found.ingest([frame(0, [held], devices=[pool])])[0].taken
        owners(found, OWNERS)
        rate_dirty(found)
        give(found, SHARES)
        assert {row.team: row.available_gpu_hours for row in quotas(found, PERIOD).rows} == {
            "vision": 4.0,
            "speech": 4.0,
        }


def test_metrics_say_how_teams_stand_to_their_shares(ledger: Ledger) -> None:
    """Those with a share, in the newest whole hour."""
    assert ledger_figures(ledger).shares == ()
    give(ledger, '[[share]]\nteam = "vision"\ngpus = 3\n')
    assert ledger_figures(ledger).shares == (ShareFigures("vision", "", "", "*", 3.0, 4.0, 0.0),)


def test_the_docs_have_the_figures_of_this_ledger(ledger: Ledger) -> None:
    """The worked example of the concept says what the ledger says."""
    give(ledger, SHARES)
    [loan] = loans(ledger, PERIOD).rows
    rows, text = by_team(ledger), " ".join(CONCEPT.read_text().split())
    for hour, (vision, speech) in enumerate(HELD, 1):
        assert f"| {hour} | {vision} | {speech} | {vision - 4} | {4 - speech} | {vision - 4} |" in text
    paid, credited = Decimal("2.00") * 17 + Decimal(loan.price or 0), Decimal("2.00") * 7 - Decimal(loan.price or 0)
    assert (
        f"Vision borrowed {loan.gpu_hours:g} GPU-hours. It pays its usage, {rows['vision'].used_gpu_hours:g} x" in text
    )
    assert f"{loan.gpu_hours:g} x 2.00 x 25 % = {loan.price}: **{paid:.2f}**" in text
    assert f"{rows['speech'].used_gpu_hours:g} x 2.00 = 14.00" in text
    assert f"14.00 - {loan.price} = **{credited:.2f}**" in text


def test_a_period_off_the_hour_is_refused(ledger: Ledger) -> None:
    """Use is known by the hour."""
    with pytest.raises(ConfigError, match="on the hour"):
        quotas(ledger, Period(START_US + 1, START_US + US_PER_HOUR, "x"))
    assert loans(ledger, PERIOD).rows == []
    assert loans(ledger, PERIOD).share_versions == []
