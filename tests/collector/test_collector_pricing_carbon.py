"""Carbon by the hour: intensities of regions in files, in the ledger, and in what chargeback makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from collector.ledger.store import Ledger
from collector.pricing.carbon import import_carbon, parse_carbon
from collector.pricing.imports import ImportReport, import_prices
from collector.queries.bill import bill
from collector.queries.books import carbon as regions_of
from collector.queries.books import prices as prices_of
from collector.queries.chargeback import chargeback
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.errors import PriceBookError
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices

HOUR = US_PER_HOUR
PERIOD = Period(START_US, START_US + 2 * HOUR, "two hours")
KWH = 3_600_000_000  # in millijoules
BOOK = """
currency = "EUR"
[[price]]
model = "*"
rate = "2"
carbon_g_per_kwh = "500"
carbon_region = "north"
"""


def fill(ledger: Ledger) -> None:
    """Let one GPU draw 3 kWh in each of two hours, in a region of which nothing is known yet."""
    usage = records("GPU-0001", START_US, PERIOD.end_us, "pod:uid-1/c", energy_mj=3 * KWH // 60)
    assert ledger.ingest([frame(0, usage)])[0].taken
    prices(ledger, BOOK)
    owners(ledger, '[[owner]]\nteam = "vision"\nmatch.kind = "*"\n')
    rate_dirty(ledger)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of that GPU."""
    with open_ledger(tmp_path) as found:
        fill(found)
        yield found


def take(ledger: Ledger, *values: str, region: str = "north") -> ImportReport:
    lines = [f"{region},{iso(START_US + n * HOUR)},{value}" for n, value in enumerate(values) if value]
    text = "\n".join(["region,hour,g_per_kwh", *lines, ""])
    return import_carbon(ledger, text.encode(), "csv", source="carbon.csv", imported_us=NOW_US)


def of_vision(ledger: Ledger) -> tuple[float | None, float | None]:
    found = chargeback(ledger, PERIOD)
    (row,) = [row for row in found.rows if row.key == "vision"]
    assert (row.carbon_kg, row.carbon_hourly_ratio) == (found.total.carbon_kg, found.total.carbon_hourly_ratio)
    return row.carbon_kg, row.carbon_hourly_ratio


def test_without_an_hours_value_the_entrys_constant_counts(ledger: Ledger) -> None:
    """6 kWh at 500 g are 3 kg, and none of it is by the hour."""
    assert of_vision(ledger) == (3.0, 0.0)


def test_an_hours_value_counts_where_there_is_one(ledger: Ledger) -> None:
    """One hour at 100 g and one at the constant: 0.3 + 1.5 kg, half by the hour; both known: all of it."""
    take(ledger, "", "100")
    assert of_vision(ledger) == (1.8, 0.5)
    assert [line.carbon_g_per_kwh for line in bill(ledger, PERIOD).rows] == [500, 100]
    take(ledger, "200", "100")
    assert of_vision(ledger) == (0.9, 1.0)


def test_the_newest_import_of_an_hour_counts_and_changes_no_charge(ledger: Ledger) -> None:
    """Final values replace first ones, hour by hour; no hour waits to be rated."""
    assert take(ledger, "200", "100").version == 1
    assert take(ledger, "300").version == 2
    assert of_vision(ledger) == (1.2, 1.0)
    assert rate_dirty(ledger).hours == 0
    assert not take(ledger, "300").changed


def test_another_region_says_nothing(ledger: Ledger) -> None:
    """A region that no price entry names changes nothing, and the import warns of it."""
    report = take(ledger, "1", "1", region="south")
    assert report.warnings == ['no price entry names the region "south": set its carbon_region']
    assert of_vision(ledger) == (3.0, 0.0)


def test_without_value_and_constant_carbon_is_unknown(ledger: Ledger) -> None:
    """An entry with a region alone knows the hours that are known, and unknown is never zero."""
    prices(ledger, BOOK.replace('carbon_g_per_kwh = "500"', ""))
    rate_dirty(ledger)
    take(ledger, "200")
    assert of_vision(ledger) == (None, None)
    take(ledger, "200", "0")
    assert of_vision(ledger) == (0.6, 1.0)


