"""Closing: a closed period keeps its charges for ever, and whatever is learned later is corrected on the next bill."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from pathlib import Path

import pyarrow as pa
import pytest

from collector.imports.apply import apply_import
from collector.imports.jobs import JobRecord, PoolFacts
from collector.imports.payload import JobImport
from collector.ledger import slices
from collector.ledger.database import Parameters, Session, Tables
from collector.ledger.store import Ledger
from collector.periods import closing
from collector.periods.closing import CloseReport, PeriodError, close_period
from collector.periods.verifying import verify_period
from collector.queries.billing import PeriodRow, invoice, invoices, periods
from collector.queries.chargeback import chargeback
from collector.queries.reconcile import Reconciliation, reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso, month_of
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import ConfigError, LedgerError
from tests.collector.ask import ask
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import open_ledger, owners, prices

HOUR = US_PER_HOUR
FIRST = Period(START_US, START_US + 2 * HOUR, "first")
SECOND = Period(START_US + 2 * HOUR, START_US + 4 * HOUR, "second")
THIRD = Period(START_US + 4 * HOUR, START_US + 6 * HOUR, "third")
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.49"\n'
OWNERS = '[[owner]]\nteam = "vision"\nproject = "p"\nmatch.namespace = "*"\n'
PRICE_OF_THIRD = f'[[price]]\nmodel = "*"\nrate = "3"\nfrom = "{iso(THIRD.start_us)}"\n'
WHO = "pod:uid-1/c"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger with six hours: GPU 1 is held throughout; GPU 2 is free and silent in the second hour."""
    with open_ledger(tmp_path) as found:
        held = records("GPU-0001", START_US, START_US + 6 * HOUR, WHO)
        free = [
            *records("GPU-0002", START_US, START_US + HOUR),
            *records("GPU-0002", START_US + 2 * HOUR, THIRD.end_us),
        ]
        assert found.ingest([frame(0, [*held, *free])])[0].taken
        prices(found, BOOK)
        owners(found, OWNERS)
        yield found


def close(ledger: Ledger, period: Period, **options: str) -> CloseReport:
    return close_period(ledger, period, **{"closed_by": "ann", **options})


def late(ledger: Ledger) -> None:
    """Deliver the hour of GPU 2 that was missing: it was held."""
    [result] = ledger.ingest([frame(1, records("GPU-0002", START_US + HOUR, START_US + 2 * HOUR, WHO))])
    assert result.taken, result.detail


def row(ledger: Ledger, label: str) -> PeriodRow:
    [found] = [each for each in periods(ledger).rows if each.label == label]
    return found


def bill(ledger: Ledger, period: Period) -> tuple[dict[str, str | None], bool]:
    rate_dirty(ledger)
    found = chargeback(ledger, period)
    return {each.key: each.cost for each in found.rows}, found.final


def test_a_closed_period_is_final_and_invoiced_whole(ledger: Ledger) -> None:
    """Its charges are final, its invoices sum to its cost to the cent, numbered from one without a gap."""
    before, final = bill(ledger, FIRST)
    assert final is False
    report = close(ledger, FIRST)
    assert (report.charges, report.corrections, report.cost, report.payable) == (4, 0, "9.96", "9.96")
    assert bill(ledger, FIRST) == (before, True)
    found = invoices(ledger).rows
    assert [(each.number, each.team, each.payable) for each in found] == [(1, "", "4.98"), (2, "vision", "4.98")]
    assert [each.complete_ratio for each in found] == [0.5, 1.0]
    assert row(ledger, "first").state == "closed"
    assert reconcile(ledger, FIRST).ok


def test_late_data_corrects_the_next_bill_and_leaves_the_closed_one(ledger: Ledger) -> None:
    """What arrives for a closed hour is a correction on the next bill, with its original hour; nothing is charged twice."""
    close(ledger, FIRST)
    digest = row(ledger, "first").digest
    before = bill(ledger, FIRST)
    late(ledger)
    assert bill(ledger, FIRST) == before
    assert reconcile(ledger, FIRST).ok, "what is known now is proven too"
    waiting = periods(ledger).rows[1]
    assert (waiting.corrections, waiting.correction_cost) == (2, "0.00")
    report = close(ledger, SECOND)
    assert (report.corrections, report.cost) == (2, "9.96")
    assert row(ledger, "first").digest == digest
    taken = ask(ledger, "SELECT hour_us, state, held_us, cost_quanta FROM corrections ORDER BY state")
    assert taken == [(START_US + HOUR, 1, HOUR, 2_490_000_000), (START_US + HOUR, 5, -HOUR, -2_490_000_000)]
    lines = [(line.corrects, line.payable) for line in invoice(ledger, number=4).rows]
    assert lines == [("", "4.98"), ("first", "2.49")]
    assert [each.payable for each in invoices(ledger).rows[2:]] == ["2.49", "7.47"]
    assert close(ledger, THIRD).corrections == 0, "a correction is billed once"


