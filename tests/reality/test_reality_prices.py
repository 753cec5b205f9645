"""Real price lists through `price convert`: rates worked out beside it, and every line accounted for."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from collector.pricing.files import parse_price_book
from collector.pricing.offers.convert import Draft, Wanted, convert
from collector.pricing.offers.offer import PRICINGS, Pricing
from gpuledger.accounting.money import quanta
from gpuledger.errors import PriceBookError

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA") or ROOT.parent / "shared" / "data") / "gpu_prices"


def data(name: str) -> Path:
    """Return a file of the real data, or skip; in CI its absence is a failure."""
    path = DATA / name
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    return path


def lines(name: str) -> list[dict[str, str]]:
    with data(name).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def drafted(name: str, source: str, region: str = "", pricing: Pricing = "on_demand") -> Draft:
    return convert(data(name).read_bytes(), name, Wanted(source, region, pricing))


def rates(draft: Draft) -> dict[str, int]:
    book = parse_price_book(draft.text.encode(), "toml", "draft.toml")
    return {entry.model: entry.rate_quanta for entry in book.entries}


def accounted(draft: Draft) -> int:
    return draft.entries + draft.others + len(draft.left_out) + draft.elsewhere


def test_aws_whole_machines_are_divided_by_their_gpus() -> None:
    """p4d, p5en and p6 cost their machine's price over eight; fractions of an L4 and Inferentia give no rate."""
    rows = {row["instance_type"]: row for row in lines("aws_us-east-1_ondemand.csv")}
    found = drafted("aws_us-east-1_ondemand.csv", "aws")
    assert accounted(found) == len(rows)
    by_model = rates(found)
    for instance, model in (
        ("p4d.24xlarge", "NVIDIA A100-SXM4-40GB"),
        ("p4de.24xlarge", "NVIDIA A100-SXM4-80GB"),
        ("p5.48xlarge", "NVIDIA H100 80GB HBM3"),
        ("p5en.48xlarge", "NVIDIA H200"),
        ("p6-b200.48xlarge", "NVIDIA B200"),
        ("g4dn.metal", "Tesla T4"),
    ):
        assert by_model[model] == quanta(Decimal(rows[instance]["on_demand_per_hour"]) / 8), instance
    left_out = {item.name.partition(" ")[0] for item in found.left_out}
    assert left_out == {
        name for name, row in rows.items() if row["gpu_count"] == "0" or row["gpu_manufacturer"] != "nvidia"
    }


def test_azure_sizes_are_known_or_named() -> None:
    """In each of five regions every size is priced, or listed with a reason; none is guessed."""
    rows = lines("azure_ondemand.csv")
    for region, count in Counter(row["region"] for row in rows).items():
        found = drafted("azure_ondemand.csv", "azure", region)
        assert accounted(found) == len(rows)
        assert found.elsewhere == len(rows) - count
        priced = {row["vm_size"]: Decimal(row["on_demand_per_hour"]) for row in rows if row["region"] == region}
        if "Standard_NC96ads_A100_v4" in priced:
            assert rates(found)["NVIDIA A100 80GB PCIe"] == quanta(priced["Standard_NC96ads_A100_v4"] / 4)
        unmapped = {item.name for item in found.left_out if item.why.startswith("no rule")}
        assert all("RTXPRO6000BSE" in name or "_A10_v4" in name or "ND40s" in name for name in unmapped)


def test_gcp_has_two_ways_of_selling_in_four_regions() -> None:
    """Every region has both, spot is the cheaper for each model, and parts of an RTX PRO 6000 are no card."""
    rows = lines("gcp_prices.csv")
    for region in sorted({row["region"] for row in rows}):
        found = {pricing: drafted("gcp_prices.csv", "gcp", region, pricing) for pricing in PRICINGS}
        assert all(accounted(draft) == len(rows) for draft in found.values())
        listed, spot = rates(found["on_demand"]), rates(found["spot"])
        both = listed.keys() & spot.keys()
        assert both
        assert all(listed[model] > spot[model] > 0 for model in both)
        assert not [item for draft in found.values() for item in draft.left_out if item.why.startswith("no rule")]


def test_skypilots_catalogue_has_the_prices_that_it_states_for_one_gpu() -> None:
    """The machine of one and the machine of eight H100s have one rate: 2.95, and 1.25 on spot."""
    rows = lines("nebius_skypilot_v8.csv")
    found = drafted("nebius_skypilot_v8.csv", "skypilot", "eu-north1")
    assert accounted(found) == len(rows) + sum(bool(row["SpotPrice"]) for row in rows)
    assert rates(found)["NVIDIA H100 80GB HBM3"] == quanta(Decimal("2.95"))
    spot = rates(drafted("nebius_skypilot_v8.csv", "skypilot", "eu-north1", "spot"))
    assert spot["NVIDIA H100 80GB HBM3"] == quanta(Decimal("1.25"))


@pytest.mark.parametrize("provider", ["alibaba", "aws", "azure", "default", "gcp", "oracle"])
def test_opencosts_defaults_price_any_gpu_or_say_that_they_price_none(provider: str) -> None:
    """A file with a price of a GPU makes one entry for all models; one without says so."""
    name = f"opencost_{provider}.json"
    stated = json.loads(data(name).read_text()).get("GPU")
    if stated is None:
        with pytest.raises(PriceBookError, match='no "GPU" in it'):
            drafted(name, "opencost-json")
    else:
        assert rates(drafted(name, "opencost-json")) == {"*": quanta(Decimal(stated))}


def test_opencosts_sheets_price_gpus_by_label_values() -> None:
    """Label values that are NVML's name become patterns for it; the rest is named, and node prices are not GPU prices."""
    found = drafted("opencost_pricing_schema.csv", "opencost-csv")
    assert rates(found) == {"Quadro?RTX?4000": quanta(Decimal("0.75")), "Quadro?RTX?4001": quanta(Decimal("0.80"))}
    with pytest.raises(PriceBookError, match="a100-ondemand: no rule maps it"):
        drafted("opencost_pricing_schema_mixed_gpu_ondemand.csv", "opencost-csv")
    with pytest.raises(PriceBookError, match="class node, not of a GPU"):
        drafted("opencost_pricing_schema_region.csv", "opencost-csv")
