"""Chargeback, utilisation, idle time and the timeline: one hour of four devices whose figures can be added by hand."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.queries.chargeback import Chargeback, ChargebackRow, chargeback
from collector.queries.grouping import BY, BY_HOLDER, VIEWS
from collector.queries.idle import idle
from collector.queries.timeline import timeline
from collector.queries.utilization import utilization
from collector.rating import rate_dirty
from gpuledger.accounting.idle_policy import POLICIES
from gpuledger.accounting.periods import Period, parse_period
from gpuledger.accounting.units import GPU_PARTS, MJ_PER_KWH, US_PER_DAY, US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.model import Device, Holder, State, UsageRecord, Workload
from gpuledger.wire import MAX_UNITS
from tests.collector.batches import EVIDENCE, START_US
from tests.collector.fleet import open_ledger, owners, prices, usage_frame

HOUR = US_PER_HOUR
PERIOD = Period(START_US, START_US + HOUR, "an hour")
H100, T4 = "NVIDIA H100 80GB HBM3", "Tesla T4"
DEVICES = (
    Device(key="GPU-a", kind="gpu", model=H100),
    Device(key="GPU-b", kind="gpu", model=H100),
    Device(key="MIG-c", kind="mig", model="NVIDIA A100-SXM4-40GB", parts=420, board="GPU-c", mig_profile="3g.20gb"),
    Device(key="GPU-d", kind="gpu", model=T4),
)
VISION = Holder(
    key="pod:1/c",
    kind="pod",
    namespace="vision-prod",
    pod="train-0",
    user="anna",
    workload=Workload("mlflow", name="resnet"),
)
NLP = Holder(key="pod:2/c", kind="pod", namespace="nlp", pod="notebook-0")
STRAY = Holder(key="user:1000", kind="user", user="mallory")
BOOK = f"""
currency = "EUR"
[[price]]
model = "{H100}"
rate = "2.40"
carbon_g_per_kwh = "500"
[[price]]
model = "NVIDIA A100*"
rate = "1.00"
carbon_g_per_kwh = "500"
"""
OWNERS = """
[[owner]]
team = "vision"
department = "research"
match.namespace = "vision-*"
[[owner]]
team = "nlp"
match.namespace = "nlp"
"""


def record(device: str, who: Holder | None, minutes: tuple[int, int], state: State, **facts: object) -> UsageRecord:
    """Return a record of some minutes of the hour, with energy of one kWh a GPU-hour."""
    start_us, end_us = (START_US + minute * HOUR // 60 for minute in minutes)
    fields: dict[str, object] = {
        "device": device, "holder": who.key if who else None, "start_us": start_us, "end_us": end_us, "state": state,
        "reason": "", "held_us": end_us - start_us, "active_us": 0, "energy_mj": (end_us - start_us) * MJ_PER_KWH // HOUR,
        "memory_mean_bytes": None, "memory_max_bytes": None, "evidence": EVIDENCE,
    }  # fmt: skip
    return UsageRecord(**{**fields, **facts})  # type: ignore[arg-type]


USAGE = (
    record("GPU-a", VISION, (0, 30), State.ACTIVE, active_us=HOUR // 4),
    record("GPU-a", VISION, (30, 60), State.HELD_IDLE, reason="memory_held"),
    record("GPU-b", NLP, (0, 15), State.HELD_UNOBSERVED, active_us=None, energy_mj=None),
    record("GPU-b", None, (15, 30), State.UNAVAILABLE, reason="gpu_lost"),
    record("GPU-b", None, (30, 60), State.IDLE, reason="free"),
    record("MIG-c", STRAY, (0, 60), State.ACTIVE, active_us=HOUR, energy_mj=0),
    record("GPU-d", VISION, (0, 30), State.ACTIVE, active_us=HOUR // 2),  # unpriced, then silent
)


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """Give the rated ledger of that hour."""
    with open_ledger(tmp_path_factory.mktemp("ledger")) as found:
        assert found.ingest([usage_frame(0, USAGE, DEVICES, (VISION, NLP, STRAY))])[0].taken
        prices(found, BOOK)
        owners(found, OWNERS)
        rate_dirty(found)
        yield found


def by_key(answer: Chargeback) -> dict[str, ChargebackRow]:
    return {row.key: row for row in answer.rows}


def test_the_allocation_view_charges_what_was_held(ledger: Ledger) -> None:
    """Each team pays for what it held; idle, unavailable, unobserved and unattributed time stand apart."""
    answer = chargeback(ledger, PERIOD)
    found = [(row.key, row.kind, row.gpu_hours, row.cost) for row in answer.rows]
    assert found == [
        ("vision", "owner", 1.5, "2.40"),
        ("nlp", "owner", 0.25, "0.60"),
        ("unattributed", "unattributed", 0.5, "0.50"),
        ("idle capacity", "idle", 0.5, "1.20"),
        ("unavailable", "unavailable", 0.25, "0.60"),
        ("unobserved", "unobserved", 0.5, None),
    ]
    assert (answer.total.cost, answer.total.gpu_hours) == ("5.30", 3.5)
    assert (answer.unpriced_gpu_hours, answer.unobserved_gpu_hours) == (1.0, 0.5)
    assert (answer.currency, answer.final, answer.pending_hours) == ("EUR", False, 0)


def test_the_usage_view_charges_what_was_active(ledger: Ledger) -> None:
    """Each team pays for its active time; what was held and not used, or not watched, makes up the same total."""
    answer = chargeback(ledger, PERIOD, view="usage")
    found = {row.key: (row.gpu_hours, row.cost) for row in answer.rows}
    assert found == {
        "vision": (0.75, "0.60"),
        "nlp": (0.0, None),  # nobody watched what it did: unknown, not nothing
        "unattributed": (0.5, "0.50"),
        "held, not used": (0.75, "1.80"),
        "idle capacity": (0.5, "1.20"),
        "unavailable": (0.25, "0.60"),
        "unobserved": (0.75, "0.60"),
    }
    assert (answer.total.cost, answer.total.gpu_hours) == ("5.30", 3.5)


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("view", ["allocation", "usage"])
def test_rows_sum_to_the_same_total_whatever_one_asks_by(ledger: Ledger, by: str, view: str) -> None:
    """In every grouping and view the rows' costs sum to the total exactly, and so do their hours."""
    answer = chargeback(ledger, PERIOD, by=by, view=view)
    assert sum(Decimal(row.cost) for row in answer.rows if row.cost) == Decimal("5.30")
    assert answer.total.cost == "5.30"
    assert sum(row.gpu_hours for row in answer.rows) == pytest.approx(3.5)
    assert len({(row.kind, row.key) for row in answer.rows}) == len(answer.rows)