def test_a_new_price_or_mapping_leaves_closed_periods_alone(ledger: Ledger) -> None:
    """Open hours are rated anew; closed ones keep price, owner and digest, and late data is priced as it was then."""
    close(ledger, FIRST)
    prices(ledger, BOOK.replace("2.49", "10"))
    owners(ledger, OWNERS.replace("vision", "speech"))
    assert bill(ledger, FIRST)[0] == {"vision": "4.98", "idle capacity": "2.49", "unobserved": "2.49"}
    assert bill(ledger, SECOND)[0] == {"speech": "20.00", "idle capacity": "20.00"}
    late(ledger)
    close(ledger, SECOND)
    corrected = ask(ledger, "SELECT o.team, c.cost_quanta FROM corrections c LEFT JOIN owners o USING (owner_id)")
    assert sorted(corrected, key=str) == [("vision", 2_490_000_000), (None, -2_490_000_000)]
    assert reconcile(ledger, Period(FIRST.start_us, SECOND.end_us, "both")).ok


def test_completeness_is_of_the_periods_own_time(ledger: Ledger) -> None:
    """Corrections change neither side of it: an invoice is never more complete than whole."""
    close(ledger, FIRST)
    late(ledger)
    close(ledger, SECOND)
    assert [each.complete_ratio for each in invoices(ledger).rows] == [0.5, 1.0, 1.0, 1.0]


def test_corrections_that_sum_to_nothing_are_on_an_invoice(ledger: Ledger) -> None:
    """One device was seen after all, another was not: each correction is on a line, be it of no time and no money."""
    close(ledger, FIRST)
    late(ledger)
    usage = records("GPU-0003", START_US, START_US + HOUR)
    assert ledger.ingest([frame(2, usage)])[0].taken
    close(ledger, SECOND)
    lines = ask(ledger, "SELECT count(*), sum(cost_quanta)::BIGINT FROM corrections")
    billed = ask(ledger, "SELECT sum(cost_quanta)::BIGINT FROM invoice_lines WHERE kind = 'correction'")
    assert (lines[0][1],) == billed[0]
    keys = "SELECT DISTINCT coalesce(team, ''), state FROM {} ORDER BY ALL"
    assert ask(ledger, keys.format("corrections LEFT JOIN owners USING (owner_id)")) == ask(
        ledger,
        keys.format("invoice_lines JOIN invoices USING (invoice_number) WHERE invoice_lines.kind = 'correction'"),
    )


def test_a_newer_version_of_the_same_price_corrects_nothing(ledger: Ledger) -> None:
    """A period pins the newest books; late data of one device does not take back and charge again what others had."""
    until_third = BOOK.replace('"2.49"', f'"2.49"\nto = "{iso(THIRD.start_us)}"')
    prices(ledger, until_third)
    rate_dirty(ledger)
    prices(ledger, until_third + PRICE_OF_THIRD)
    close(ledger, FIRST)
    late(ledger)
    rate_dirty(ledger)
    assert periods(ledger).rows[1].corrections == 2
    assert close(ledger, SECOND).corrections == 2
    assert close(ledger, THIRD).corrections == 0


def test_what_waits_is_shown_where_everything_known_is_closed(tmp_path: Path) -> None:
    """A correction stands on the next period even before that has data."""
    month = month_of(START_US)
    after = Period(month.end_us - HOUR, month.end_us, f"{iso(month.end_us - HOUR)}..{iso(month.end_us)}")
    with open_ledger(tmp_path) as ledger:
        prices(ledger, BOOK)
        assert ledger.ingest([frame(0, records("GPU-0001", *after.interval))])[0].taken
        close(ledger, after)
        assert [each.state for each in periods(ledger).rows] == ["closed"]
        assert ledger.ingest([frame(1, records("GPU-0002", *after.interval))])[0].taken
        rate_dirty(ledger)
        waiting = periods(ledger).rows[1]
        assert (waiting.from_, waiting.corrections, waiting.cost) == (iso(month.end_us), 1, "2.49")