def test_a_book_with_a_region_that_nobody_measures_is_warned_of(ledger: Ledger) -> None:
    """The name may be a slip; with a first value for the region it is known."""

    def warnings() -> list[str]:
        return import_prices(ledger, BOOK.encode(), "toml", source="b.toml", imported_us=NOW_US).warnings

    assert warnings() == ['price entry 1: no carbon intensity of the region "north" is known']
    take(ledger, "200")
    assert warnings() == []


def test_readings_within_an_hour_are_averaged_and_rounded_once() -> None:
    """Three readings of one hour and one of the next; the mean is exact to a millionth of a gram, half to even."""
    text = (
        "time,region,g_per_kwh\n2026-01-01T00:00:00Z,n,1\n2026-01-01 00:05:00,n,1\n2026-01-01T00:59:59Z,n,2\n"
        "2026-01-01T01:00:00Z,n,0.0000005\n"
    )
    found = parse_carbon(text.encode(), "csv", "c.csv")
    assert [hour.g_per_kwh for hour in found] == [Decimal("1.333333"), Decimal(0)]
    assert found[1].hour_us - found[0].hour_us == HOUR


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("region,hour,g_per_kwh\n", "no intensity in it"),
        ("region,hour\nn,2026-01-01\n", "line 2: g_per_kwh is missing"),
        ("region,hour,g_per_kwh\nn,,5\n", "line 2: hour is missing"),
        ("region,hour,g_per_kwh\n,2026-01-01,5\n", "line 2: region is missing"),
        ("region,hour,g_per_kwh\nn,2026-01-01T00:30:00,5\n", "hour 2026-01-01T00:30:00Z is not on the hour"),
        ("region,hour,g_per_kwh\nn,2026-01-01T00:00:00+01:00,5\n", "not in UTC"),
        ("region,hour,g_per_kwh\nn,2026-01-01,-5\n", 'line 2: g_per_kwh "-5" is negative'),
        ("region,hour,g_per_kwh\nn,2026-01-01,low\n", 'line 2: g_per_kwh "low" is not a decimal number'),
        ("region,hour,g_per_kwh\nn,2026-01-01,1000001\n", "line 2: g_per_kwh 1000001 is over"),
        ("region,hour,g_per_kwh\nn,2026-01-01,5\nn,2026-01-01,6\n", "line 3: 2026-01-01T00:00:00Z is there twice"),
        ("region,hour,grams\nn,2026-01-01,5\n", 'line 1: unknown key "grams"'),
    ],
)
def test_a_mistake_is_named(text: str, says: str) -> None:
    """Each mistake names the file and the line, and nothing is stored."""
    with pytest.raises(PriceBookError) as caught:
        parse_carbon(text.encode(), "csv", "c.csv")
    assert says in caught.value.message
    assert caught.value.message.startswith("c.csv: ")
    with pytest.raises(PriceBookError, match="carbon intensities are CSV"):
        parse_carbon(b"", "toml", "c.toml")


def test_regions_and_entries_are_listed(ledger: Ledger) -> None:
    """What is known of a region, and which entry names it."""
    take(ledger, "200", "100")
    (row,) = regions_of(ledger).rows
    assert (row.region, row.hours, row.mean_g_per_kwh, row.least_g_per_kwh, row.to) == (
        "north",
        2,
        "150",
        "100",
        iso(PERIOD.end_us),
    )
    assert prices_of(ledger).rows[0].carbon_region == "north"


def test_the_commands_import_list_and_say_which_share_is_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`carbon import` adds hours, `carbon list` has them, and chargeback's table says how much is by the hour."""
    with open_ledger(tmp_path) as ledger:
        fill(ledger)
    file = tmp_path / "carbon.csv"
    file.write_text(f"region,hour,g_per_kwh\nnorth,{iso(START_US)},100\n")
    where = ["--ledger", str(tmp_path), "--format", "table"]
    assert main(["carbon", "import", str(file), *where]) == 0
    assert "Carbon intensity is now version 1 (1 hours)." in capsys.readouterr().out
    assert main(["carbon", "list", *where]) == 0
    assert "north" in capsys.readouterr().out
    period = f"{iso(START_US)}..{iso(PERIOD.end_us)}"
    assert main(["chargeback", "--period", period, *where]) == 0
    shown = capsys.readouterr().out
    assert "CO2e of 50 %" in shown
    assert "constants of price entries" in shown