@pytest.mark.parametrize("by", BY_HOLDER)
@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("policy", POLICIES)
def test_an_idle_policy_moves_cost_and_keeps_the_sum(ledger: Ledger, by: str, view: str, policy: str) -> None:
    """Whoever pays for time that nobody held, hours and total stay, and what is added is what is taken away."""
    before, after = (chargeback(ledger, PERIOD, by=by, view=view, idle_policy=name) for name in ("platform", policy))
    assert (after.total.cost, after.total.gpu_hours) == (before.total.cost, before.total.gpu_hours)
    assert sum(Decimal(row.cost or 0) for row in after.rows) == Decimal(before.total.cost or 0)
    if policy != "platform":
        assert sum(Decimal(row.shared_cost or 0) for row in after.rows) == 0
        left = sum(Decimal(row.cost or 0) for row in after.rows if row.kind in {"idle", "unavailable"})
        assert left == (0 if any(row.kind == "owner" for row in after.rows) else Decimal("1.80"))
    assert {row.key: row.states for row in after.rows} == {row.key: row.states for row in before.rows}


def test_owners_pay_for_idle_time_by_their_cost_or_evenly(ledger: Ledger) -> None:
    """Idle 1.20 and unavailable 0.60 go to vision (2.40) and nlp (0.60) as 4 to 1, or by halves; strays get nothing."""
    found = {name: by_key(chargeback(ledger, PERIOD, idle_policy=name)) for name in POLICIES}
    assert found["platform"]["vision"].shared_cost is None
    moved = Decimal("1.80") + Decimal(found["platform"]["unobserved"].cost or 0)
    for name, parts in (("proportional", (Decimal("0.8"), Decimal("0.2"))), ("even", (Decimal("0.5"),) * 2)):
        for team, part in zip(("vision", "nlp"), parts, strict=True):
            row = found[name][team]
            assert Decimal(row.shared_cost or 0) == moved * part
            assert Decimal(row.cost or 0) == Decimal(found["platform"][team].cost or 0) + moved * part
        assert found[name]["idle capacity"].shared_cost == "-1.20"
        assert found[name]["unattributed"].cost == found["platform"]["unattributed"].cost