@pytest.mark.parametrize(
    ("period", "words"),
    [
        (FIRST, "first is closed since"),
        (Period(START_US + HOUR, START_US + 3 * HOUR, "overlapping"), "first is closed since"),
        (THIRD, "are still open"),
        (Period(START_US + 2 * HOUR, START_US + 10_000 * HOUR, "future"), "which is not yet"),
        (Period(START_US + 2 * HOUR, START_US + 8 * HOUR, "unknown"), "data of c1 does not reach its end yet"),
    ],
)
def test_what_cannot_be_closed(ledger: Ledger, period: Period, words: str) -> None:
    """Closing twice, across a closed period, out of order, or before the end is refused, and nothing is changed."""
    close(ledger, FIRST)
    before = periods(ledger)
    with pytest.raises(PeriodError, match=words):
        close(ledger, period)
    assert periods(ledger) == before


def test_unpriced_time_closes_only_with_an_exception(tmp_path: Path) -> None:
    """Nothing is silently free: unpriced hours block the close, and who accepts them stands on it."""
    with open_ledger(tmp_path) as ledger:
        assert ledger.ingest([frame(0, records("GPU-0001", START_US, FIRST.end_us, WHO))])[0].taken
        prices(ledger, BOOK.replace('"*"', '"A100"'))
        with pytest.raises(PeriodError, match=r"2\.0 GPU-hours have no price"):
            close(ledger, FIRST)
        report = close(ledger, FIRST, exception="loan cards, agreed with Ann")
        assert report.exception == "loan cards, agreed with Ann; 2.0 GPU-hours have no price"
        assert row(ledger, "first").exception == report.exception


def test_an_exception_that_is_not_needed_is_not_kept(ledger: Ledger) -> None:
    """A clean period is closed clean, whatever was said beforehand."""
    assert close(ledger, FIRST, exception="just in case").exception == ""


