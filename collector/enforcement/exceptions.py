"""Exceptions that were approved: an owner starts work that would be held or refused, until the exception ends. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from collector.enforcement.gate import Result, Ruling, owner_path
from collector.enforcement.pods import Gpus
from collector.governance.effects import Effect
from gpuledger.accounting.globs import matches
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.rules.conditions import is_under

KIND: Final = "exception"


def excused(ruling: Ruling, effects: Sequence[Effect], owner: Owner | None, asked: Gpus, at_us: int) -> Ruling:
    """Return the ruling, or that it is excepted. `asked` has what the owner was allowed lately, too: it adds up."""
    if ruling.result is Result.ALLOW or owner is None:
        return ruling
    path = owner_path(owner)
    for each in effects:
        covers = each.kind == KIND and each.from_us <= at_us < each.to_us and is_under(path, each.owner)
        if covers and _fits(each, asked):
            return Ruling(Result.ALLOW, f"approval {each.approval_id}", (f"approval {each.approval_id} excepts it",))
    return ruling


def _fits(effect: Effect, asked: Gpus) -> bool:
    if effect.model and not (asked.model and matches(effect.model, asked.model)):
        return False
    return effect.gpus is None or Decimal(asked.parts) <= effect.gpus * GPU_PARTS
