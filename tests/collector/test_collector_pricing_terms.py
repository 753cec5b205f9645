"""Rates that are built up, discounted or in another currency: in files, in the ledger, in its answers and its proof."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.ledger.database import connect
from collector.ledger.migrate import load, migrate
from collector.ledger.store import Ledger
from collector.pricing.files import parse_price_book
from collector.pricing.stored import newest_prices
from collector.queries.books import prices as prices_of
from collector.queries.charge_id import parse_charge_id
from collector.queries.explain import explain
from collector.queries.facts import charges as charge_rows
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import PriceBookError
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import charges, open_ledger, prices

BUILT = """
currency = "EUR"
[[price]]
model = "*"
capital_cost = "28000"
depreciation_months = 48
energy_price_per_kwh = "0.21"
pue = "1.3"
power_w = "700"
overhead_per_hour = "0.12"
overhead_percent = "8"
discount_percent = "10"
"""
BUILT_CSV = """currency,model,capital_cost,depreciation_months,energy_price_per_kwh,pue,power_w,overhead_per_hour,\
overhead_percent,discount_percent,rate,exchange_rate,exchange_source,exchange_date
EUR,*,28000,48,0.21,1.3,700,0.12,8,10,,,,
USD,NVIDIA B200,,,,,,,,,5,0.9,ECB,2026-07-01
"""
DOLLARS = """
currency = "EUR"
[[price]]
model = "*"
rate = "3.00"
discount_percent = "10"
currency = "USD"
exchange_rate = "0.91"
exchange_source = "ECB reference rate"
exchange_date = 2026-07-01
"""
LIST_RATE, RATE = 1_198_428_707, 1_078_585_836


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a ledger of one device that was held for an hour."""
    found = open_ledger(tmp_path)
    found.ingest([frame(0, records("GPU-0001", START_US, START_US + US_PER_HOUR, "pod:uid-1/c"))])
    return found


HOUR = Period(START_US, START_US + US_PER_HOUR, "an hour")


def test_both_formats_hold_the_same_terms() -> None:
    """Components in TOML and in CSV make the same entry, and a line of a CSV may have a currency of its own."""
    book = parse_price_book(BUILT_CSV.encode(), "csv", "prices.csv")
    assert book.entries[:1] == parse_price_book(BUILT.encode(), "toml", "prices.toml").entries
    assert book.currency == "EUR"
    assert (book.entries[1].rate_quanta, book.entries[1].terms and book.entries[1].terms.currency) == (
        45 * 10**8,
        "USD",
    )


def test_a_csv_of_foreign_lines_alone_says_its_own_currency() -> None:
    """Where every line has an exchange rate, `book_currency` says what they are into; without it nobody knows."""
    line = "NVIDIA B200,5,USD,0.9,ECB,2026-07-01"
    head = "model,rate,currency,exchange_rate,exchange_source,exchange_date"
    book = parse_price_book(f"{head},book_currency\n{line},EUR\n".encode(), "csv", "prices.csv")
    assert (book.currency, book.entries[0].rate_quanta) == ("EUR", 45 * 10**8)
    with pytest.raises(PriceBookError, match="the book has none"):
        parse_price_book(f"{head}\n{line}\n".encode(), "csv", "prices.csv")


def test_a_built_up_rate_is_kept_with_its_costs_and_charged(ledger: Ledger) -> None:
    """What comes back from the ledger is the entry that was imported, and the hour costs its contracted rate."""
    book = prices(ledger, BUILT)
    assert (book.entries[0].list_quanta, book.entries[0].rate_quanta) == (LIST_RATE, RATE)
    with ledger.snapshot() as session:
        stored = newest_prices(session)
    assert stored is not None
    assert stored.book.entries == book.entries
    rate_dirty(ledger)
    assert [row["cost_quanta"] for row in charges(ledger)] == [RATE]
    assert reconcile(ledger, HOUR).ok


def test_lists_and_explanations_say_how_a_rate_came_about(ledger: Ledger) -> None:
    """`price list` has list rate, discount and each cost in words; `explain` repeats them for the charge."""
    prices(ledger, DOLLARS)
    rate_dirty(ledger)
    (row,) = prices_of(ledger).rows
    assert (row.rate, row.list_rate, row.discount_percent) == ("2.457", "2.73", "10")
    assert (row.currency, row.exchange_rate, row.exchange_source, row.exchange_date) == (
        "USD",
        "0.91",
        "ECB reference rate",
        "2026-07-01",
    )
    found = explain(ledger, charge=parse_charge_id(charge_rows(ledger, HOUR).rows[0].charge))
    assert found.price is not None
    assert (found.price.rate, found.price.list_rate, found.price.built) == ("2.457", "2.73", row.built)
    assert (
        "that rate follows from list rate: 3 USD an hour; exchange: 1 USD = 0.91 (ECB reference rate, 2026-07-01);"
        " discount: 10%" in found.steps
    )


