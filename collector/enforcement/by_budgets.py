"""What budgets say of work that is to start: the standing of the last evaluation, as a ruling. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from collector.enforcement.figures import Limits, Promised
from collector.enforcement.gate import ALLOWED, Result, Ruling, payer_of
from collector.governance.budget_positions import Placed
from gpuledger.accounting.admitting import Admission, Standing, may_start
from gpuledger.accounting.budgets import is_part
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.quotas import percent
from gpuledger.accounting.units import GPU_PARTS

RULE: Final = "budget"
FACT: Final = "budget_percent"
_RESULT: Final = {Admission.HOLD: Result.HOLD, Admission.BLOCK: Result.REFUSE}


def limits_of(standing: Standing) -> Limits:
    """Return the limits by which budgets stood: before the first evaluation there are none."""

    def limits(owner: Owner | None, _model: str, parts: int, _at_us: int, _promised: Promised) -> Ruling:
        answer = may_start(standing, payer_of(owner), -(-parts // GPU_PARTS))
        if answer.admission is Admission.ALLOW:
            return ALLOWED
        return Ruling(_RESULT[answer.admission], RULE, answer.reasons)

    return limits


def budget_percents(placed: Iterable[Placed], owner: Owner | None) -> dict[str, Decimal]:
    """Return how far the fullest budget is spent that work of an owner counts in, as a fact; nothing of none."""
    payer = payer_of(owner)
    found = [each.position.percent_millis() for each in placed if each.current and is_part(payer, each.budget.owner)]
    known = [each for each in found if each is not None]
    return {FACT: percent(max(known))} if known else {}