def test_by_devices_nobody_can_pay_for_idle_time(ledger: Ledger) -> None:
    """A row of a device has its idle time in it, so another policy is refused with the next step."""
    with pytest.raises(ConfigError, match="by model a row is all the time of devices") as caught:
        chargeback(ledger, PERIOD, by="model", idle_policy="even")
    assert "team" in caught.value.hint


def test_time_without_a_price_has_no_cost(ledger: Ledger) -> None:
    """A model that the price book does not know costs None and its hours are counted as unpriced."""
    row = by_key(chargeback(ledger, PERIOD, by="model"))[T4]
    assert (row.cost, row.gpu_hours, row.unpriced_gpu_hours) == (None, 1.0, 1.0)


def test_energy_and_carbon_are_known_or_none(ledger: Ledger) -> None:
    """Carbon is energy at the intensity of the price that applies; unknown energy or intensity is None, never zero."""
    rows = by_key(chargeback(ledger, PERIOD))
    assert (rows["nlp"].energy_kwh, rows["nlp"].carbon_kg, rows["nlp"].active_gpu_hours) == (None, None, None)
    assert (rows["idle capacity"].energy_kwh, rows["idle capacity"].carbon_kg) == (0.5, 0.25)
    assert (rows["vision"].energy_kwh, rows["vision"].carbon_kg) == (1.5, None)  # half of it on the unpriced model


def test_by_device_properties_a_row_is_all_the_time_of_those_devices(ledger: Ledger) -> None:
    """By model, idle and lost time belong to the model: what the hour of those devices cost."""
    rows = by_key(chargeback(ledger, PERIOD, by="model"))
    assert (rows[H100].kind, rows[H100].gpu_hours, rows[H100].cost) == ("device", 2.0, "4.80")
    assert rows[H100].states == {
        "active": 0.5, "held_idle": 0.5, "idle": 0.5, "unavailable": 0.25, "held_unobserved": 0.25,
    }  # fmt: skip


def test_workloads_go_by_the_best_name_that_is_known(ledger: Ledger) -> None:
    """A workload's own name first, else its pod's, else its holder's."""
    assert {"resnet", "notebook-0", "user:1000"} <= by_key(chargeback(ledger, PERIOD, by="workload")).keys()


def test_a_bad_question_is_refused_with_the_nearest_good_one(ledger: Ledger) -> None:
    """An unknown grouping, view or grain, or a period off the hour, is an error with a hint."""
    with pytest.raises(ConfigError) as caught:
        chargeback(ledger, PERIOD, by="teams")
    assert 'did you mean "team"?' in caught.value.hint
    with pytest.raises(ConfigError, match="view"):
        chargeback(ledger, PERIOD, view="cash")
    with pytest.raises(ConfigError, match="grain"):
        timeline(ledger, PERIOD, grain="week")
    with pytest.raises(ConfigError, match="on the hour"):
        chargeback(ledger, parse_period("2026-11-01T00:30..2026-11-01T02:00"))


