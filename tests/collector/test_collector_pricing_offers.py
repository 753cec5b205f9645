"""Published price lists made into drafts of price books: small ones, written out here, in each shape."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from collector.pricing.files import parse_price_book
from collector.pricing.offers.convert import Draft, Wanted, convert
from collector.pricing.offers.models import built_in_rules, parse_rules
from collector.pricing.offers.shapes import SHAPES
from gpuledger.accounting.globs import is_glob
from gpuledger.cli import price_lists
from gpuledger.errors import PriceBookError
from tests.e2e.processes import gpuledger

AWS = """region,instance_type,gpu_count,gpu_name,on_demand_per_hour,currency,as_of
r1,p4d.24xlarge,8,a100,21.957642,USD,2026-07-20
r1,g6.xlarge,1,l4,0.8048,USD,2026-07-20
r1,g6.48xlarge,8,l4,13.3504,USD,2026-07-20
r1,g6f.large,0,l4,0.202,USD,2026-07-20
r1,trn1.2xlarge,0,,1.34375,USD,2026-07-20
r1,p9.48xlarge,8,z100,80,USD,2026-07-20
"""
AZURE = """region,vm_size,on_demand_per_hour,currency
r1,Standard_NC96ads_A100_v4,14.69,USD
r1,Standard_NC24ads_A100_v4,3.673,USD
r2,Standard_NC24ads_A100_v4,4.775,USD
r1,Standard_Z1,1,USD
"""
GCP = """region,machine_type,pricing,price_per_hour
r1,a2-highgpu-1g,on_demand,4.049590926
r1,a2-highgpu-1g,spot,1.2
r1,g4-standard-6,on_demand,0.5
"""
SKYPILOT = """InstanceType,AcceleratorName,AcceleratorCount,Price,Region,SpotPrice
gpu-h100,H100,1,2.95,r1,1.25
gpu-h100-8,H100,8,23.60,r1,10.00
cpu,,,0.5,r1,
"""
OPENCOST = """EndTimestamp,InstanceID,Region,AssetClass,InstanceIDField,MarketPriceHourly
2028-01-06 23:34:45 UTC,OnDemand,,node,metadata.name,0.9
2028-01-06 23:34:45 UTC,NVIDIA-A100-SXM4-40GB,,gpu,nvidia.com/gpu.product,0.5
2028-01-06 23:34:45 UTC,a100-reserved,,gpu,nvidia.com/gpu_type,1
"""


def draft(text: str, source: str, rules: str = "", **wanted: str) -> Draft:
    own = parse_rules(rules.encode(), "own.toml") if rules else None
    return convert(text.encode(), f"list.{source}", Wanted(source, **wanted), own)  # type: ignore[arg-type]


def rates(found: Draft) -> dict[str, int]:
    """Return the draft's rates by model, as the importer reads them."""
    book = parse_price_book(found.text.encode(), "toml", "draft.toml")
    return {entry.model: entry.rate_quanta for entry in book.entries}


def test_a_rate_is_the_largest_machines_price_by_its_gpus() -> None:
    """Of two machines with L4s the one with eight makes the rate; the other stands beside it as a comment."""
    found = draft(AWS, "aws")
    assert rates(found) == {"NVIDIA A100-SXM4-40GB": 2_744_705_250, "NVIDIA L4": 1_668_800_000}
    assert "# or 0.8048: g6.xlarge: 1 GPUs for 0.8048 an hour, as of 2026-07-20 (list.aws: line 3)" in found.text


def test_every_line_of_a_list_is_somewhere() -> None:
    """Parts of GPUs, other accelerators and unknown names are listed with their lines, and all prices are counted."""
    found = draft(AWS, "aws")
    assert [(item.where, item.why.partition(":")[0]) for item in found.left_out] == [
        ("list.aws: line 5", "a part of one l4"),
        ("list.aws: line 6", "no GPU"),
        ("list.aws: line 7", "no rule maps it to a name of NVML"),
    ]
    assert all(item.name in found.text for item in found.left_out)
    assert found.entries + found.others + len(found.left_out) + found.elsewhere == len(AWS.splitlines()) - 1


@pytest.mark.parametrize(
    ("text", "source", "wanted", "expected"),
    [
        (AZURE, "azure", {"region": "r1"}, {"NVIDIA A100 80GB PCIe": 3_672_500_000}),
        (AZURE, "azure", {"region": "r2"}, {"NVIDIA A100 80GB PCIe": 4_775_000_000}),
        (GCP, "gcp", {}, {"NVIDIA A100-SXM4-40GB": 4_049_590_926}),
        (GCP, "gcp", {"pricing": "spot"}, {"NVIDIA A100-SXM4-40GB": 1_200_000_000}),
        (SKYPILOT, "skypilot", {}, {"NVIDIA H100 80GB HBM3": 2_950_000_000}),
        (SKYPILOT, "skypilot", {"pricing": "spot"}, {"NVIDIA H100 80GB HBM3": 1_250_000_000}),
        (OPENCOST, "opencost-csv", {}, {"NVIDIA?A100?SXM4?40GB": 500_000_000}),
        (json.dumps({"CPU": "0.03", "GPU": "0.95"}), "opencost-json", {}, {"*": 950_000_000}),
        (json.dumps({"GPU": 0.95}), "opencost-json", {"currency": "EUR"}, {"*": 950_000_000}),
    ],
)
def test_each_shape_has_its_rates(text: str, source: str, wanted: dict[str, str], expected: dict[str, int]) -> None:
    """The same question is answered for each source, region and way of selling."""
    assert rates(draft(text, source, **wanted)) == expected