def test_the_proof_works_out_a_rate_again(ledger: Ledger) -> None:
    """A stored cost that was changed behind the ledger's back no longer gives the rate that charges have."""
    prices(ledger, BUILT)
    rate_dirty(ledger)
    with ledger.transaction() as session:
        session.script("UPDATE price_entries SET capital_cost = 29000", label="a change behind the ledger's back")
    found = reconcile(ledger, HOUR)
    assert [violation.code for violation in found.violations] == ["price"]
    assert "does not follow from price entry 1" in found.violations[0].detail


CAPITAL = 'capital_cost = "28000"\ndepreciation_months = 48\n'
OTHER = 'rate = "3"\ncurrency = "USD"\n'
EXCHANGE = 'exchange_rate = "0.9"\nexchange_source = "ECB"\nexchange_date = "2026-07-01"\n'


@pytest.mark.parametrize(
    ("lines", "says", "hint"),
    [
        (CAPITAL + 'rate = "1"', "rate beside capital_cost", "leave rate out"),
        ('capital_cost = "28000"', "capital_cost without depreciation_months", "none is guessed"),
        ('energy_price_per_kwh = "0.2"\npue = "1"', "energy_price_per_kwh without power_w", "none is guessed"),
        ('overhead_percent = "8"', "overhead_percent of nothing", "on top of"),
        (CAPITAL + 'pue = "0.9"\npower_w = "1"\nenergy_price_per_kwh = "1"', 'pue "0.9" is under 1', "adds nothing"),
        (CAPITAL.replace("48", "0"), "depreciation_months 0 is not a whole number", "depreciation_months = 48"),
        (CAPITAL.replace("48", "1.5"), "depreciation_months 1.5 is not a whole number", "depreciation_months = 48"),
        (CAPITAL.replace("48", "true"), "depreciation_months True is not a whole number", "depreciation_months = 48"),
        (CAPITAL.replace('"28000"', '"-1"'), 'capital_cost "-1" is negative', "zero or more"),
        (CAPITAL.replace('"28000"', "28000"), "capital_cost is 28000, a number that need not", '"28000"'),
        (CAPITAL.replace("28000", "100000001"), "over 100000000", "per GPU"),
        (CAPITAL.replace("28000", "0"), "add up to a rate of nothing", 'rate = "0"'),
        (CAPITAL.replace("28000", "99999999").replace("48", "1") + 'overhead_percent = "10000"', "over 1000000", ""),
        ('rate = "1"\ndiscount_percent = "101"', "discount_percent 101 is over 100", "credits are not prices"),
        (OTHER, "currency USD beside EUR without exchange_rate and exchange_source and exchange_date", "1 USD"),
        (OTHER.replace("USD", "USB") + EXCHANGE, "'USB' is not a currency code", 'did you mean "USD"'),
        (OTHER.replace("USD", "EUR") + EXCHANGE, "exchange_rate, and the entry is in EUR as the book", "leave"),
        (OTHER + EXCHANGE.replace("0.9", "0"), "exchange_rate 0 cannot be", "more than zero"),
        (OTHER + EXCHANGE.replace("2026-07-01", "July"), "exchange_date 'July' is not a day", "2026-07-01"),
        (OTHER + EXCHANGE.replace("0.9", "0.1234567890123"), "has 13 decimals", "at most 12"),
    ],
)
def test_a_mistake_in_the_terms_is_named(lines: str, says: str, hint: str) -> None:
    """Half a component, a rate beside one, what cannot be: each is refused with its entry and the next step."""
    content = f'currency = "EUR"\n[[price]]\nmodel = "m"\n{lines}\n'
    with pytest.raises(PriceBookError) as caught:
        parse_price_book(content.encode(), "toml", "prices.toml")
    assert caught.value.message.startswith("prices.toml: entry 1: ")
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_an_older_ledger_keeps_its_entries(tmp_path: Path) -> None:
    """Books that were imported before there were terms, directories and regions mean what they meant."""
    session = connect(tmp_path, read_only=False, threads=1)
    migrate(session, load()[:3], START_US)
    session.script(
        """
        INSERT INTO price_books VALUES (1, 5, 'old.toml', 'x', 'EUR', '');
        INSERT INTO price_entries VALUES (1, 0, '', '', '*', '', 2000000000, 118, NULL, NULL);
        INSERT INTO owner_maps VALUES (1, 5, 'old.toml', 'x', '');
        INSERT INTO owner_rules VALUES (1, 0, '', '', 'vision', '', '[["kind","*"]]', NULL, NULL);
        """,
        label="books of an older version",
    )
    session.close()
    with open_ledger(tmp_path) as ledger:
        (row,) = prices_of(ledger).rows
        assert (row.rate, row.list_rate, row.built, row.carbon_g_per_kwh, row.carbon_region) == (
            "2.00",
            "2.00",
            [],
            "118",
            "",
        )
        assert ledger.ingest([frame(0, records("GPU-0001", START_US, HOUR.end_us, "pod:uid-1/c"))])[0].taken
        rate_dirty(ledger)
        assert [(charge["team"], charge["cost_quanta"]) for charge in charges(ledger)] == [("vision", 2 * 10**9)]
        assert reconcile(ledger, HOUR).ok
        assert prices(ledger, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\ncarbon_g_per_kwh = "118"\n')
        assert rate_dirty(ledger).hours == 0  # the same entry, under another file
