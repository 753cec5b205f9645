"""What the documentation shows works: every example file is read by what it is an example for."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.pricing.files import parse_owner_map, parse_price_book
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.pricebook import Priced
from gpuledger.rules.book import Action, RuleBook
from gpuledger.rules.facts import make_facts
from gpuledger.rules.fields import FIELDS
from gpuledger.rules.files import parse_rule_book, warnings_of
from tests.e2e.processes import gpuledger

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
JULY_US = 1_782_864_000_000_000  # 2026-07-01T00:00:00Z


@pytest.mark.parametrize("process", ["agent", "collector"])
def test_example_settings_are_accepted(process: str) -> None:
    """--check-config accepts them and prints what is in force."""
    done = gpuledger(process, "--config", str(EXAMPLES / "config" / f"{process}.toml"), "--check-config")
    assert done.returncode == 0, done.stderr
    assert "/var/lib/gpuledger" in done.stdout


def test_the_example_price_book_says_what_its_comments_say() -> None:
    """The price drops in July, the pool's own price wins, and a MIG profile has a price of its own."""
    book = parse_price_book((EXAMPLES / "prices.toml").read_bytes(), "toml", "prices.toml")
    h100, a100 = Priced("NVIDIA H100 80GB HBM3"), Priced("NVIDIA A100-SXM4-40GB", 120, "1g.5gb")
    rates = [book.price(*asked) for asked in ((h100, JULY_US - 1), (h100, JULY_US), (a100, JULY_US))]
    assert [price and price.rate_quanta for price in rates] == [2_850_000_000, 2_490_000_000, 280_000_000]
    spot = book.price(h100._replace(pool="spot"), JULY_US)
    assert spot is not None
    assert spot.rate_quanta == 1_200_000_000


def test_the_example_of_built_up_rates_says_what_its_comments_say() -> None:
    """A card that is written off costs power and people; the rented one is 3.50 USD less 18% at 0.92."""
    book = parse_price_book((EXAMPLES / "prices-built.toml").read_bytes(), "toml", "prices-built.toml")
    assert [entry.rate_quanta for entry in book.entries] == [1_198_428_707, 311_100_000, 2_640_400_000]
    assert [entry.list_quanta for entry in book.entries] == [1_198_428_707, 311_100_000, 3_220_000_000]


def test_the_example_of_a_lease_says_what_its_comments_say() -> None:
    """A price turns at half past nine, vision has its own, and what the lease covers has that of the lease."""
    book = parse_price_book((EXAMPLES / "prices-leased.toml").read_bytes(), "toml", "prices-leased.toml")
    asked = Priced("NVIDIA H100 80GB HBM3", cluster="frankfurt")
    vision, turn_us = Owner("acme", "", "vision", ""), JULY_US + 34_200_000_000
    prices = [
        book.price(asked, turn_us - 1),
        book.price(asked, turn_us),
        book.price(asked, turn_us, vision),
        book.price(asked, turn_us, vision, "rack-7"),
    ]
    assert [price and price.rate_quanta for price in prices] == [
        2_850_000_000, 2_490_000_000, 2_200_000_000, 2_050_000_000
    ]  # fmt: skip
    [lease] = book.contracts
    assert (lease.gpus, lease.rate_quanta) == (16, 1_932_000_000)


def test_the_example_owner_mapping_says_what_its_comments_say() -> None:
    """Rules come first, a loan ends, and what a holder claims of itself counts only where no rule speaks."""
    owners = parse_owner_map((EXAMPLES / "owners.toml").read_bytes(), "toml", "owners.toml")

    def team(at_us: int = JULY_US, **holder: str) -> str | None:
        found = owners.resolve(holder, at_us)
        return found.owner.team if found else None

    assert team(namespace="vision-train", team_claim="language") == "vision"
    assert team(user="ana") == "language"
    assert team(user="ana", at_us=JULY_US + 70 * 86_400_000_000) is None
    assert team(user="zoe", team_claim="robotics") == "robotics"
    assert team(user="zoe") is None


def rule_books() -> list[RuleBook]:
    demo = EXAMPLES.parents[1] / "gpuledger" / "cli" / "demo_books" / "rules.toml"
    return [parse_rule_book(path.read_bytes(), path.name) for path in (EXAMPLES / "rules.toml", demo)]


def test_the_example_rules_say_what_their_comments_say() -> None:
    """Large amounts need three people, short quotas none, large jobs by day only in shadow anything."""
    book, demo = rule_books()
    assert warnings_of(book) == warnings_of(demo) == []

    def action(**facts: str | int) -> tuple[Action, Action, int]:
        found = book.decide(make_facts(facts), JULY_US)
        return found.outcome.action, found.shadow.action, sum(each.count for each in found.outcome.approvals)

    owner = "acme/research/vision"
    assert action(kind="budget", owner=owner, amount="1000.01 EUR") == (Action.APPROVAL, Action.APPROVAL, 3)
    assert action(kind="budget", owner=owner, amount="1000 EUR") == (Action.APPROVAL, Action.APPROVAL, 1)
    assert action(kind="quota", owner=owner, gpus=8, days=3) == (Action.ALLOW, Action.ALLOW, 0)
    assert action(kind="quota", owner="acme/ops/x", gpus=8, days=3) == (Action.APPROVAL, Action.APPROVAL, 1)
    by_day = {"kind": "workload", "owner": owner, "gpus": 17, "hour": 8, "weekday": "mon"}
    assert action(**by_day) == (Action.ALLOW, Action.HOLD, 0)
    assert action(**{**by_day, "weekday": "sun"}) == (Action.ALLOW, Action.ALLOW, 0)
    assert action(**by_day, priority_class="deadline-1") == (Action.ALLOW, Action.ALLOW, 0)


def test_every_fact_is_in_the_reference() -> None:
    """The table of facts is the one that rules are read with."""
    text = (EXAMPLES.parent / "reference" / "rules.md").read_text("utf-8")
    for name, field in FIELDS.items():
        assert f"| `{name}` | {field.kind} | {field.means}" in text