def test_a_table_of_ones_own_comes_first() -> None:
    """A rule maps what the package does not know, or says otherwise; one without use is warned of by its place."""
    rules = """
[[gpu]]
gpu = "Z100"
model = "NVIDIA Z100"
[[gpu]]
gpu = "l4"
not_priced = "we rent none"
[[gpu]]
instance = "nothing-*"
model = "m"
"""
    found = draft(AWS, "aws", rules)
    assert rates(found) == {"NVIDIA A100-SXM4-40GB": 2_744_705_250, "NVIDIA Z100": 10_000_000_000}
    assert found.warnings == ["own.toml: entry 3: the rule matched nothing"]
    everything = draft(AWS, "aws", '[[gpu]]\ngpu = "*"\nmodel = "NVIDIA Z100"\n')
    assert everything.warnings == ["own.toml: entry 1: the rule matched every offer"]


def test_a_machine_whose_gpus_nobody_counts_is_not_priced() -> None:
    """A rule that names the model of a machine and not how many it has gives no rate, rather than a wrong one."""
    rules = '[[gpu]]\ninstance = "Standard_Z1"\nmodel = "NVIDIA Z100"\n'
    found = draft(AZURE, "azure", rules, region="r1")
    assert [(item.name, item.why) for item in found.left_out] == [("Standard_Z1", "nothing says how many GPUs it has")]


@pytest.mark.parametrize(
    ("text", "source", "wanted", "says", "hint"),
    [
        (AWS, "amazon", {}, '"amazon" is no source of prices', "known are aws, azure"),
        (AZURE, "azure", {}, "has 2 regions", "--region: r1, r2"),
        (AZURE, "azure", {"region": "r3"}, 'has no region "r3"', "--region: r1, r2"),
        (AWS, "aws", {"pricing": "spot"}, "nothing that is sold as spot", "--pricing"),
        (AWS, "azure", {}, "line 1: no column vm_size", "is --source right"),
        (AWS.replace("21.957642", "much"), "aws", {}, 'line 2: on_demand_per_hour "much" is not a decimal', "digits"),
        (AWS.replace("21.957642", "-1"), "aws", {}, 'line 2: on_demand_per_hour "-1" is negative', "zero or more"),
        (AWS.replace("21.957642", ""), "aws", {}, "line 2: on_demand_per_hour is missing", "fill it in"),
        (AWS.replace(",8,a100", ",eight,a100"), "aws", {}, 'line 2: gpu_count "eight" is not a number', "column"),
        (AWS.replace("0.8048,USD", "0.8048,EUR"), "aws", {}, "prices in EUR and USD", "split it"),
        (AWS.replace("USD", "US$"), "aws", {}, "'US$' is not a currency code", '"USD"'),
        (GCP.replace("on_demand", "rented"), "gcp", {}, 'line 2: pricing "rented"', "on_demand, spot"),
        ('{"CPU": 1}', "opencost-json", {}, 'no "GPU" in it', "whole-machine"),
        ('{"GPU": 1', "opencost-json", {}, "line 1: not JSON", "cut off"),
        ("[]", "opencost-json", {}, "no JSON object", "--source"),
        (OPENCOST.replace("NVIDIA-A100", "a"), "opencost-csv", {}, "no price of a GPU that has a name", "--map"),
    ],
)
def test_a_mistake_in_a_list_is_named(text: str, source: str, wanted: dict[str, str], says: str, hint: str) -> None:
    """Each mistake names the file and line where it has one, and the next step."""
    with pytest.raises(PriceBookError) as caught:
        draft(text, source, **wanted)
    assert says in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('model = "m"', "it would match everything"),
        ('gpu = "x"', "needs either model or not_priced"),
        ('gpu = "x"\nmodel = "m"\nnot_priced = "y"', "needs either model or not_priced"),
        ('gpu = "x"\nmodel = "m"\ngpus = 0', "gpus 0 is not a number"),
        ('gpu = "x"\nmodel = "m"\ncount = 2', 'unknown key "count"'),
    ],
)
def test_a_mistake_in_a_table_is_named(lines: str, says: str) -> None:
    """A table of models is as strict as any other file."""
    with pytest.raises(PriceBookError) as caught:
        parse_rules(f"[[gpu]]\n{lines}\n".encode(), "own.toml")
    assert caught.value.message.startswith("own.toml: entry 1: ")
    assert says in caught.value.message


def test_the_packages_own_table_is_sound() -> None:
    """Each of its rules is for a source that exists; no two are for the same offers, and no model is a bare pattern."""
    rules = built_in_rules()
    assert {rule.source for rule in rules} <= set(SHAPES)
    assert len({(rule.source, rule.gpu, rule.instance) for rule in rules}) == len(rules)
    assert all(len(rule.model.rstrip("*")) > 8 for rule in rules if is_glob(rule.model))


def test_the_command_knows_every_shape() -> None:
    """What its help lists is what can be converted."""
    assert ", ".join(SHAPES) == price_lists.SOURCES


def test_the_command_writes_a_draft_and_stores_nothing(tmp_path: Path) -> None:
    """It makes a new file, says what it left out, and never writes over a book that was reviewed."""
    listed, output = tmp_path / "aws.csv", tmp_path / "prices.toml"
    listed.write_text(AWS)
    done = gpuledger("price", "convert", str(listed), "--source", "aws", "--output", str(output))
    assert done.returncode == 0, done.stderr
    assert "not priced: aws.csv: line 7: p9.48xlarge z100" in done.stderr
    assert "2 models priced, 1 other machines in comments, 3 not priced" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"aws.csv", "prices.toml"}
    assert parse_price_book(output.read_bytes(), "toml", "prices.toml").currency == "USD"
    again = gpuledger("price", "convert", str(listed), "--source", "aws", "--output", str(output))
    assert again.returncode == 2
    assert "not overwritten" in again.stderr
