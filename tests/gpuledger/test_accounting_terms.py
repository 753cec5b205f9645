"""Terms of a price: built-up rates, discounts and exchange, worked out exactly and rounded once."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.currencies import CODES, nearest
from gpuledger.accounting.pricebook import PriceEntry, device_list_rate_quanta, device_rate_quanta
from gpuledger.accounting.terms import HOURS_PER_MONTH, RateTerms

D = Decimal
BUILT = RateTerms(
    capital_cost=D(28_000),
    depreciation_months=48,
    energy_price_per_kwh=D("0.21"),
    pue=D("1.3"),
    power_w=D(700),
    overhead_per_hour=D("0.12"),
    overhead_percent=D(8),
)
AMOUNTS = st.decimals(0, 99_999, places=9)
PERCENTS = st.decimals(0, 100, places=6)


def test_a_built_up_rate_is_what_its_costs_come_to_by_hand() -> None:
    """28,000 over 48 x 730.485 h, 0.21 x 1.3 x 0.7 kW and 0.12, and 8% on top of them: 1.198428707 an hour."""
    by_hand = (D(28_000) / (48 * D("730.485")) + D("0.21") * D("1.3") * D("0.7") + D("0.12")) * D("1.08")
    assert BUILT.rate_quanta == int(by_hand.quantize(D("0.000000001")).scaleb(9))
    assert BUILT.list_quanta == BUILT.rate_quanta
    assert BUILT.explain() == [
        "capital: 28000 over 48 months of 730.485 hours = 0.798556210 an hour",
        "energy: 0.21 per kWh x PUE 1.3 x 700 W = 0.191100000 an hour",
        "overhead: by the hour = 0.120000000 an hour",
        "overhead: 8% of the above = 0.088772497 an hour",
    ]


def test_a_month_is_the_mean_month_of_the_calendar() -> None:
    """400 years of 365.2425 days are 4,800 months of 730.485 hours."""
    assert Fraction("730.485") == HOURS_PER_MONTH
    assert HOURS_PER_MONTH * 4_800 == 146_097 * 24


@pytest.mark.parametrize(
    ("rate", "discount", "quanta"),
    [("0.000000001", "50", 0), ("0.000000003", "50", 2), ("0.000000005", "50", 2), ("2.49", "12.5", 2_178_750_000)],
)
def test_a_half_goes_to_the_even_quantum(rate: str, discount: str, quanta: int) -> None:
    """Half a quantum is rounded to the even one, once, after everything else."""
    assert RateTerms(stated_rate=D(rate), discount_percent=D(discount)).rate_quanta == quanta


@given(capital=AMOUNTS, months=st.integers(1, 600))
def test_depreciation_adds_up_to_the_capital_cost(capital: Decimal, months: int) -> None:
    """All hours of all months at the rate differ from the capital cost by less than half a quantum an hour."""
    rate = RateTerms(capital_cost=capital, depreciation_months=months).rate_quanta
    hours = months * HOURS_PER_MONTH
    assert abs(rate * hours - Fraction(capital) * 10**9) <= hours / 2


@given(
    terms=st.builds(
        RateTerms,
        stated_rate=st.none(),
        capital_cost=AMOUNTS,
        depreciation_months=st.integers(1, 600),
        energy_price_per_kwh=AMOUNTS,
        pue=st.decimals(1, 3, places=3),
        power_w=st.decimals(1, 2000, places=1),
        overhead_per_hour=AMOUNTS,
        overhead_percent=PERCENTS,
        discount_percent=PERCENTS,
        currency=st.just("USD"),
        exchange_rate=st.decimals("0.000001", 1000, places=12),
    )
)
def test_every_rate_is_the_exact_one_rounded_once(terms: RateTerms) -> None:
    """However many terms there are, neither rate is more than half a quantum off, and a discount never adds."""
    parts = sum((part.per_hour for part in terms.components), Fraction(0))
    exact = parts * Fraction(terms.exchange_rate or 0) * 10**9
    kept = 1 - Fraction(terms.discount_percent or 0) / 100
    assert abs(terms.list_quanta - exact) <= Fraction(1, 2)
    assert abs(terms.rate_quanta - exact * kept) <= Fraction(1, 2)
    assert 0 <= terms.rate_quanta <= terms.list_quanta


def test_an_exchange_rate_converts_once_and_is_told() -> None:
    """3.00 USD at 0.91 and less 10% are 2.457; the list rate is 2.73 in the book's currency."""
    terms = RateTerms(
        stated_rate=D("3.00"),
        discount_percent=D(10),
        currency="USD",
        exchange_rate=D("0.910000000000"),
        exchange_source="ECB",
        exchange_date="2026-07-01",
    )
    assert (terms.list_quanta, terms.rate_quanta) == (2_730_000_000, 2_457_000_000)
    assert terms.explain() == [
        "list rate: 3 USD an hour",
        "exchange: 1 USD = 0.91 (ECB, 2026-07-01)",
        "discount: 10%",
    ]


def test_a_rate_that_is_simply_stated_has_nothing_to_explain() -> None:
    """A plain rate needs no steps."""
    assert RateTerms(stated_rate=D("2.49")).explain() == []


def test_an_entry_whose_rate_is_not_that_of_its_terms_is_told() -> None:
    """`follows` holds where both rates are those of the terms, and always where there are no terms."""
    good = PriceEntry("m", BUILT.rate_quanta, terms=BUILT)
    assert good.follows
    assert not good._replace(rate_quanta=BUILT.rate_quanta + 1, list_rate_quanta=BUILT.list_quanta).follows
    assert not good._replace(list_rate_quanta=BUILT.list_quanta + 1).follows
    assert PriceEntry("m", 5).follows


def test_a_slice_pays_its_share_of_both_rates() -> None:
    """A half card pays half of the list and of the contracted rate; an entry for a profile is for all of it."""
    entry = PriceEntry("m", 90, list_rate_quanta=100)
    assert (device_rate_quanta(entry, 420), device_list_rate_quanta(entry, 420)) == (45, 50)
    profile = entry._replace(mig_profile="1g.5gb")
    assert (device_rate_quanta(profile, 120), device_list_rate_quanta(profile, 120)) == (90, 100)


def test_currency_codes_are_those_that_bills_are_written_in() -> None:
    """All are three capital letters; gold, test and no-currency codes are left out, and a slip finds its code."""
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in CODES)
    assert {"EUR", "USD", "GBP", "JPY", "CNY", "INR", "KRW", "BGN", "XOF"} <= CODES
    assert not {"XXX", "XTS", "XAU", "DEM", "BTC"} & CODES
    found = [nearest(text) for text in ("eur", "EURO", "UDS", "$", "")]
    assert found[:3] == ["EUR", "EUR", "USD"]
    assert found[3:] == [None, None]
