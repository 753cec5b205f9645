"""Sums of days: always what their charges sum to, and every answer is the same with and without them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.access.identity import Nodes, parse_nodes
from collector.access.roles import Role
from collector.api.asking import ask
from collector.api.questions import QUESTIONS
from collector.day_sums import sum_days
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.pricing.carbon import import_carbon
from collector.queries.reconcile import reconcile
from collector.queries.summed_days import longest_run
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_DAY as DAY_US
from gpuledger.model import Device, UsageRecord
from tests.collector import ask as plain
from tests.collector.batches import START_US, device, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import BOOK, HOLDERS, HOUR, fleets

MIDNIGHT_US = START_US // DAY_US * DAY_US
DAYS = 4  # that the ledger knows, and some hours
WHOLE = Period(START_US - 2 * HOUR, START_US + 3 * DAY_US + HOUR, "from inside a day to inside a day")
CLOSED = Period(MIDNIGHT_US, MIDNIGHT_US + DAY_US + HOUR, "a day and an hour")
OWNER = '[[owner]]\norganisation = "acme"\ndepartment = "a"\nteam = "{team}"\nmatch.slurm_account = "acct{account}"\n'
CARBON = BOOK.replace('rate = "{rate}"', 'rate = "{rate}"\ncarbon_g_per_kwh = "301.5"\ncarbon_region = "north"')
TEAM = "acme/a/alpha"
STEPS = st.sampled_from(("sum", "sum", "prices", "owners", "carbon", "close"))
SUMMED = """
SELECT c.hour_us // {day} * {day} AS day_us, min(c.hour_us), max(c.hour_us), c.device_id, c.holder_id, c.state,
    c.reason_id, c.owner_id, c.price_version, c.price_entry, sum(c.held_us)::BIGINT, sum(c.active_us)::BIGINT,
    sum(c.active_unknown_us)::BIGINT, sum(c.energy_mj)::BIGINT, sum(c.energy_unknown_us)::BIGINT,
    sum(c.cost_quanta)::BIGINT, sum(c.active_cost_quanta)::BIGINT