def test_a_period_without_anything_costs_nothing(ledger: Ledger) -> None:
    """Before the ledger begins there are no rows and the total is zero."""
    answer = chargeback(ledger, Period(0, HOUR, "long ago"))
    assert (answer.rows, answer.total.cost, answer.total.gpu_hours) == ([], "0.00", 0.0)


def test_utilisation_says_of_what(ledger: Ledger) -> None:
    """Active time over the held time that was watched, and over capacity: a team's over all devices'."""
    answer = utilization(ledger, PERIOD)
    rows = {row.key: row for row in answer.rows}
    assert (rows["vision"].active_of_held, rows["vision"].held_of_capacity) == (0.5, 0.428571)
    assert (rows["nlp"].active_of_held, rows["nlp"].active_gpu_hours) == (None, None)
    assert (answer.total.gpu_hours, answer.total.held_gpu_hours, answer.total.active_gpu_hours) == (3.5, 2.25, 1.25)
    model = {row.key: row for row in utilization(ledger, PERIOD, by="model").rows}[H100]
    assert (model.held_of_capacity, model.active_of_capacity) == (0.625, 0.125)


def test_held_idle_time_is_ranked_by_what_it_cost(ledger: Ledger) -> None:
    """Who held devices without work, why, and how much of what they held of that model that was."""
    answer = idle(ledger, PERIOD)
    [row] = answer.rows
    assert (row.key, row.workload, row.team, row.reason, row.model) == (
        "pod:1/c",
        "resnet",
        "vision",
        "memory_held",
        H100,
    )
    assert (row.gpu_hours, row.held_gpu_hours, row.share, row.cost) == (0.5, 1.0, 0.5, "1.20")
    assert (answer.total.holders, answer.total.gpu_hours, answer.total.cost) == (1, 0.5, "1.20")


def test_the_timeline_has_hours_by_state_and_costs_by_team(ledger: Ledger) -> None:
    """Each bucket's costs sum to its cost, and its states to its hours."""
    day = START_US // US_PER_DAY * US_PER_DAY
    [row] = timeline(ledger, Period(day, day + US_PER_DAY, "a day"), grain="day").rows
    assert row.costs == {
        "vision": "2.40", "nlp": "0.60", "unattributed": "0.50", "idle capacity": "1.20", "unavailable": "0.60",
        "unobserved": None,
    }  # fmt: skip
    assert (row.cost, row.gpu_hours, sum(row.states.values())) == ("5.30", 3.5, 3.5)
    assert [each.cost for each in timeline(ledger, PERIOD).rows] == ["5.30"]


def test_an_unrated_ledger_says_what_waits(tmp_path: Path) -> None:
    """Before rating there are no charges, and the answer says how many hours wait."""
    with open_ledger(tmp_path) as fresh:
        fresh.ingest([usage_frame(0, USAGE, DEVICES, (VISION, NLP, STRAY))])
        answer = chargeback(fresh, PERIOD)
    assert (answer.rows, answer.pending_hours, answer.currency) == ([], 1, None)


def test_the_largest_pool_that_is_taken_adds_up(tmp_path: Path) -> None:
    """Capacity, parts and cost at the limits of what the wire lets pass stay within what the ledger can multiply."""
    pool = Device("pool:c/p", "pool", H100, parts=GPU_PARTS, units=MAX_UNITS)
    rows = [record(pool.key, VISION, (0, 60), State.HELD_UNOBSERVED, held_us=HOUR, active_us=None, energy_mj=None)]
    with open_ledger(tmp_path) as ledger:
        [result] = ledger.ingest([usage_frame(0, rows, [pool], [VISION])])
        assert result.taken, result
        prices(ledger, BOOK)
        rate_dirty(ledger)
        total = chargeback(ledger, PERIOD).total
        assert total.gpu_hours == MAX_UNITS
        assert total.cost == f"{MAX_UNITS * 24 // 10}.00"
