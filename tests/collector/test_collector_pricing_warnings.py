"""Warnings at import: what a book may have wrong by what the ledger has seen. The book is imported nevertheless."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.pricing.imports import ImportReport, import_owners, import_prices
from collector.pricing.warnings import SHOWN
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, open_ledger

HOUR = US_PER_HOUR
MODEL = "NVIDIA H100 80GB HBM3"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of one H100 that two pods of different namespaces held, two hours each."""
    with open_ledger(tmp_path) as found:
        usage = [
            *records("GPU-0001", START_US, START_US + 2 * HOUR, "pod:uid-1/c"),
            *records("GPU-0001", START_US + 2 * HOUR, START_US + 4 * HOUR, "pod:uid-2/c"),
        ]
        assert found.ingest([frame(0, usage)])[0].taken
        yield found


def take_prices(ledger: Ledger, *entries: str) -> ImportReport:
    text = "\n".join(['currency = "EUR"', *(f'[[price]]\nrate = "1"\n{entry}' for entry in entries)])
    return import_prices(ledger, text.encode(), "toml", source="prices.toml", imported_us=NOW_US)


def take_owners(ledger: Ledger, *rules: str) -> ImportReport:
    text = "\n".join(f'[[owner]]\nteam = "t"\n{rule}' for rule in rules)
    return import_owners(ledger, text.encode(), "toml", source="owners.toml", imported_us=NOW_US)


def test_a_book_that_prices_everything_warns_of_nothing(ledger: Ledger) -> None:
    """An entry for the card that is there, for ever, is complete; the same file again is too."""
    assert take_prices(ledger, f'model = "{MODEL}"').warnings == []
    again = take_prices(ledger, f'model = "{MODEL}"')
    assert (again.changed, again.warnings) == (False, [])


def test_a_gap_is_told_with_its_model_and_time(ledger: Ledger) -> None:
    """Between two entries, before the first, and after the last: where the card was there and nothing prices it."""
    at = [iso(START_US + n * HOUR) for n in range(5)]
    report = take_prices(ledger, f'model = "*"\nfrom = {at[1]}\nto = {at[2]}', f'model = "{MODEL}"\nfrom = {at[3]}')
    assert report.changed
    found = [warning.partition(" has no price ")[2] for warning in report.warnings]
    assert found == [
        f"from {at[0]} until {at[1]}: that time is unpriced",
        f"from {at[2]} until {at[3]}: that time is unpriced",
    ]
    assert all(warning.startswith(f'"{MODEL}"') for warning in report.warnings)


def test_a_gap_in_a_closed_period_is_no_news(ledger: Ledger) -> None:
    """What is closed stays as it was, so a book that begins later has no gap there."""
    take_prices(ledger, 'model = "*"')
    rate_dirty(ledger)
    close_period(ledger, Period(START_US, START_US + 2 * HOUR, "first"), closed_by="ann", exception="for the test")
    assert take_prices(ledger, f'model = "*"\nfrom = {iso(START_US + 2 * HOUR)}').warnings == []


def test_an_entry_for_a_card_that_nobody_has_is_told(ledger: Ledger) -> None:
    """A slip in the model's name is named with the nearest; so is a pool or cluster that does not exist."""
    report = take_prices(ledger, 'model = "*"', 'model = "NVIDIA H100 80GB HBM2"', f'model = "{MODEL}"\npool = "x"')
    assert report.warnings == [
        (
            'price entry 2 (model "NVIDIA H100 80GB HBM2") matches no device that the ledger knows:'
            f' did you mean "{MODEL}"?'
        ),
        f'price entry 3 (model "{MODEL}", pool "x") matches no device that the ledger knows',
    ]


def test_a_rate_of_zero_is_told(ledger: Ledger) -> None:
    """Nothing is silently free: a rate of zero, or a discount of all of it, is imported and said."""
    book = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "{}"\n{}'
    for text in (book.format("0.0", ""), book.format("2.49", 'discount_percent = "100"\n')):
        report = import_prices(ledger, text.encode(), "toml", source="prices.toml", imported_us=NOW_US)
        assert report.warnings == ['price entry 1 (model "*") has a rate of zero: what it prices costs nothing']


def test_capital_cost_that_goes_on_after_its_months_is_told(ledger: Ledger) -> None:
    """An entry that is open after 48 months, or ends long after; one that ends on the day is as it should be."""

    def warnings(end: str) -> list[str]:
        lines = f'model = "*"\ncapital_cost = "1"\ndepreciation_months = 48\nfrom = 2022-03-01\n{end}'
        text = f'currency = "EUR"\n[[price]]\n{lines}\n'
        report = import_prices(ledger, text.encode(), "toml", source="prices.toml", imported_us=NOW_US)
        return [warning for warning in report.warnings if "no price" not in warning]

    said = "price entry 1 charges capital cost after its 48 months are over: end it near 2026-02-28"
    assert warnings("") == warnings("to = 2026-04-01") == [said]
    assert warnings("to = 2026-03-01") == []
    far = 'currency = "EUR"\n[[price]]\nmodel = "*"\ncapital_cost = "1"\ndepreciation_months = 600\nfrom = 9990-01-01\n'
    assert import_prices(ledger, far.encode(), "toml", source="prices.toml", imported_us=NOW_US).changed


