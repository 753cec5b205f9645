"""Disputes: opened about what was charged, decided once by somebody else, and on the next bill exactly once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest

from collector.ledger.database import Parameters, Session, Tables
from collector.ledger.store import Ledger
from collector.periods.closing import CloseReport, close_period
from collector.periods.disputes import open_dispute, resolve_dispute, withdraw_dispute
from collector.periods.entries import EntryError
from collector.queries.adjustments import AdjustmentRow, adjustments
from collector.queries.billing import invoice, invoices, periods
from collector.queries.charge_id import parse_charge_id
from collector.queries.disputes import DisputeRow, dispute, disputes
from collector.queries.explain import explain
from collector.queries.facts import charges
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso, parse_period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError, LedgerError
from gpuledger.model import State
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

HOUR = US_PER_HOUR
FIRST = Period(START_US, START_US + 2 * HOUR, "first")
SECOND = Period(START_US + 2 * HOUR, START_US + 4 * HOUR, "second")
THIRD = Period(START_US + 4 * HOUR, START_US + 6 * HOUR, "third")
ALL = Period(START_US, THIRD.end_us, "all")
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n'
OWNERS = "".join(
    f'[[owner]]\norganisation = "acme"\ndepartment = "ml"\nteam = "{team}"\nproject = "p"\nmatch.namespace = "{space}"\n'
    for team, space in (("vision", "team-1"), ("speech", "team-2"))
)
VISION, SPEECH = "pod:uid-1/c", "pod:uid-2/c"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give six hours: vision holds GPU 1, GPU 2 is free, vision holds GPU 3 for half of the second hour."""
    with open_ledger(tmp_path) as found:
        usage = [
            *records("GPU-0001", START_US, ALL.end_us, VISION),
            *records("GPU-0002", START_US, ALL.end_us),
            *records("GPU-0003", START_US, START_US + HOUR, SPEECH),
            *records("GPU-0003", START_US + HOUR, START_US + HOUR + HOUR // 2, VISION),
            *records("GPU-0003", START_US + 2 * HOUR, ALL.end_us),
        ]
        assert found.ingest([frame(0, usage)])[0].taken
        prices(found, BOOK)
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


def close(ledger: Ledger, period: Period) -> CloseReport:
    return close_period(ledger, period, closed_by="ann")


def charge(ledger: Ledger, device: str = "GPU-0001", hour: int = 0, state: State = State.ACTIVE) -> str:
    """Return the name of the charge of a device's hour."""
    start_us = START_US + hour * HOUR
    found = charges(ledger, Period(start_us, start_us + HOUR, ""), device=device).rows
    [name] = [row.charge for row in found if row.state == state.label]
    return name


def upheld(ledger: Ledger, on: str, **options: str) -> int:
    number = open_dispute(ledger, on=on, by="vic", why="not our job")
    resolve_dispute(ledger, number, **{"decision": "upheld", "by": "bob", "why": "a wrong label", **options})
    return number


def state(ledger: Ledger, number: int = 1) -> DisputeRow:
    return next(row for row in disputes(ledger).rows if row.dispute == number)


def lines(ledger: Ledger) -> list[AdjustmentRow]:
    return adjustments(ledger, parse_period("2026-01-01..2027-01-01")).rows


def of_vision(ledger: Ledger) -> int:
    return next(row.number for row in invoices(ledger).rows if row.team == "vision")


def total(ledger: Ledger) -> Decimal:
    """Return what all closed bills come to."""
    return sum((Decimal(row.cost or 0) for row in periods(ledger).rows if row.state == "closed"), Decimal(0))


def test_an_upheld_dispute_is_a_credit_on_the_next_bill(ledger: Ledger) -> None:
    """The owner gets the charge back, the platform pays it, with the hour and the period that it was billed in."""
    close(ledger, FIRST)
    before = periods(ledger).rows[0], invoice(ledger, number=3)
    number = upheld(ledger, charge(ledger))
    assert (state(ledger).state, state(ledger).waiting) == ("decided", "2.50")
    report = close(ledger, SECOND)
    assert (report.adjustments, report.cost) == (2, "15.00")
    made = [row for row in lines(ledger) if row.final]
    assert [(row.team, row.cost, row.reference, row.corrects, row.model) for row in made] == [
        ("vision", "-2.50", f"dispute {number}", "first", "NVIDIA H100 80GB HBM3"),
        ("", "2.50", f"dispute {number}", "first", "NVIDIA H100 80GB HBM3"),
    ]
    assert "a wrong label" in made[0].because
    assert "acme/ml/vision" in made[1].because
    after = invoice(ledger, number=3)
    assert periods(ledger).rows[0] == before[0]
    assert [line.cost for line in after.rows] == [line.cost for line in before[1].rows]
    assert (state(ledger).state, state(ledger).billed, state(ledger).bills) == ("settled", "2.50", "second")
    assert close(ledger, THIRD).adjustments == 0, "it is posted once"
    assert reconcile(ledger, ALL).ok


def test_one_of_an_open_period_is_on_its_own_bill(ledger: Ledger) -> None:
    """A charge that is not billed yet and is disputed is billed, and given back on the same bill."""
    upheld(ledger, charge(ledger, hour=2), to="speech")
    assert close(ledger, FIRST).adjustments == 0, "not before its time"
    assert close(ledger, SECOND).adjustments == 2
    assert {(row.team, row.cost, row.corrects) for row in lines(ledger) if row.final} == {
        ("vision", "-2.50", ""),
        ("speech", "2.50", ""),
    }


@pytest.mark.parametrize(
    ("how", "back"),
    [
        ({"decision": "rejected"}, "0.00"),
        ({"decision": "partly", "percent": "40"}, "1.00"),
        ({"decision": "partly", "amount": "0.7"}, "0.70"),
        ({"decision": "partly", "amount": "2.50"}, "2.50"),
    ],
)
def test_how_much_is_given_back(ledger: Ledger, how: dict[str, str], back: str) -> None:
    """Nothing, a share, or an amount up to the charge."""
    close(ledger, FIRST)
    upheld(ledger, charge(ledger), **how)
    assert (state(ledger).granted, state(ledger).waiting) == (back, back)
    close(ledger, SECOND)
    assert state(ledger).billed == back
    assert state(ledger).state == ("settled" if back != "0.00" else "rejected")


def test_a_line_of_an_invoice_is_all_its_charges(ledger: Ledger) -> None:
    """Of an invoice, or of one of its lines, everything in it is in question, charge by charge."""
    close(ledger, FIRST)
    number = next(each.number for each in invoices(ledger).rows if each.team == "vision")
    dispute_id = upheld(ledger, f"{number}-1", decision="partly", percent="50")
    found = dispute(ledger, id=dispute_id)
    assert found.dispute.cost == invoice(ledger, number=number).rows[0].cost == "6.25"
    assert [each.cost for each in found.rows] == ["2.50", "2.50", "1.25"]
    assert all(each.steps for each in found.rows)
    assert [each.disputed for each in invoice(ledger, number=number).rows] == ["1 partly"]
    close(ledger, SECOND)
    assert state(ledger).billed == "3.125"


def test_late_data_that_takes_a_charge_back_takes_its_credit_back(ledger: Ledger) -> None:
    """Nobody is credited for a charge that is no more: before the bill it is less, after the bill it is taken again."""
    close(ledger, FIRST)
    unseen = charge(ledger, "GPU-0003", 1, State.UNOBSERVED)
    assert explain(ledger, charge=parse_charge_id(unseen)).cost == "1.25"
    number = open_dispute(ledger, on=unseen, by="pat", why="it was seen")
    resolve_dispute(ledger, number, decision="upheld", by="bob", why="ask speech", to="speech")
    close(ledger, SECOND)
    assert state(ledger).billed == "1.25"
    late = records("GPU-0003", START_US + HOUR + HOUR // 2, START_US + 2 * HOUR, SPEECH)
    assert ledger.ingest([frame(1, late)])[0].taken
    rate_dirty(ledger)
    assert (state(ledger).cost, state(ledger).waiting, state(ledger).state) == ("0.00", "-1.25", "decided")
    report = close(ledger, THIRD)
    assert (report.corrections, report.adjustments) == (2, 2)
    assert (state(ledger).billed, state(ledger).state, state(ledger).bills) == ("0.00", "settled", "second, third")
    paid = ask(ledger, "SELECT team, sum(cost_quanta)::BIGINT FROM adjustments GROUP BY team ORDER BY team")
    assert paid == [("", 0), ("speech", 0)]
    [[speech]] = ask(ledger, "SELECT sum(cost_quanta)::BIGINT FROM invoices WHERE team = 'speech'")
    assert speech == 2_500_000_000 + 1_250_000_000, "its own hour, and what came late"
    assert reconcile(ledger, ALL).ok


def test_a_charge_that_is_no_more_is_still_shown(ledger: Ledger) -> None:
    """Late data in an open period makes another charge of it: the dispute is about nothing then, and says so."""
    unseen = charge(ledger, "GPU-0003", 1, State.UNOBSERVED)
    number = open_dispute(ledger, on=unseen, by="pat", why="it was seen")
    late = records("GPU-0003", START_US + HOUR + HOUR // 2, START_US + 2 * HOUR, SPEECH)
    assert ledger.ingest([frame(1, late)])[0].taken
    rate_dirty(ledger)
    [row] = dispute(ledger, id=number).rows
    assert (row.charge, row.cost, row.held_us) == (unseen, "0.00", 0)
    assert "no such charge any more" in row.steps[0]
    resolve_dispute(ledger, number, decision="upheld", by="bob", why="it was", to="speech")
    assert close(ledger, FIRST).adjustments == 0


def test_a_price_that_changes_before_the_bill_changes_what_is_given_back(ledger: Ledger) -> None:
    """A charge of an open period is provisional, and so is its credit; a fixed amount is never more than the charge."""
    upheld(ledger, charge(ledger, hour=0))
    upheld(ledger, charge(ledger, hour=1), decision="partly", amount="2")
    prices(ledger, BOOK.replace("2.50", "1.00"))
    rate_dirty(ledger)
    close(ledger, FIRST)
    assert [row.billed for row in disputes(ledger).rows] == ["1.00", "1.00"]


def test_an_owner_that_no_longer_pays_gets_nothing_back(ledger: Ledger) -> None:
    """A disputed charge that another mapping gives to somebody else is not theirs to be credited for."""
    upheld(ledger, charge(ledger))
    owners(ledger, OWNERS.replace("vision", "robots"))
    report = close(ledger, FIRST)
    assert (report.adjustments, state(ledger).cost, state(ledger).billed) == (0, "0.00", "0.00")


def test_corrections_are_disputed_without_what_they_correct(ledger: Ledger) -> None:
    """Of a line that corrects an earlier bill, what came with it is in question, not what was billed before."""
    close(ledger, FIRST)
    late = records("GPU-0003", START_US + HOUR + HOUR // 2, START_US + 2 * HOUR, VISION)
    assert ledger.ingest([frame(1, late)])[0].taken
    close(ledger, SECOND)
    [document] = [each for each in invoices(ledger).rows if (each.team, each.period) == ("vision", "second")]
    [line] = [each for each in invoice(ledger, number=document.number).rows if each.kind == "correction"]
    assert line.cost == "1.25"
    number = upheld(ledger, f"{document.number}-{line.line}")
    assert state(ledger, number).cost == "1.25", "the charge itself is 2.50 now"
    with pytest.raises(EntryError, match="dispute 1 is about that"):
        open_dispute(ledger, on=charge(ledger, "GPU-0003", 1), by="vic", why="twice")
    close(ledger, THIRD)
    assert state(ledger, number).billed == "1.25"


def test_history_says_who_decided_what_and_why(ledger: Ledger) -> None:
    """Each step stays; the charge's explanation and the invoice's line say that it is disputed."""
    close(ledger, FIRST)
    name = charge(ledger)
    upheld(ledger, name, decision="partly", percent="12.5", to="acme/ml/speech")
    found = dispute(ledger, id=1)
    assert [(each.what, each.by, each.why, each.decision, each.percent, each.moved_to) for each in found.history] == [
        ("opened", "vic", "not our job", "", None, ""),
        ("resolved", "bob", "a wrong label", "partly", "12.5", "acme/ml/speech"),
    ]
    [note] = explain(ledger, charge=parse_charge_id(name)).disputes
    assert (note.dispute, note.state, note.opened_by, note.decided_by) == (1, "partly", "vic", "bob")
    vision = next(each.number for each in invoices(ledger).rows if each.team == "vision")
    assert [each.disputed for each in invoice(ledger, number=vision).rows] == ["1 partly"]
    other = next(each.number for each in invoices(ledger).rows if each.team == "speech")
    assert [each.disputed for each in invoice(ledger, number=other).rows] == [""]


def test_another_person_decides(ledger: Ledger) -> None:
    """Who opened it decides it only with a reason, which stays in the history."""
    number = open_dispute(ledger, on=charge(ledger), by="Ann  Bee", why="not ours")
    with pytest.raises(EntryError, match="another person decides"):
        resolve_dispute(ledger, number, decision="upheld", by="ann bee", why="quick")
    assert state(ledger).state == "open"
    resolve_dispute(ledger, number, decision="upheld", by="ann bee", why="quick", same_person="alone on duty")
    assert dispute(ledger, id=number).history[1].same_person == "alone on duty"


def test_two_that_decide_at_once_decide_once(ledger: Ledger) -> None:
    """One decision stands, the other is told whose; numbers of disputes have no gap."""
    number = open_dispute(ledger, on=charge(ledger), by="vic", why="not ours")
    outcomes: list[str] = []

    def attempt(who: str, decision: str) -> None:
        try:
            resolve_dispute(ledger, number, decision=decision, by=who, why="so it is")
            outcomes.append("done")
        except EntryError as error:
            outcomes.append(error.message.split(" by ")[0].split(" (")[0])

    threads = [threading.Thread(target=attempt, args=args) for args in (("bob", "upheld"), ("eve", "rejected"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["dispute 1 was decided", "done"]
    assert len(dispute(ledger, id=number).history) == 2
    assert open_dispute(ledger, on=charge(ledger, hour=1), by="vic", why="another") == 2


@pytest.mark.parametrize("step", ["insert_adjustments", "period_insert", "insert_invoice_lines"])
def test_a_close_that_fails_posts_nothing(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """A decision waits as it did, and the close that is repeated posts it once."""
    close(ledger, FIRST)
    upheld(ledger, charge(ledger))
    before = disputes(ledger), lines(ledger)
    execute = Session.execute

    def fail(self: Session, name: str, params: Parameters | None = None, tables: Tables | None = None) -> pa.Table:
        found = execute(self, name, params, tables)
        if name == step:
            raise LedgerError("the disk is full")
        return found

    monkeypatch.setattr(Session, "execute", fail)
    with pytest.raises(LedgerError, match="disk is full"):
        close(ledger, SECOND)
    monkeypatch.undo()
    assert (disputes(ledger), lines(ledger)) == before
    assert close(ledger, SECOND).adjustments == 2
    assert close(ledger, THIRD).adjustments == 0
    assert state(ledger).billed == "2.50"


def test_a_withdrawn_or_rejected_dispute_can_be_opened_again(ledger: Ledger) -> None:
    """It moved nothing; what is decided in favour is not disputed twice."""
    name = charge(ledger)
    withdraw_dispute(ledger, open_dispute(ledger, on=name, by="vic", why="a"), by="vic", why="ours after all")
    upheld(ledger, name, decision="rejected")
    upheld(ledger, name)
    with pytest.raises(EntryError, match="dispute 3 is about that"):
        open_dispute(ledger, on=name, by="vic", why="more")
    assert [row.state for row in disputes(ledger).rows] == ["withdrawn", "rejected", "decided"]
    close(ledger, FIRST)
    vision = next(each.number for each in invoices(ledger).rows if each.team == "vision")
    with pytest.raises(EntryError, match="dispute 3 is about that, or a part of it"):
        open_dispute(ledger, on=f"{vision}", by="vic", why="all of it")


def test_a_line_that_is_an_adjustment_is_disputed_as_it_stands(ledger: Ledger) -> None:
    """What a decision moved to a team is on its invoice, and it may dispute that; a credit it may not."""
    close(ledger, FIRST)
    upheld(ledger, charge(ledger), to="speech")
    close(ledger, SECOND)
    speech = next(each for each in invoices(ledger).rows if (each.team, each.period) == ("speech", "second"))
    [line] = invoice(ledger, number=speech.number).rows
    upheld(ledger, f"{speech.number}-{line.line}")
    assert [each.disputed for each in invoice(ledger, number=speech.number).rows] == ["2 upheld"]
    close(ledger, THIRD)
    assert (state(ledger, 2).billed, state(ledger, 2).state) == ("2.50", "settled")
    vision = next(each for each in invoices(ledger).rows if (each.team, each.period) == ("vision", "second"))
    [at] = [each.line for each in invoice(ledger, number=vision.number).rows if each.kind == "dispute"]
    with pytest.raises(EntryError, match=r"is no charge: it comes to -2\.50"):
        open_dispute(ledger, on=f"{vision.number}-{at}", by="vic", why="give more")
    assert reconcile(ledger, ALL).ok


@pytest.mark.parametrize(
    ("asked", "raises", "words"),
    [
        ({"on": "nonsense"}, ConfigError, "neither a charge nor an invoice"),
        ({"on": "9"}, ConfigError, "no invoice 9"),
        ({"on": "1-99"}, ConfigError, "has no line 99"),
        ({"on": "2026-05-28T20@c1@node-a@GPU-9@@idle@free"}, ConfigError, "there is no charge"),
        ({"why": " "}, ConfigError, "the reason is missing"),
        ({"by": ""}, ConfigError, "who opens it is missing"),
        ({"why": "two\nlines"}, ConfigError, "not a line"),
        ({"why": "hidden \u202e text"}, ConfigError, "not a line"),
        ({"why": "long" * 300}, ConfigError, "at most 1,000"),
        ({"owner": "speech"}, ConfigError, "acme/ml/speech does not pay"),
        ({"owner": "visoin"}, ConfigError, 'no owner is called "visoin"'),
    ],
)
def test_what_cannot_be_disputed(ledger: Ledger, asked: dict[str, str], raises: type[Exception], words: str) -> None:
    """What names nothing, or says nothing, is refused, and no number is used up."""
    close(ledger, FIRST)
    with pytest.raises(raises, match=words):
        open_dispute(ledger, **{"on": charge(ledger), "by": "vic", "why": "not ours", **asked})
    assert not disputes(ledger).rows
    assert ask(ledger, "SELECT count(*) FROM disputed_charges") == [(0,)]


@pytest.mark.parametrize(
    ("asked", "raises", "words"),
    [
        ({"decision": "yes"}, ConfigError, "no decision"),
        ({"decision": "partly"}, ConfigError, "unclear"),
        ({"amount": "1"}, ConfigError, "unclear"),
        ({"decision": "partly", "amount": "1", "percent": "5"}, ConfigError, "unclear"),
        ({"decision": "partly", "amount": "2.51"}, EntryError, "2.51 is more"),
        ({"decision": "partly", "amount": "-1"}, ConfigError, "negative"),
        ({"decision": "partly", "amount": "1e3"}, ConfigError, "not an amount"),
        ({"decision": "partly", "amount": "0"}, ConfigError, "not an amount"),
        ({"decision": "partly", "amount": "1.0000000001"}, ConfigError, "not an amount"),
        ({"decision": "partly", "percent": "101"}, ConfigError, "not a percentage"),
        ({"decision": "partly", "percent": "0"}, ConfigError, "not a percentage"),
        ({"to": "nobody"}, ConfigError, "no owner is called"),
        ({"to": "vision"}, ConfigError, "pays for it already"),
        ({"decision": "rejected", "to": "speech"}, ConfigError, "moves nothing"),
        ({"why": ""}, ConfigError, "the reason is missing"),
        ({"by": "a\x07b"}, ConfigError, "not a line"),
    ],
)
def test_what_cannot_be_decided(ledger: Ledger, asked: dict[str, str], raises: type[Exception], words: str) -> None:
    """A decision that is unclear, or gives back more than was charged, decides nothing."""
    number = open_dispute(ledger, on=charge(ledger), by="vic", why="not ours")
    with pytest.raises(raises, match=words):
        resolve_dispute(ledger, number, **{"decision": "upheld", "by": "bob", "why": "so it is", **asked})
    assert state(ledger).state == "open"
    with pytest.raises(ConfigError, match="no dispute 7"):
        resolve_dispute(ledger, 7, decision="upheld", by="bob", why="so it is")


def test_the_platforms_own_charge_needs_somebody_who_pays(ledger: Ledger) -> None:
    """Moving the platform's time to the platform is nothing; to a team it is something."""
    number = open_dispute(ledger, on=charge(ledger, "GPU-0002", 0, State.IDLE), by="pat", why="reserved for speech")
    with pytest.raises(ConfigError, match="platform pays for it already"):
        resolve_dispute(ledger, number, decision="upheld", by="bob", why="yes")
    resolve_dispute(ledger, number, decision="upheld", by="bob", why="yes", to="speech")
    close(ledger, FIRST)
    assert state(ledger).billed == "2.50"


def test_time_without_a_price_is_not_disputed(tmp_path: Path) -> None:
    """There is no amount yet; the hint says how it gets one."""
    with open_ledger(tmp_path) as ledger:
        assert ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + HOUR, VISION))])[0].taken
        prices(ledger, BOOK.replace('"*"', '"A100"'))
        rate_dirty(ledger)
        with pytest.raises(EntryError, match="nothing to dispute") as caught:
            open_dispute(ledger, on=charge(ledger), by="vic", why="too dear")
        assert "adjustment price" in caught.value.hint


def test_bills_sum_to_what_is_known_whatever_is_decided(ledger: Ledger) -> None:
    """Disputes move cost and make none."""
    close(ledger, FIRST)
    upheld(ledger, charge(ledger), to="speech")
    upheld(ledger, charge(ledger, hour=1), decision="partly", percent="33.333333")
    close(ledger, SECOND)
    close(ledger, THIRD)
    [[known]] = ask(ledger, "SELECT sum(cost_quanta)::BIGINT FROM current_charges")
    assert total(ledger) == Decimal(known).scaleb(-9)
    assert sum(Decimal(each.cost or 0) for each in invoices(ledger).rows) == total(ledger)


def test_an_hour_that_a_price_turn_cut_is_disputed_whole(ledger: Ledger) -> None:
    """Both parts of it are in question, each once: by the name of either, by a line, and on the bill."""
    turn = iso(START_US + 1207 * 1_000_000)
    prices(
        ledger,
        f'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3.60"\nto = {turn}\n'
        f'[[price]]\nmodel = "*"\nrate = "7.20"\nfrom = {turn}\n',
    )
    rate_dirty(ledger)
    names = [row.charge for row in charges(ledger, Period(START_US, START_US + HOUR, ""), device="GPU-0001").rows]
    assert len(names) == 2
    close(ledger, FIRST)
    number = open_dispute(ledger, on=names[1], by="vic", why="not our job")
    found = dispute(ledger, id=number)
    assert [row.charge for row in found.rows] == sorted(names, key=names.index, reverse=True), "the dearest first"
    assert all(row.steps and "no such charge" not in row.steps[0] for row in found.rows)
    whole = Decimal("1.207") + Decimal("7.2") * (3600 - 1207) / 3600
    assert abs(sum(Decimal(row.cost or 0) for row in found.rows) - whole) < Decimal("1e-8")
    assert Decimal(found.dispute.cost or 0) == sum(Decimal(row.cost or 0) for row in found.rows)
    with pytest.raises(EntryError, match="about that, or a part of it"):
        open_dispute(ledger, on=names[0], by="vic", why="again")
    assert [row.dispute for row in explain(ledger, charge=parse_charge_id(names[0])).disputes] == [number]
    resolve_dispute(ledger, number, decision="upheld", by="bob", why="a wrong label")
    assert f"{number} upheld" in [row.disputed for row in invoice(ledger, number=of_vision(ledger)).rows]
    close(ledger, SECOND)
    assert [row.cost for row in lines(ledger) if row.final] == [f"-{found.dispute.cost}", found.dispute.cost]
    assert reconcile(ledger, ALL).ok


def test_a_line_with_hours_that_a_price_turn_cut_is_disputed_at_what_it_comes_to(ledger: Ledger) -> None:
    """No part of an hour is in question twice."""
    turn = iso(START_US + 1207 * 1_000_000)
    prices(
        ledger,
        f'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3.60"\nto = {turn}\n'
        f'[[price]]\nmodel = "*"\nrate = "7.20"\nfrom = {turn}\n',
    )
    close(ledger, FIRST)
    line = invoice(ledger, number=of_vision(ledger)).rows[0]
    number = open_dispute(ledger, on=f"{of_vision(ledger)}-1", by="vic", why="all of it")
    assert state(ledger, number).cost == line.cost
    assert sum(Decimal(row.cost or 0) for row in dispute(ledger, id=number).rows) == Decimal(line.cost or 0)
