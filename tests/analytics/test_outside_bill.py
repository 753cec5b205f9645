"""A provider's bill as it is read: no amount is lost or counted twice, whatever its files, versions and rows."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.outside.bill_files import open_bill, whole_bill
from analytics.outside.bill_machines import BillReading, read_machines
from analytics.outside.bill_map import BillMap, Nodes, read_bill_map
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_DAY, US_PER_HOUR
from gpuledger.errors import ConfigError
from tests.analytics.bills import VERSIONS, bill_csv, charge

START_US = 1_780_000_000_000_000 // US_PER_DAY * US_PER_DAY
PERIOD = Period(START_US, START_US + 3 * US_PER_DAY, "three days")
NODES = ["node-a", "node-b"]


def reading(bills: Sequence[tuple[str, Sequence[dict[str, Any]]]], period: Period = PERIOD) -> BillReading:
    """Return what a bill of several files says; each is its version and its rows."""
    with tempfile.TemporaryDirectory() as folder:
        files = [
            open_bill(bill_csv(Path(folder) / f"{number}.csv", rows, version), "billed")
            for number, (version, rows) in enumerate(bills)
        ]
        return read_machines(
            whole_bill(files), period=period, cost="billed", nodes=Nodes(NODES, BillMap()), bill_map=BillMap(),
            duplicates="keep",
        )  # fmt: skip


@st.composite
def charges(draw: st.DrawFn) -> dict[str, Any]:
    start = draw(st.integers(-30, 80))
    length = draw(st.sampled_from([1, 1, 1, 24, 50]))
    begin, end = (iso(START_US + hour * US_PER_HOUR) for hour in (start, start + length))
    return charge(
        begin,
        end,
        draw(st.sampled_from(["x/node-a", "arn:NODE-B", "other", "bucket", None])),
        str(draw(st.decimals(-1000, 1000, places=11))),
        ChargeCategory=draw(st.sampled_from(["Usage", "Usage", "Tax", "Credit", "Purchase", "Adjustment"])),
        ChargeClass=draw(st.sampled_from(["", "Correction"])),
        BillingCurrency=draw(st.sampled_from(["EUR", "USD"])),
        PricingUnit=draw(st.sampled_from(["Hours", "GB", ""])),
        PricingQuantity=draw(st.sampled_from(["1", "0.25", "", "x"])),
        SkuPriceDetails=draw(st.sampled_from(["", '{"GpuCount": 8}'])),
    )


bills = st.lists(st.tuples(st.sampled_from(VERSIONS), st.lists(charges(), max_size=12)), min_size=1, max_size=3)


def by_currency(found: BillReading) -> dict[str, int]:
    """Return all that was read, compared or left out, in atoms."""
    total = {"EUR": 0, "USD": 0}
    for day in found.days.values():
        for (currency, _), amount in day.atoms.items():
            total[currency] += amount
    for each in found.left_out:
        total[each.currency] += each.cost_atoms
    return total


@settings(max_examples=25, deadline=None)
@given(bills)
def test_every_amount_is_compared_or_left_out(found: list[tuple[str, list[dict[str, Any]]]]) -> None:
    """Over all time, what is read sums to the bill by currency, to the last digit; no machine runs longer than a day."""
    always = Period(START_US - 10 * US_PER_DAY, START_US + 10 * US_PER_DAY, "always")
    read = reading(found, always)
    for currency, amount in by_currency(read).items():
        rows = [row for _, rows in found for row in rows if row["BillingCurrency"] == currency]
        assert Decimal(amount).scaleb(-18) == sum((Decimal(row["BilledCost"]) for row in rows), Decimal(0))
    assert read.rows + sum(each.rows for each in read.left_out) == sum(len(rows) for _, rows in found)


@settings(max_examples=25, deadline=None)
@given(bills, st.integers(1, 71))
def test_parts_of_a_period_sum_to_the_whole(found: list[tuple[str, list[dict[str, Any]]]], hour: int) -> None:
    """Wherever a period is cut, amounts of machines in its two parts are those of the whole, charge by charge."""
    middle_us = START_US + hour * US_PER_HOUR
    parts = [Period(START_US, middle_us, "first"), Period(middle_us, PERIOD.end_us, "second")]
    sums = [sum(sum(day.atoms.values()) for day in reading(found, period).days.values()) for period in (*parts, PERIOD)]
    assert sums[0] + sums[1] == sums[2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[machine]\n", 'did you mean "machines"?'),
        ("[machines]\ni = 1\n", "i has no node"),
        ('[gpu]\nskus = ["("]\n', "is no regular expression"),
        ('[exchange]\nUSD = "free"\n', "is not an exchange rate"),
        ("[exchange]\nUSD = 0\n", "is not an exchange rate"),
        ("machines = 3\n", "is no table"),
        ("[[", "is not TOML"),
    ],
)
def test_a_map_that_cannot_be_used_is_refused(text: str, words: str, tmp_path: Path) -> None:
    """With its key, and the next step."""
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_bill_map(path)
    assert words in str(caught.value)
