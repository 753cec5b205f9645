"""What budgets say of work that is to start: the standing of the last evaluation, as a ruling. Pure."""

from __future__ import annotations

from typing import Final

from collector.enforcement.figures import Limits
from collector.enforcement.gate import ALLOWED, Result, Ruling
from gpuledger.accounting.admitting import Admission, Standing, may_start
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.units import GPU_PARTS

RULE: Final = "budget"
_RESULT: Final = {Admission.HOLD: Result.HOLD, Admission.BLOCK: Result.REFUSE}


def limits_of(standing: Standing) -> Limits:
    """Return the limits by which budgets stood: before the first evaluation there are none."""

    def limits(owner: Owner | None, _model: str, parts: int, _at_us: int) -> Ruling:
        payer = "/".join(filter(None, owner[:3])) if owner else ""
        answer = may_start(standing, payer, -(-parts // GPU_PARTS))
        if answer.admission is Admission.ALLOW:
            return ALLOWED
        return Ruling(_RESULT[answer.admission], RULE, answer.reasons)

    return limits
