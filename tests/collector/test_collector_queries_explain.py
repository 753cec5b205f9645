"""A charge explained: down to records, batches, price entry, owner rule and corrections, and its name finds it again."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.queries.charge_id import ChargeId, parse_charge_id
from collector.queries.explain import explain
from collector.queries.facts import charges
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from gpuledger.model import State
from tests.collector.batches import START_US, frame, holder, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices

HOUR = US_PER_HOUR
WHO = "pod:uid-1/c"
PERIOD = Period(START_US, START_US + 2 * HOUR, "two hours")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of one GPU: held for twenty minutes of the first hour, then free, and silent in the second."""
    with open_ledger(tmp_path) as found:
        held = records("GPU-0001", START_US, START_US + HOUR // 3, WHO)
        free = records("GPU-0001", START_US + HOUR // 3, START_US + HOUR)
        other = records("GPU-0002", START_US, START_US + 2 * HOUR)
        assert found.ingest([frame(0, [*held, *free, *other])])[0].taken
        prices(found, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3"\n')
        owners(found, '[[owner]]\nteam = "vision"\nmatch.namespace = "*"\n')
        rate_dirty(found)
        yield found


def test_every_charge_can_be_explained_by_its_name(ledger: Ledger) -> None:
    """Each row of the charges has a name, and the explanation of it has its cost, time and records."""
    for row in charges(ledger, PERIOD).rows:
        found = explain(ledger, charge=parse_charge_id(row.charge))
        assert (found.cost, found.held_us, found.team) == (row.cost, row.held_us, row.team)
        assert sum(record.held_us for record in found.rows) == (row.held_us if row.reason != "no_data" else 0)
        assert sum(Decimal(share.cost or 0) for share in found.hour) == 3
        assert row.charge in [share.charge for share in found.hour]


def test_an_explanation_names_price_owner_batch_and_method(ledger: Ledger) -> None:
    """Who had what, which rule, which entry of which file, what the hour cost, and how final that is."""
    name = ChargeId(START_US, "c1", "node-a", "GPU-0001", WHO, State.ACTIVE, "")
    found = explain(ledger, charge=name)
    assert found.steps == [
        f"{WHO} had GPU-0001 active for 20.000 of 60.000 minutes",
        'vision pays by rule 1: namespace "team-1" matches "*" (version 1 of the owner mapping, owners.toml)',
        'price entry 1 (model "*") of version 1 (prices.toml) says 3.00 an hour: 3.00',
        "the device's hour cost 3.00, rounded once; this charge's share by time is 1.00",
        "provisional: its period is open",
    ]
    assert found.price is not None
    assert (found.price.version, found.price.source, len(found.price.digest)) == (1, "prices.toml", 64)
    assert len(found.rows) == 20
    first = found.rows[0]
    assert (first.start, first.agent, first.sequence, len(first.batch_digest) > 0) == (iso(START_US), "node-a", 0, True)
    assert first.holder_method
    close_period(ledger, Period(START_US, START_US + HOUR, "first"), closed_by="ann")
    closed = explain(ledger, charge=name)
    assert closed.steps[-1].startswith("final: first was closed on ")
    assert closed.steps[-1].endswith(" by ann")
    assert closed.period_digest


def test_a_correction_stands_on_what_it_corrects(ledger: Ledger) -> None:
    """What a later bill took back is shown with the charge that it was for."""
    close_period(ledger, PERIOD, closed_by="ann")
    late = [
        *records("GPU-0001", START_US + HOUR, START_US + 2 * HOUR, WHO),
        *records("GPU-0002", PERIOD.end_us, PERIOD.end_us + HOUR),
    ]
    assert ledger.ingest([frame(1, late)])[0].taken
    next_ = Period(PERIOD.end_us, PERIOD.end_us + HOUR, "next")
    close_period(ledger, next_, closed_by="ann", exception="GPU 1 is silent")
    silent = ChargeId(START_US + HOUR, "c1", "node-a", "GPU-0001", "", State.UNOBSERVED, "no_data")
    (found,) = explain(ledger, charge=silent).corrections
    assert (found.period, found.held_us, found.cost) == ("next", -HOUR, "-3.00")

    active = ChargeId(START_US + HOUR, "c1", "node-a", "GPU-0001", WHO, State.ACTIVE, "")
    came = explain(ledger, charge=active)
    assert (came.cost, came.held_us, came.corrections[0].cost) == ("0.00", 0, "3.00")
    assert came.steps[0].startswith("not on its bill: two hours was closed on ")


def test_records_that_came_after_the_close_are_told_apart(tmp_path: Path) -> None:
    """They stand among the evidence, and do not explain what was billed."""
    clock, third = VirtualClock(NOW_US), HOUR // 3
    with Ledger.open(tmp_path, clock=clock) as ledger:
        usage = [*records("GPU-0001", START_US, START_US + third, WHO), *records("GPU-0002", START_US, START_US + HOUR)]
        assert ledger.ingest([frame(0, usage)])[0].taken
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3"\n')
        close_period(ledger, Period(START_US, START_US + HOUR, "first"), closed_by="ann")
        name = ChargeId(START_US, "c1", "node-a", "GPU-0001", WHO, State.ACTIVE, "")
        before = explain(ledger, charge=name)
        clock.advance_to(NOW_US + HOUR)
        assert ledger.ingest([frame(1, records("GPU-0001", START_US + third, START_US + 2 * third, WHO))])[0].taken
        rate_dirty(ledger)
        found = explain(ledger, charge=name)
        assert (found.cost, found.held_us) == (before.cost, before.held_us) == ("1.00", third)
        assert found.steps[:-1] == before.steps
        assert found.steps[-1].startswith("20 of its 40 records came after that")


def test_a_holder_whose_labels_change_within_the_hour_has_each_owner_named(tmp_path: Path) -> None:
    """One name, two versions of the holder, two teams: the explanation says which part each of them pays."""
    with open_ledger(tmp_path) as ledger:
        prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3"\n')
        owners(ledger, "".join(f'[[owner]]\nteam = "{t}"\nmatch."label.t" = "{t}"\n' for t in ("vision", "speech")))
        third = HOUR // 3
        for sequence, (team, start_us, end_us) in enumerate((("vision", 0, third), ("speech", third, HOUR))):
            usage = records("GPU-0001", START_US + start_us, START_US + end_us, WHO)
            assert ledger.ingest([frame(sequence, usage, holders=[holder(1, labels={"t": team})])])[0].taken
        rate_dirty(ledger)
        found = explain(ledger, charge=ChargeId(START_US, "c1", "node-a", "GPU-0001", WHO, State.ACTIVE, ""))
        assert (found.cost, found.team) == ("3.00", "speech and vision")
        assert [step.split(" by ")[0] for step in found.steps[1:3]] == [
            "vision pays for 20.000 minutes",
            "speech pays for 40.000 minutes",
        ]


def test_time_without_a_price_says_so(tmp_path: Path) -> None:
    """No entry is no cost, and the explanation says that it is not free."""
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + HOUR, WHO))])
        rate_dirty(ledger)
        found = explain(ledger, charge=ChargeId(START_US, "c1", "node-a", "GPU-0001", WHO, State.ACTIVE, ""))
        assert (found.cost, found.price, found.owner) == (None, None, None)
        assert any("unpriced, not free" in step for step in found.steps)


