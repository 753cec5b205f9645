"""Imports of prices and owners: whole versions, once each, and only the hours that they change are rated again."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.pricing.imports import import_owners, import_prices
from collector.queries.books import owners as owners_of
from collector.queries.books import prices as prices_of
from collector.queries.status import status
from collector.rating import rate_dirty
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.errors import LedgerError, PriceBookError
from gpuledger.model import Device
from tests.collector.batches import START_US, frame, holder, records
from tests.collector.fleet import NOW_US, charges, open_ledger, owners, prices, usage_frame

FLAT = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\n'
CHANGE = iso(START_US + 2 * US_PER_HOUR)
LATER = f"""
currency = "EUR"
[[price]]
model = "*"
rate = "2"
to = {CHANGE}
[[price]]
model = "*"
rate = "3"
from = {CHANGE}
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return a ledger of one device that was held for three hours."""
    found = open_ledger(tmp_path)
    found.ingest([frame(0, records("GPU-0001", START_US, START_US + 3 * US_PER_HOUR, "pod:uid-1/c"))])
    rate_dirty(found)
    return found


def test_a_file_is_a_version_and_the_same_file_changes_nothing(ledger: Ledger) -> None:
    """The same content again stores no version and marks no hour; another one is the next version."""
    first = import_prices(ledger, FLAT.encode(), "toml", source="a.toml", imported_us=NOW_US)
    assert (first.version, first.entries, first.changed) == (1, 1, True)
    rate_dirty(ledger)
    again = import_prices(ledger, FLAT.encode(), "toml", source="b.toml", imported_us=NOW_US)
    assert (again.version, again.changed) == (1, False)
    assert rate_dirty(ledger).hours == 0
    assert import_prices(ledger, LATER.encode(), "toml", source="a.toml", imported_us=NOW_US).version == 2


def test_going_back_to_an_older_file_is_a_new_version(ledger: Ledger) -> None:
    """History is never edited: what was in force before comes back as a version of its own."""
    found = [
        import_prices(ledger, text.encode(), "toml", source="a.toml", imported_us=NOW_US).version
        for text in (FLAT, LATER, FLAT)
    ]
    assert found == [1, 2, 3]


def test_hours_are_rated_with_the_price_of_their_time(ledger: Ledger) -> None:
    """A book whose rate changes after two hours charges two hours at the old rate and one at the new."""
    prices(ledger, LATER)
    assert rate_dirty(ledger).hours == 3
    assert [row["cost_quanta"] for row in charges(ledger)] == [2 * 10**9, 2 * 10**9, 3 * 10**9]
    assert [row["price_entry"] for row in charges(ledger)] == [0, 0, 1]


def test_before_any_price_charges_are_unpriced(ledger: Ledger) -> None:
    """Without a price book charges exist with their time, and have no cost."""
    assert [(row["held_us"], row["cost_quanta"]) for row in charges(ledger)] == [(US_PER_HOUR, None)] * 3


def test_only_hours_that_an_import_changes_are_rated_again(ledger: Ledger) -> None:
    """A rule that begins with the last hour re-rates that hour alone; the others keep the versions that they pin."""
    owners(ledger, '[[owner]]\nteam = "a"\nmatch.kind = "*"\n')
    assert rate_dirty(ledger).hours == 3
    text = f'[[owner]]\nteam = "b"\nmatch.kind = "*"\nfrom = {iso(START_US + 2 * US_PER_HOUR)}\n'
    owners(ledger, text + '[[owner]]\nteam = "a"\nmatch.kind = "*"\n')
    assert rate_dirty(ledger).hours == 1
    assert [(row["team"], row["owner_version"]) for row in charges(ledger)] == [("a", 1), ("a", 1), ("b", 2)]


def test_a_second_currency_is_refused(ledger: Ledger) -> None:
    """A ledger counts in one currency; a book in another is refused and leaves no trace."""
    prices(ledger, FLAT)
    with pytest.raises(PriceBookError, match="counts in EUR, this price book in USD"):
        prices(ledger, FLAT.replace("EUR", "USD"))
    assert status(ledger).price_version == 1


def test_what_cannot_be_read_is_not_stored(ledger: Ledger) -> None:
    """A file with a mistake changes nothing at all."""
    with pytest.raises(PriceBookError):
        prices(ledger, FLAT + FLAT.partition("\n")[2])
    assert status(ledger).price_version is None


def test_the_books_can_be_read_back(ledger: Ledger) -> None:
    """The newest book and mapping are listed as their files state them, numbered from one."""
    prices(ledger, LATER)
    owners(ledger, '[[owner]]\nteam = "a"\nmatch.label.x = "y*"\n')
    book, rules = prices_of(ledger), owners_of(ledger)
    assert [(row.entry, row.rate, row.to) for row in book.rows] == [
        (1, "2.00", iso(START_US + 2 * US_PER_HOUR)),
        (2, "3.00", None),
    ]
    assert (book.currency, book.source, book.imported_at) == ("EUR", "prices.toml", iso(NOW_US))
    assert rules.rows[0].match == {"label.x": "y*"}


def test_without_books_the_lists_are_empty(ledger: Ledger) -> None:
    """No price book and no mapping are no error."""
    assert (prices_of(ledger).version, prices_of(ledger).rows) == (None, [])
    assert (owners_of(ledger).version, owners_of(ledger).rows) == (None, [])


def test_a_claim_becomes_the_team_where_a_rule_says_so(ledger: Ledger, tmp_path: Path) -> None:
    """Owners may be taken from what the rule matches; each distinct one is stored once."""
    import_owners(ledger, b"team,match.namespace\nns-{namespace},*\n", "csv", source="owners.csv", imported_us=NOW_US)
    rate_dirty(ledger)
    assert {row["team"] for row in charges(ledger)} == {"ns-team-1"}


def test_a_ledger_for_reading_takes_no_import(ledger: Ledger, tmp_path: Path) -> None:
    """An import into a ledger that is open for reading is refused."""
    ledger.close()
    with Ledger.open(tmp_path, read_only=True) as reader, pytest.raises(LedgerError, match="reading only"):
        prices(reader, FLAT)


def test_rates_whose_month_the_ledger_cannot_sum_are_refused(tmp_path: Path) -> None:
    """Of 10,000 GPUs in won: before anything is stored, and the same in euros is fine."""
    won = FLAT.replace("EUR", "KRW").replace('"2"', '"3500"')
    with open_ledger(tmp_path) as ledger:
        ledger.ingest([_pool()])
        with pytest.raises(
            PriceBookError, match="may cost 26,040,000,000 KRW, and the ledger can sum at most 9,223,372,036"
        ):
            prices(ledger, won)
        assert prices_of(ledger).version is None
        prices(ledger, FLAT)
        rate_dirty(ledger)
        assert [row["cost_quanta"] for row in charges(ledger)] == [10_000 * 2 * 10**9]


def test_a_pool_that_grew_beyond_what_its_rate_allows_says_so(tmp_path: Path) -> None:
    """A sum that has no room is an error with the way out, never a wrong amount; the right rates put it right."""
    with open_ledger(tmp_path) as ledger:
        prices(ledger, FLAT.replace('"2"', '"1000000"'))
        ledger.ingest([_pool()])
        with pytest.raises(LedgerError, match="most that the ledger counts to") as caught:
            rate_dirty(ledger)
        assert not charges(ledger), caught
        prices(ledger, FLAT)
        rate_dirty(ledger)
        assert [row["cost_quanta"] for row in charges(ledger)] == [10_000 * 2 * 10**9]


def _pool() -> bytes:
    """Return an hour of a pool of 10,000 GPUs, all of them held."""
    pool = Device(key="pool:c1/batch", kind="pool", model="Tesla T4", units=10_000)
    whole = US_PER_HOUR * 10_000
    usage = records(
        pool.key, START_US, START_US + US_PER_HOUR, "pod:uid-1/c", step_us=US_PER_HOUR, held_us=whole, active_us=whole
    )
    return usage_frame(0, usage, [pool], [holder(1)])
