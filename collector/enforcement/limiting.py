"""What admission is limited by: budgets and quotas together, as they were last looked at."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from collector.enforcement.by_budgets import budget_percents, limits_of
from collector.enforcement.by_quotas import quota_limits, quota_percents
from collector.enforcement.figures import Limiting, Promised, all_of
from collector.governance.budgets import BudgetWatch
from collector.governance.quota_stages import QuotaWatch
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.units import US_PER_SECOND

MISSED_US: Final = 180 * US_PER_SECOND  # quotas that were not looked at for so long are no figures to decide by


def limiting(budgets: BudgetWatch, quotas: QuotaWatch, now_us: int) -> Limiting:
    """Return the limits that hold now. Reads the ledger: not for the event loop."""
    stand, placed = quotas.renew(), budgets.placed

    def known(owner: Owner | None, model: str, promised: Promised) -> Mapping[str, Decimal]:
        return {**budget_percents(placed, owner), **quota_percents(stand, owner, model, promised)}

    late = now_us - stand.at_us > MISSED_US
    both = all_of(limits_of(budgets.standing), quota_limits(stand))
    return Limiting(both, known, stand.at_us if late else None)
