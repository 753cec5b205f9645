"""Invoices: exact amounts into whole cents, without losing or making one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.periods.invoicing import QUANTA_PER_CENT, Billed, make_invoices, split_cents
from gpuledger.accounting.currencies import smallest_cents
from gpuledger.errors import ConservationError
from gpuledger.model import State

CENT = QUANTA_PER_CENT


def billed(
    team: str, cost_quanta: int, *, kind: str = "charge", state: State = State.ACTIVE, part_us: int = 9
) -> Billed:
    return Billed("acme", "", team, kind, "", "H100", "", int(state), "", "", part_us, cost_quanta)


@given(st.lists(st.integers(-(10**15), 10**15), max_size=8))
def test_cents_sum_to_the_rounded_total(amounts: list[int]) -> None:
    """The total is rounded once; each amount is within a cent of its own."""
    cents = split_cents(amounts)
    total = sum(amounts)
    assert 2 * abs(sum(cents) * CENT - total) <= CENT
    assert all(abs(got * CENT - exact) < CENT for got, exact in zip(cents, amounts, strict=True))


@pytest.mark.parametrize("total", [0, 4])
def test_a_total_that_is_not_theirs_is_refused(total: int) -> None:
    """Cents are never spread over lines that do not come to them."""
    with pytest.raises(ConservationError, match="are not what"):
        split_cents([CENT, CENT // 2], total)


def test_a_half_cent_goes_to_the_even_one() -> None:
    """Rounding is half to even, as everywhere else."""
    assert [split_cents([CENT // 2]), split_cents([3 * CENT // 2]), split_cents([-CENT // 2])] == [[0], [2], [0]]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-(10**12), 10**12)), max_size=12))
def test_a_currency_without_cents_is_payable_in_whole_units(rows: list[tuple[str, int]]) -> None:
    """A yen has no hundredths: total, invoices and lines are whole ones, and each is within a yen of its own."""
    found = make_invoices([billed(team, cost) for team, cost in sorted(rows)], 1, smallest_cents("JPY"))
    total = sum(cost for _, cost in rows)
    assert 2 * abs(sum(one.payable_cents for one in found) * CENT - total) <= 100 * CENT
    for one in found:
        assert sum(line.payable_cents for line in one.lines) == one.payable_cents
        for payable, exact in [
            (one.payable_cents, one.cost_quanta),
            *((each.payable_cents, each.billed.cost_quanta) for each in one.lines),
        ]:
            assert payable % 100 == 0
            assert abs(payable * CENT - exact) < 100 * CENT


def test_each_owner_has_one_invoice_and_numbers_have_no_gap() -> None:
    """Lines of one owner are one document; time that nobody owns is a document of its own."""
    found = make_invoices([billed("", 5 * CENT), billed("a", 3 * CENT), billed("a", CENT), billed("b", 0)], 41)
    assert [(one.number, one.owner[2], one.payable_cents, len(one.lines)) for one in found] == [
        (41, "", 5, 1),
        (42, "a", 4, 2),
        (43, "b", 0, 1),
    ]
    assert {one.kind for one in found} == {"invoice"}


def test_what_gives_money_back_is_a_credit_note() -> None:
    """An owner whose corrections exceed its charges gets a credit note."""
    (found,) = make_invoices([billed("a", CENT), billed("a", -3 * CENT, kind="correction")], 1)
    assert (found.kind, found.payable_cents, found.cost_quanta) == ("credit_note", -2, -2 * CENT)


@pytest.mark.parametrize(
    ("state", "observed"), [(State.ACTIVE, 9), (State.HELD_UNOBSERVED, 0), (State.UNOBSERVED, 0), (State.IDLE, 9)]
)
def test_completeness_is_the_time_that_somebody_watched(state: State, observed: int) -> None:
    """Held or not, what nobody saw is not complete."""
    (found,) = make_invoices([billed("a", CENT, state=state)], 1)
    assert (found.part_us, found.observed_part_us) == (9, observed)


def test_corrections_do_not_count_as_watched_time() -> None:
    """What an earlier period gets back would make this one more complete than whole."""
    rows = [billed("a", CENT), billed("a", -CENT, kind="correction", state=State.UNOBSERVED, part_us=-5)]
    (found,) = make_invoices([*rows, billed("a", CENT, kind="correction", part_us=5)], 1)
    assert (found.part_us, found.observed_part_us) == (9, 9)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(-(10**12), 10**12)), max_size=12))
def test_invoices_sum_to_the_period(rows: list[tuple[str, int]]) -> None:
    """Exact amounts sum exactly, payable ones to the rounded total, and each invoice's lines to the invoice."""
    ordered = [billed(team, cost) for team, cost in sorted(rows)]
    found = make_invoices(ordered, 1)
    assert sum(one.cost_quanta for one in found) == sum(cost for _, cost in rows)
    assert sum(one.payable_cents for one in found) == sum(split_cents([cost for _, cost in sorted(rows)]))
    for one in found:
        assert sum(line.payable_cents for line in one.lines) == one.payable_cents
