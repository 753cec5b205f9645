"""An owner that has no department: rules, exceptions, budgets and quotas call it by one path, without the empty level."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal

from collector.enforcement.asks import KUBERNETES, Ask
from collector.enforcement.by_rules import decide
from collector.enforcement.exceptions import KIND, excused
from collector.enforcement.gate import Result, Ruling, owner_path, payer_of
from collector.enforcement.pods import Gpus
from collector.governance.effects import Effect
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.rules.book import Action
from gpuledger.rules.files import parse_rule_book

TEAM = Owner("acme", "", "vision", "")
GPUS = Gpus("NVIDIA H100", "", 8 * GPU_PARTS)


def decided(rule: str, owner: Owner = TEAM) -> Action:
    """Return what a book of one rule says of eight GPUs for an owner."""
    content = f'[[rule]]\nname = "one"\nfilter = {rule}\naction = "refuse"\n'
    book = parse_rule_book(content.encode(), "rules.toml")
    ask = Ask(KUBERNETES, "u", "default", "CREATE", "Pod", "vision", "train", "ada", {}, (GPUS,))
    return decide(book, ask, owner, GPUS, known={}, at_us=0, zone=UTC).outcome.action


def test_a_rule_finds_a_team_without_a_department_by_its_path_and_by_its_level() -> None:
    """And takes the team for no department."""
    assert owner_path(TEAM) == payer_of(TEAM) == "acme/vision"
    assert decided('{ owner = "acme/vision" }') is Action.REFUSE
    assert decided('{ owner = "acme" }') is Action.REFUSE
    assert decided('{ team = "vision" }') is Action.REFUSE
    assert decided('{ department = "vision" }') is Action.ALLOW
    assert decided('{ owner = "acme/vision" }', Owner("acme", "research", "vision")) is Action.ALLOW
    assert decided('{ department = "research" }', Owner("acme", "research", "vision")) is Action.REFUSE


def test_an_exception_for_a_team_without_a_department_is_its_own() -> None:
    """Approvals name it as the list of owners does."""
    effect = Effect(3, KIND, "acme/vision", 0, 10, gpus=Decimal(8))
    no = Ruling(Result.REFUSE, "one")
    assert excused(no, [effect], TEAM, GPUS, 5).result is Result.ALLOW
    assert excused(no, [effect], Owner("acme", "", "visionary"), GPUS, 5) == no
