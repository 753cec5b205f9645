"""What the rule book says of an ask: its facts, and the decision as a ruling. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import tzinfo
from decimal import Decimal
from typing import Final

from collector.enforcement.asks import Ask
from collector.enforcement.gate import Result, Ruling, owner_path
from collector.enforcement.pods import Gpus
from gpuledger.accounting.ownership import LABEL_PREFIX, Owner
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.rules.book import Action, Decision, Outcome, RuleBook
from gpuledger.rules.facts import label_facts, make_facts, time_facts
from gpuledger.rules.fields import WORKLOAD

_RESULT: Final = {
    Action.ALLOW: Result.ALLOW,
    Action.REFUSE: Result.REFUSE,
    Action.HOLD: Result.HOLD,
    Action.APPROVAL: Result.HOLD,
}
_NAMED: Final = ("cluster", "namespace", "slurm_account", "slurm_partition", "pool")
_NANO: Final = Decimal("0.000000001")


def decide(
    book: RuleBook, ask: Ask, owner: Owner | None, gpus: Gpus, *, known: Mapping[str, Decimal], at_us: int, zone: tzinfo
) -> Decision:
    """Return what rules say of the part of an ask that is of one model; `known` has what limits know of the owner."""
    given: dict[str, str | int | Decimal] = {
        "kind": WORKLOAD,
        "user": ask.user,
        "owner": owner_path(owner),
        **(owner._asdict() if owner else {}),
        "priority_class": ask.priority_class,
        "model": gpus.model,
        "mig_profile": gpus.mig_profile,
        **{name: ask.attributes.get(name, "") for name in _NAMED},
    }
    labels = {
        name.removeprefix(LABEL_PREFIX): value
        for name, value in ask.attributes.items()
        if name.startswith(LABEL_PREFIX)
    }
    facts = {name: value for name, value in given.items() if value}
    size = (Decimal(gpus.parts) / GPU_PARTS).quantize(_NANO)
    return book.decide(
        make_facts({**facts, **label_facts(labels), **time_facts(at_us, zone), **known, "gpus": size}), at_us
    )


def ruling_of(outcome: Outcome) -> Ruling | None:
    """Return what an outcome means for work that is to start; None where no rule decides and the rest is free."""
    if not outcome.place and outcome.action is Action.ALLOW:
        return None
    reasons = [outcome.because] if outcome.because else []
    if outcome.action is Action.APPROVAL:
        reasons.append("it needs an approval")
    if not outcome.place:
        reasons.append("no rule allows it")
    return Ruling(_RESULT[outcome.action], outcome.rule, tuple(reasons) or (f"by rule {outcome.rule}",))
