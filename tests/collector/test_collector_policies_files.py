"""The policy file: what it says, and each mistake refused with its place and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.policies.files import parse_policy_book
from gpuledger.accounting.policies import FaultCredit, FreeTier, Payer, Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyEntry
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import PolicyBookError

EXAMPLE = Path(__file__).parents[2] / "docs/examples/policies.toml"


def parse(text: str) -> PolicyBook:
    return parse_policy_book(text.encode(), "toml", "p.toml")


def test_a_file_says_all_that_a_policy_may() -> None:
    """Scopes, validity, each setting; what is left out is left to other entries."""
    book = parse(
        """
        [[policy]]
        idle = "proportional"
        unobserved = "even"
        [[policy]]
        department = "research"
        model = "NVIDIA H100*"
        from = 1970-01-01T01:00:00Z
        basis = "usage"
        free = { gpu_hours = "1.5" }
        [[policy]]
        team = "vision"
        free = { amount = "50.25" }
        fault_credit = { minutes = 90, percent = "12.5", faults = ["gpu_lost"], xid_classes = ["memory", "driver"] }
        [[policy]]
        team = "speech"
        free = false
        fault_credit = false
        [[policy]]
        fault_credit = true
        [[policy]]
        pool = "vision"
        idle = { organisation = "acme", team = "vision" }
        """
    )
    assert book.entries == (
        PolicyEntry(Settings(idle="proportional", unobserved="even")),
        PolicyEntry(
            Settings(basis="usage", free=FreeTier(part_us=3 * US_PER_HOUR * GPU_PARTS // 2)),
            department="research",
            model="NVIDIA H100*",
            from_us=US_PER_HOUR,
        ),
        PolicyEntry(
            Settings(
                free=FreeTier(quanta=50_250_000_000),
                fault_credit=FaultCredit(90, 12_500, ("gpu_lost",), ("memory", "driver")),
            ),
            team="vision",
        ),
        PolicyEntry(Settings(free=FreeTier(), fault_credit=FaultCredit(minutes=0)), team="speech"),
        PolicyEntry(Settings(fault_credit=FaultCredit(minutes=60))),
        PolicyEntry(Settings(idle=Payer("vision", organisation="acme")), pool="vision"),
    )


def test_the_example_can_be_imported() -> None:
    """What the guide shows is a book."""
    assert len(parse_policy_book(EXAMPLE.read_bytes(), "toml", EXAMPLE.name).entries) >= 4


@pytest.mark.parametrize(
    ("text", "says", "hint"),
    [
        ("", "no policy in it", "[[policy]]"),
        ('polcy = "x"\n[[policy]]\nidle = "even"', 'unknown key "polcy"', "policy"),
        ('[[policy]]\nbasis = "usgae"', "entry 1: basis 'usgae' is not known", 'did you mean "usage"'),
        ('[[policy]]\nidle = "share"', "entry 1: idle 'share' is not known", "platform, proportional, even"),
        ('[[policy]]\nidle = { department = "a" }', "idle: team is missing", ""),
        ('[[policy]]\nidle = { user = "a" }', 'unknown key "user"', "organisation, department, team"),
        ("[[policy]]\nidle = 3", "entry 1: idle 3 is not known", "one of"),
        ('[[policy]]\nbases = "max"', 'entry 1: unknown key "bases"', 'did you mean "basis"'),
        ('[[policy]]\nteam = "a"', "entry 1: it says nothing", "basis"),
        ('[[policy]]\nteam = "a"\nidle = "even"', "cannot be for one team", "pool or a model"),
        ('[[policy]]\nfree = { gpu_hours = "-1" }', 'entry 1: free: gpu_hours "-1" is negative', ""),
        ("[[policy]]\nfree = { gpu_hours = 1.5 }", "1.5, a number that need not be exact", "quotes"),
        ('[[policy]]\nfree = { gpu_hours = "1", amount = "2" }', "gpu_hours or amount", "not added"),
        ("[[policy]]\nfree = true", "free is True", "gpu_hours"),
        ("[[policy]]\nfree = {}", "gpu_hours or amount", ""),
        ('[[policy]]\nfree = { hours = "1" }', 'unknown key "hours"', "gpu_hours"),
        ('[[policy]]\nfault_credit = { percent = "101" }', "percent 101 is over 100", ""),
        ("[[policy]]\nfault_credit = { minutes = 0 }", "minutes 0 is not a whole number", "false"),
        ("[[policy]]\nfault_credit = { minutes = true }", "minutes True", ""),
        ('[[policy]]\nfault_credit = { faults = "gpu_lost" }', "faults is not a list", "gpu_lost"),
        ('[[policy]]\nfault_credit = { faults = ["gpu_last"] }', "'gpu_last' is not known", 'did you mean "gpu_lost"'),
        ('[[policy]]\nfault_credit = { xid_classes = ["application"] }', "what an application did", ""),
        ('[[policy]]\nbasis = "max"\nfrom = 2026-01-01T00:30:00Z', "is not on the hour", "00:00"),
        ('[[policy]]\nbasis = "max"\nfrom = 2026-02-01\nto = 2026-01-01', "it ends", ""),
        (
            '[[policy]]\nbasis = "max"\n[[policy]]\nbasis = "usage"\nto = 2026-01-01',
            "entries 1 and 2 both say basis",
            "",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text: str, says: str, hint: str) -> None:
    """The file, the entry, the key, and what to do."""
    with pytest.raises(PolicyBookError) as caught:
        parse(text)
    assert caught.value.message.startswith("p.toml: ")
    assert says in caught.value.message
    assert hint in caught.value.hint


def test_a_table_of_text_is_no_policy_book() -> None:
    """Nested settings have no columns."""
    with pytest.raises(PolicyBookError, match="is TOML"):
        parse_policy_book(b"basis\nusage\n", "csv", "p.csv")