FROM charges c WHERE c.hour_us // {day} * {day} IN (SELECT day_us FROM summed_days) GROUP BY ALL ORDER BY ALL
"""
KEPT = "SELECT * EXCLUDE (unwatched_cost_quanta) FROM charge_days ORDER BY ALL"
Fleet = list[tuple[Device, list[UsageRecord]]]


def moved(usage: list[UsageRecord], hours: int) -> list[UsageRecord]:
    """Return records some hours later."""
    return [
        msgspec.structs.replace(r, start_us=r.start_us + hours * HOUR, end_us=r.end_us + hours * HOUR) for r in usage
    ]


def answers(ledger: Ledger) -> dict[Any, msgspec.Struct]:
    """Return answers to the questions that read days: of everybody, and of one team to those that it would ask."""
    asked: list[tuple[str, dict[str, Any]]] = [("chargeback", {"by": by}) for by in ("device", "workload", "model")]
    asked += [("chargeback", {"within": "/acme/a/alpha"}), ("utilization", {"by": "node"}), ("idle_power", {})]
    both: list[tuple[str, dict[str, Any]]] = [("chargeback", {"view": "usage"}), ("idle_workloads", {})]
    both += [("workloads", {}), ("timeline", {"grain": "day"})]
    pairs = [(each, "") for each in (*asked, *both)] + [(each, TEAM) for each in both]
    return {(name, *given.items(), seen): _answer(ledger, name, given, seen) for (name, given), seen in pairs}


def _answer(ledger: Ledger, name: str, given: dict[str, Any], seen: str) -> msgspec.Struct:
    question = next(each for each in QUESTIONS if each.name == name)
    values = {p.name: p.read(given.get(p.name), ledger.calendar.days) for p in question.parameters}
    nodes: Nodes = parse_nodes(Role.VIEWER, [seen]) if seen else ()
    return ask(ledger, question, values | {"period": WHOLE}, lambda: None, nodes)


def without_sums(ledger: Ledger) -> dict[Any, msgspec.Struct]:
    """Return the same answers of the same ledger where no day is summed."""
    with ledger.transaction() as session:
        session.script("DELETE FROM charge_days; DELETE FROM summed_days", label="no sums")
    return answers(ledger)


def step(ledger: Ledger, what: str, number: int) -> None:
    """Do one thing that people or time do to a ledger."""
    if what == "sum":
        sum_days(ledger, most=1 + number)
    if what == "prices":
        prices(ledger, (CARBON if number % 2 else BOOK).format(rate=f"1.{number}33333337", middle=iso(START_US + HOUR)))
    if what == "owners":
        owners(ledger, "".join(OWNER.format(team=("alpha", "beta")[(n + number) % 2], account=n) for n in range(2)))
    if what == "carbon" and number % 2:
        text = f"region,hour,g_per_kwh\nnorth,{iso(START_US + number * HOUR)},5{number}.25\n"
        import_carbon(ledger, text.encode(), "csv", source="carbon.csv", imported_us=NOW_US)
    if what == "close" and number == 3:
        close_period(ledger, CLOSED, closed_by="ann", exception="as it is")


def started(folder: Path) -> Ledger:
    """Return a priced ledger that knows four days of one device."""
    ledger = open_ledger(folder)
    step(ledger, "prices", 1)
    step(ledger, "owners", 0)
    clock = records("GPU-0009", START_US, START_US + DAYS * DAY_US, step_us=HOUR)
    assert ledger.ingest([usage_frame(0, clock, [device(9)])])[0].taken
    rate_dirty(ledger)
    return ledger


@settings(max_examples=4, deadline=None, suppress_health_check=list(HealthCheck))
@given(fleet=fleets(), later=st.lists(st.integers(0, 60), min_size=5, max_size=5), steps=st.lists(STEPS, max_size=6))
def test_days_are_what_their_charges_sum_to_whatever_happened(fleet: Fleet, later: list[int], steps: list[str]) -> None:
    """Late data, new prices, owners and carbon, a closed period, in any order: sums are exact, and no answer differs."""
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as ledger:
        for number, (what, (found, usage), hours) in enumerate(
            zip([*steps, *["sum"] * 5], [*fleet, *[(fleet[0][0], [])] * 11], [*later, *later, *later], strict=False), 1
        ):
            step(ledger, what, number)
            if usage:
                sent = usage_frame(number, moved(usage, hours), [found], HOLDERS)
                assert ledger.ingest([sent])[0].taken
            rate_dirty(ledger)
            assert plain.ask(ledger, KEPT) == plain.ask(ledger, SUMMED.format(day=DAY_US))
        while sum_days(ledger):
            pass
        assert plain.ask(ledger, "SELECT count(*) FROM summed_days") == [(DAYS,)]
        assert plain.ask(ledger, KEPT) == plain.ask(ledger, SUMMED.format(day=DAY_US))
        assert answers(ledger) == without_sums(ledger)


def test_late_data_takes_away_the_sums_of_its_day_alone(tmp_path: Path) -> None:
    """Rating an hour of a day that is summed leaves the other days; until it is summed again, its hours are read."""
    with started(tmp_path) as ledger:
        assert sum_days(ledger, most=9) == DAYS
        assert sum_days(ledger) == 0
        late = records("GPU-0001", START_US + DAY_US, START_US + DAY_US + HOUR, "pod:uid-1/c")
        assert ledger.ingest([usage_frame(1, late, [device(1)])])[0].taken
        assert sum_days(ledger) == 0, "what waits to be rated is not summed"
        rate_dirty(ledger)
        left = {day_us for (day_us,) in plain.ask(ledger, "SELECT day_us FROM summed_days")}
        touched = {day_us for (day_us,) in plain.ask(ledger, f"SELECT hour_us // {DAY_US} * {DAY_US} FROM charges")}
        assert MIDNIGHT_US in left, "a day before it stands"
        assert MIDNIGHT_US + DAY_US in touched - left
        assert answers(ledger) == without_sums(ledger)


def test_sums_are_read_in_place_of_charges(tmp_path: Path) -> None:
    """A question about whole days reads sums: charges of them may be gone from the table, and nothing changes."""
    with started(tmp_path) as ledger:
        sum_days(ledger, most=9)
        before = answers(ledger)["idle_power", ""]
        with ledger.transaction() as session:
            inside = f"hour_us >= {MIDNIGHT_US + DAY_US} AND hour_us < {MIDNIGHT_US + 3 * DAY_US}"
            session.script(f"DELETE FROM charges WHERE {inside}", label="tampering")
        assert answers(ledger)["idle_power", ""] == before
        assert without_sums(ledger)["idle_power", ""] != before


def test_the_proof_holds_sums_against_charges(tmp_path: Path) -> None:
    """Sums that somebody changed are a violation that names the device and the day."""
    with started(tmp_path) as ledger:
        sum_days(ledger, most=9)
        assert not [each for each in reconcile(ledger, WHOLE).violations if each.code == "days"]
        with ledger.transaction() as session:
            day = f"day_us = {MIDNIGHT_US + DAY_US}"
            session.script(
                f"UPDATE charge_days SET cost_quanta = 7, held_us = held_us - 1 WHERE {day}", label="tampering"
            )
        [found] = [each for each in reconcile(ledger, WHOLE).violations if each.code == "days"]
    assert "GPU-0009" in found.detail
    assert iso(MIDNIGHT_US + DAY_US) in found.detail


@pytest.mark.parametrize(
    ("days", "run"),
    [([], (0, 0)), ([0], (0, 1)), ([3], (3, 4)), ([0, 1, 5, 6, 7, 9], (5, 8)), ([0, 1, 5, 6], (0, 2))],
)
def test_the_longest_run_of_days_is_read(days: list[int], run: tuple[int, int]) -> None:
    """Of days with gaps the longest run without one; of equal ones the first."""
    assert longest_run([each * DAY_US for each in days]) == (run[0] * DAY_US, run[1] * DAY_US)