def test_many_warnings_are_counted(ledger: Ledger) -> None:
    """A book for a whole catalogue says how many of its entries have no device, not each of them."""
    report = take_prices(ledger, 'model = "*"', *(f'model = "card {n}"' for n in range(SHOWN + 5)))
    assert len(report.warnings) == SHOWN + 1
    assert report.warnings[-1] == "and 5 more entries without a device"


def test_rules_that_match_nothing_or_everything_are_named(ledger: Ledger) -> None:
    """A rule for a namespace that nobody has, and one for everybody that leaves later rules without work."""
    report = take_owners(
        ledger, 'match.namespace = "nobody"', 'match.kind = "*"', 'match.namespace = "team-1"', 'match.kind = "k8s*"'
    )
    assert report.warnings == [
        "owner rule 1 (team t) matches no holder that the ledger knows",
        "owner rule 2 (team t) matches every holder that the ledger knows",
        "owner rule 3 (team t) never applies: rules before it match all of its holders",
        "owner rule 4 (team t) matches no holder that the ledger knows",
    ]


def test_a_rule_for_everybody_at_the_end_is_how_it_is_done(ledger: Ledger) -> None:
    """The last of several may be for all others; and a dated rule leaves room for one after it."""
    assert take_owners(ledger, 'match.namespace = "team-1"', 'match.kind = "*"').warnings == []
    dated = f'match.kind = "*"\nto = {iso(START_US + HOUR)}'
    assert [text.partition(")")[2] for text in take_owners(ledger, dated, 'match.namespace = "team-1"').warnings] == [
        " matches every holder that the ledger knows"
    ]


def test_an_empty_ledger_has_nothing_to_hold_against_a_book(tmp_path: Path) -> None:
    """Books may be imported before the first agent reports."""
    with open_ledger(tmp_path) as empty:
        assert take_prices(empty, 'model = "x"').warnings == []
        assert take_owners(empty, 'match.namespace = "x"').warnings == []


LEASE = '[[contract]]\nname = "lease-a"\ngpus = 2\nrate = "1"\n'


def contract_warnings_of(ledger: Ledger, contract: str, *entries: str) -> list[str]:
    text = "\n".join(['currency = "EUR"', *(f'[[price]]\nrate = "1"\n{entry}' for entry in entries), LEASE + contract])
    return import_prices(ledger, text.encode(), "toml", source="prices.toml", imported_us=NOW_US).warnings


def test_a_contract_that_covers_nothing_or_has_no_price_is_told(ledger: Ledger) -> None:
    """A slip in its scope makes all of it short, and a contract that no entry names has no price of its own."""
    since = f"from = {iso(START_US)}"
    priced = 'model = "*"\ncontract = "lease-a"'
    assert contract_warnings_of(ledger, f'cluster = "c1"\n{since}', 'model = "*"', priced) == []
    [short] = contract_warnings_of(ledger, f'cluster = "c1"\nmodel = "A100*"\n{since}', 'model = "*"', priced)
    assert short == (
        'contract "lease-a" (cluster "c1", model "A100*") covers no device that the ledger knows: all of it is short'
    )
    assert contract_warnings_of(ledger, f'cluster = "c1"\n{since}', 'model = "*"') == [
        'no price entry is for contract "lease-a": what it covers costs what other entries say'
    ]
    before = f"{priced}\nto = {iso(START_US)}"
    assert contract_warnings_of(ledger, f'cluster = "c1"\n{since}', 'model = "*"', before) == [
        'price entry 2 never applies: contract "lease-a" does not run while it is valid'
    ]


def test_an_entry_of_an_owner_or_a_contract_fills_no_gap(ledger: Ledger) -> None:
    """What nobody holds or no contract covers would still be unpriced."""
    since = f"from = {iso(START_US)}"
    [gap] = contract_warnings_of(ledger, f'cluster = "c1"\n{since}', 'model = "*"\ncontract = "lease-a"')
    assert "that time is unpriced" in gap


def test_an_owner_that_nobody_is_is_told_with_the_nearest_team(ledger: Ledger) -> None:
    """A price for a team that the ledger has never charged may be a slip."""
    take_owners(ledger, 'match.namespace = "*"\nproject = "ads"')
    rate_dirty(ledger)
    assert take_prices(ledger, 'model = "*"', 'model = "*"\nteam = "t"').warnings == []
    assert take_prices(ledger, 'model = "*"', 'model = "*"\nteam = "tt"').warnings == [
        'price entry 2 (model "*", team "tt") is for an owner that the ledger has not seen: did you mean team "t"?'
    ]