def test_two_that_close_at_once_close_once(ledger: Ledger) -> None:
    """One closes, the other is told; there is one set of invoices."""
    outcomes: list[str] = []

    def attempt() -> None:
        try:
            outcomes.append(close(ledger, FIRST).label)
        except PeriodError as error:
            outcomes.append(error.message[:15])

    threads = [threading.Thread(target=attempt) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["first", "first is closed"]
    assert len(invoices(ledger).rows) == 2


def late_while_proven(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Let an agent send late data during the first proof of a close; return what the proofs will say."""
    proofs: list[bool] = []

    def prove(of: Ledger, period: Period) -> Reconciliation:
        found = reconcile(of, period)
        if not proofs:
            agent = threading.Thread(target=late, args=(of,))
            agent.start()
            agent.join(20)
            assert not agent.is_alive(), "the agent waits for the close"
        proofs.append(found.ok)
        return found

    monkeypatch.setattr(closing, "reconcile", prove)
    return proofs


def test_data_arrives_while_a_close_is_proven_and_is_closed_with_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof, which takes minutes on a large fleet, keeps no agent waiting; what arrives during it is proven too."""
    proofs = late_while_proven(monkeypatch)
    assert close(ledger, FIRST).corrections == 0
    assert proofs == [True, True], "the first proof was of another bill"
    assert bill(ledger, FIRST)[0] == {"vision": "7.47", "idle capacity": "2.49"}
    assert reconcile(ledger, FIRST).ok


def test_what_corrects_an_earlier_bill_and_arrives_while_the_next_is_proven_is_on_that(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Corrections are worked out beforehand, and again where what they follow from is not the same any more."""
    close(ledger, FIRST)
    proofs = late_while_proven(monkeypatch)
    report = close(ledger, SECOND)
    assert (report.corrections, report.cost) == (2, "9.96")
    assert proofs == [True, True]
    assert reconcile(ledger, FIRST).ok
    assert reconcile(ledger, SECOND).ok


def test_a_period_that_cannot_close_is_not_proven_first(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes it twice is told at once."""
    close(ledger, FIRST)
    monkeypatch.setattr(closing, "reconcile", lambda *_: pytest.fail("proven"))
    with pytest.raises(PeriodError, match="first is closed"):
        close(ledger, FIRST)


@pytest.mark.parametrize("step", ["corrections_insert", "period_insert", "insert_invoices", "insert_invoice_lines"])
def test_a_close_that_fails_in_the_middle_did_nothing(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """No correction, no period, no document is left, and the numbers of the next attempt have no gap."""
    close(ledger, FIRST)
    late(ledger)
    rate_dirty(ledger)
    before = periods(ledger), invoices(ledger)
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
    assert (periods(ledger), invoices(ledger)) == before
    assert ask(ledger, "SELECT count(*) FROM corrections") == [(0,)]
    assert close(ledger, SECOND).corrections == 2
    assert [each.number for each in invoices(ledger).rows] == [1, 2, 3, 4]


def test_jobs_imported_into_a_closed_period_are_corrected(ledger: Ledger) -> None:
    """A pool that appears after the close, twice: each time the difference is billed, and all bills are what is known."""

    def book(number: int, gpus: int) -> None:
        job = JobRecord(
            job=str(number), start_us=START_US, end_us=FIRST.end_us, gpus=gpus, cluster="c1", account="vision",
            gpu_model="a100",
        )  # fmt: skip
        assert apply_import(ledger, JobImport("log", (job,), None, PoolFacts())).new == 1

    close(ledger, FIRST)
    book(1, 2)
    second = close(ledger, SECOND)
    assert second.cost == "19.92", "its own four hours, and four of the job"
    book(2, 1)
    assert close(ledger, THIRD).cost == "14.94", "its own four hours, and two of the other job"
    billed = sum(Decimal(each.cost or 0) for each in periods(ledger).rows)
    [[known]] = ask(ledger, "SELECT sum(cost_quanta)::BIGINT FROM current_charges")
    assert billed == Decimal(known).scaleb(-9)
    assert reconcile(ledger, Period(START_US, THIRD.end_us, "all")).ok
    assert [verify_period(ledger, period).differences for period in (FIRST, SECOND, THIRD)] == [[], [], []]


def test_what_becomes_equal_again_is_taken_back(ledger: Ledger) -> None:
    """A correction of a correction: where a closed hour is rated as it was at first, the bills are as at first."""
    close(ledger, FIRST)
    late(ledger)
    close(ledger, SECOND)
    with ledger.transaction() as session:  # as if what came late had never been
        session.script(f"DELETE FROM usage_hourly WHERE hour_us = {START_US + HOUR} AND device_id = 2", label="undo")
        session.script(f"INSERT INTO dirty_hours VALUES ('c1', {START_US + HOUR})", label="undo")
    assert close(ledger, THIRD, exception="the roll-up was changed for this test").corrections == 2
    net = "SELECT sum(held_us)::BIGINT, sum(cost_quanta)::BIGINT FROM corrections GROUP BY state"
    assert ask(ledger, net) == [(0, 0), (0, 0)]


PLAIN_DIGEST = """
WITH lines AS (
    SELECT c.hour_us, concat_ws(
        chr(31), 'charge', d.cluster, d.node, d.device_key, coalesce(h.holder_key, ''), c.state, coalesce(r.reason, ''),
        coalesce(o.organisation, ''), coalesce(o.department, ''), coalesce(o.team, ''), coalesce(o.project, ''),
        c.held_us, c.active_us, c.active_unknown_us, c.energy_mj, c.energy_unknown_us,
        coalesce(c.price_version::VARCHAR, '-'), coalesce(c.price_entry::VARCHAR, '-'),
        coalesce(c.owner_version::VARCHAR, '-'), coalesce(c.rate_quanta::VARCHAR, '-'),
        coalesce(c.cost_quanta::VARCHAR, '-'), coalesce(c.active_cost_quanta::VARCHAR, '-')) AS line
    FROM charges c JOIN devices d USING (device_id) LEFT JOIN holders h USING (holder_id)
    LEFT JOIN reasons r USING (reason_id) LEFT JOIN owners o USING (owner_id)
    WHERE c.hour_us >= {from_us} AND c.hour_us < {to_us}
    UNION ALL
    SELECT k.hour_us, concat_ws(
        chr(31), 'correction', d.cluster, d.node, d.device_key, coalesce(h.holder_key, ''), k.state,
        coalesce(r.reason, ''), coalesce(o.organisation, ''), coalesce(o.department, ''), coalesce(o.team, ''),
        coalesce(o.project, ''), k.held_us, coalesce(k.price_version::VARCHAR, '-'),
        coalesce(k.price_entry::VARCHAR, '-'), coalesce(k.owner_version::VARCHAR, '-'),
        coalesce(k.rate_quanta::VARCHAR, '-'), k.cost_quanta) AS line
    FROM corrections k JOIN devices d USING (device_id) LEFT JOIN holders h USING (holder_id)
    LEFT JOIN reasons r USING (reason_id) LEFT JOIN owners o USING (owner_id)
    WHERE k.period_id = {period_id}
)
SELECT hour_us, string_agg(line, chr(30) ORDER BY line) FROM lines GROUP BY hour_us ORDER BY hour_us
"""


@pytest.mark.parametrize("device_hours", [1, 10**6])
def test_a_digest_is_that_of_all_lines_however_they_are_sliced(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, device_hours: int
) -> None:
    """The digest of hours' digests, of charges and corrections in the order of their hours: bills of before stay valid."""
    monkeypatch.setattr(slices, "DEVICE_HOURS", device_hours)
    close(ledger, FIRST)
    late(ledger)
    assert close(ledger, SECOND).corrections == 2
    for period_id, period in enumerate((FIRST, SECOND), start=1):
        text = PLAIN_DIGEST.format(from_us=period.start_us, to_us=period.end_us, period_id=period_id)
        hours = [f"{hour_us}:{sha256(lines.encode()).hexdigest()}" for hour_us, lines in ask(ledger, text)]
        assert row(ledger, period.label).digest == sha256(chr(30).join(hours).encode()).hexdigest()


def test_a_bill_that_is_changed_behind_the_ledgers_back_is_found(ledger: Ledger) -> None:
    """One quantum more on a closed charge breaks the digest."""
    close(ledger, FIRST)
    with ledger.transaction() as session:
        session._connection.execute("UPDATE charges SET owner_id = NULL WHERE hour_us = ?", [START_US])
    assert "closed" in {violation.code for violation in reconcile(ledger, FIRST).violations}


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE invoice_lines SET cost_quanta = cost_quanta - 1 WHERE invoice_number = 2",
        "UPDATE invoice_lines SET payable_cents = payable_cents - 1 WHERE invoice_number = 2",
        "UPDATE invoices SET payable_cents = payable_cents - 1 WHERE invoice_number = 2",
        "UPDATE invoices SET team = 'speech' WHERE invoice_number = 2",
        "DELETE FROM invoices WHERE invoice_number = 2",
    ],
)
def test_an_invoice_that_is_changed_behind_the_ledgers_back_is_found(ledger: Ledger, tampering: str) -> None:
    """A cent less for a team, or its document gone, and the nightly proof says whose."""
    close(ledger, FIRST)
    assert reconcile(ledger, FIRST).ok
    with ledger.transaction() as session:
        session.script(tampering, label="tampering")
    found = reconcile(ledger, FIRST).violations
    assert {violation.code for violation in found} == {"invoice"}
    assert "vision" in " ".join(violation.detail for violation in found)


def test_a_bill_in_yen_has_whole_yen(tmp_path: Path) -> None:
    """Nobody can pay a hundredth of one; the proof and the verification hold such a bill to itself too."""
    with open_ledger(tmp_path) as ledger:
        assert ledger.ingest([frame(0, records("GPU-0001", START_US, FIRST.end_us, WHO))])[0].taken
        prices(ledger, 'currency = "JPY"\n[[price]]\nmodel = "*"\nrate = "412.7"\n')
        report = close(ledger, FIRST)
        assert (report.cost, report.payable) == ("825.40", "825.00")
        assert reconcile(ledger, FIRST).ok
        assert verify_period(ledger, FIRST).ok


def test_an_invoice_that_is_not_there(ledger: Ledger) -> None:
    """Asking for it says where the others are."""
    with pytest.raises(ConfigError, match="no invoice 7"):
        invoice(ledger, number=7)


def test_a_ledger_of_before_gets_what_newer_bills_keep(tmp_path: Path) -> None:
    """What was closed by an older version learns its zone, its newest batch and what of its lines has no price."""
    with open_ledger(tmp_path) as ledger:
        assert ledger.ingest([frame(0, records("GPU-0001", START_US, SECOND.end_us, WHO))])[0].taken
        prices(ledger, BOOK.replace('"*"', '"A100"'))
        owners(ledger, OWNERS)
        close(ledger, FIRST, exception="agreed")
        usage = records("GPU-0002", START_US, START_US + HOUR, WHO)
        assert ledger.ingest([frame(1, usage)])[0].taken
        close(ledger, SECOND, exception="agreed")
        before = [invoice(ledger, number=number) for number in (2, 3)]
        assert [line.unpriced_gpu_hours for each in before for line in each.rows] == [2.0, 1.0, 2.0, 1.0]
        with ledger.transaction() as session:
            session.script(
                "ALTER TABLE invoice_lines DROP COLUMN unpriced_part_us;"
                "ALTER TABLE closed_periods DROP COLUMN zone;"
                "ALTER TABLE closed_periods DROP COLUMN last_batch_id;"
                "DROP TABLE billing_calendars;"
                "DELETE FROM migrations WHERE name = 'billing_calendar'",
                label="as an older version had it",
            )
    with open_ledger(tmp_path) as ledger:
        assert [invoice(ledger, number=number) for number in (2, 3)] == before
        assert ask(ledger, "SELECT zone FROM closed_periods") == [("UTC",), ("UTC",)]
        assert reconcile(ledger, SECOND).ok
        assert ask(ledger, "SELECT min(last_batch_id), max(last_batch_id) FROM closed_periods") == [(2, 2)], "one clock"
