"""What granted requests allow at an instant: raises of budgets and quotas, and exceptions from rules.

All of it follows from the records alone: asked of the same instant again, the answer is the same, whatever came later.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from collector.governance.stored import StoredRequest, load_requests
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.money import quanta
from gpuledger.rules.conditions import is_under
from gpuledger.rules.requests import in_force, standing


class Effect(NamedTuple):
    """What an owner has more, or is let through with, in `[from_us, to_us)`; what is not said is None or empty.

    An amount is in quanta of its currency; GPUs and GPU-hours may be for one model and one pool.
    """

    approval_id: int
    kind: str  # budget, quota or exception
    owner: str
    from_us: int
    to_us: int
    amount_quanta: int | None = None
    currency: str = ""
    gpu_hours: Decimal | None = None
    gpus: Decimal | None = None
    model: str = ""
    pool: str = ""


def effects_at(session: Session, at_us: int) -> list[Effect]:
    """Return everything that was granted for a time and holds at an instant, by number."""
    timed = load_requests(session, ending_us=at_us)
    return [_effect(each, at_us) for each in timed if in_force(each.request, at_us)]


def raises_in_force(ledger: Ledger, owner: str, at_us: int) -> list[Effect]:
    """Return the raises of the budget and the quota of exactly this owner that hold at an instant."""
    with ledger.snapshot() as session:
        found = effects_at(session, at_us)
    return [each for each in found if each.kind in ("budget", "quota") and each.owner == owner]


def exceptions_in_force(ledger: Ledger, owner: str, at_us: int) -> list[Effect]:
    """Return the exceptions that hold at an instant for an owner: its own, and those of what it is a part of."""
    with ledger.snapshot() as session:
        found = effects_at(session, at_us)
    return [each for each in found if each.kind == "exception" and is_under(owner, each.owner)]


def _effect(stored: StoredRequest, at_us: int) -> Effect:
    interval = standing(stored.request, at_us).effect
    assert interval is not None
    wanted, money = stored.wanted, stored.wanted.money
    return Effect(
        stored.approval_id,
        stored.kind,
        stored.owner,
        *interval,
        amount_quanta=quanta(money.amount) if money else None,
        currency=wanted.currency,
        gpu_hours=Decimal(wanted.gpu_hours) if wanted.gpu_hours else None,
        gpus=Decimal(wanted.gpus) if wanted.gpus else None,
        model=wanted.model,
        pool=wanted.pool,
    )