@given(
    st.builds(
        ChargeId,
        st.integers(0, 10**6).map(lambda n: n * HOUR),
        *[st.text(st.one_of(st.sampled_from("@%402 5"), st.characters(exclude_categories=["Cs"])), max_size=9)] * 4,
        st.sampled_from(State),
        st.sampled_from(["", "free", "no_data"]),
        st.just(0) | st.integers(0, HOUR - 1) | st.integers(0, 3599).map(lambda second: second * 1_000_000),
    )
)
def test_a_name_is_read_as_it_was_written(name: ChargeId) -> None:
    """Whatever the fields hold, the name is theirs alone."""
    assert parse_charge_id(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "2026-01-01T00@c@n@d@h@active",
        "2026-01-01T00@c@n@d@h@busy@",
        "2026-13-01T00@c@n@d@h@idle@",
        "2026-01-01T00:30@c@n@d@h@idle@",
    ],
)
def test_what_is_no_name_is_refused_with_where_to_find_one(text: str) -> None:
    """The hint says where names stand."""
    with pytest.raises(ConfigError) as caught:
        parse_charge_id(text)
    assert caught.value.hint


def test_a_charge_that_is_not_there(ledger: Ledger) -> None:
    """A well-formed name of nothing is said to be that."""
    with pytest.raises(ConfigError, match="there is no charge"):
        explain(ledger, charge=ChargeId(START_US, "c1", "node-a", "GPU-9", "", State.IDLE, "free"))
