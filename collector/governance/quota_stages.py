"""Evaluation of quotas: each stage that is reached is recorded once a period, with its audit event and its notices."""

from __future__ import annotations

import threading
from typing import Final, NamedTuple

from collector.audit.actor import acting
from collector.audit.canonical import Value
from collector.audit.log import record
from collector.governance.budget_positions import whose
from collector.governance.notices import add_notice
from collector.governance.quota_positions import PlacedQuota, QuotaStand, stand_of_quotas
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.budgets import Stage
from gpuledger.accounting.quotas import stage_key

COLLECTOR: Final = "collector"
_MEANS: Final = {
    "notify": "Nothing is stopped.",
    "hold": "New work waits until there is room.",
    "block": "New work is refused.",
}


class QuotaCrossing(NamedTuple):
    """A stage that a quota reached in a period."""

    quota: str
    period: str
    stage: str


def evaluate_stages(ledger: Ledger) -> tuple[list[QuotaCrossing], QuotaStand]:
    """Record what quotas reached since; return that, and where they stand. What waits has to be rated before."""
    now_us = ledger.now_us()
    with ledger.snapshot() as session:
        stand = stand_of_quotas(session, ledger.calendar, now_us)
    if not any(each.new for each in stand.placed):
        return [], stand
    with acting(COLLECTOR), ledger.transaction() as session:
        known = {tuple(row.values()) for row in session.execute("quota_crossings").to_pylist()}
        found = [
            _record(session, each, stage, ledger.now_us())
            for each in stand.placed
            for stage in each.new
            if (each.quota.key, each.period.label, stage_key(stage)) not in known
        ]
    return found, stand


class QuotaWatch:
    """Holds where quotas stood when they were last looked at, for whoever asks without waiting."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._one = threading.Lock()
        self._stand = QuotaStand()

    @property
    def stand(self) -> QuotaStand:
        """Return it: frozen. `at_us` is 0 until the first look."""
        return self._stand

    def renew(self) -> QuotaStand:
        """Return where quotas stand, looked at again where there was no look yet, or another book since. Slow then."""
        found = self._ledger.execute("quota_newest").to_pylist()
        if not self._stand.at_us or self._stand.version != (found[0]["quota_version"] if found else 0):
            self.look()
        return self._stand

    def look(self) -> list[QuotaCrossing]:
        """Evaluate all quotas, one caller at a time; what waits has to be rated before. Slow."""
        with self._one:
            found, self._stand = evaluate_stages(self._ledger)
        return found


def _record(session: Session, placed: PlacedQuota, stage: Stage, at_us: int) -> QuotaCrossing:
    [numbers] = session.execute("budget_crossing_next").to_pylist()
    quota, position = placed.quota, placed.position
    crossing = QuotaCrossing(quota.key, placed.period.label, stage_key(stage))
    session.execute(
        "quota_crossing_insert",
        {
            "crossing_id": numbers["crossing_id"],
            **crossing._asdict(),
            "at_us": at_us,
            "quota_version": placed.version,
            "owner": quota.owner,
            "action": stage.action,
            "used": position.used,
            "whole": position.whole,
        },
    )
    why = f"{position.in_words()} in {placed.period.label}"
    said: dict[str, Value] = {
        "period": crossing.period,
        "stage": crossing.stage,
        "why": why,
        "quotas": placed.version,
        "tell": list(stage.tell),
    }
    record(session, at_us, "quota.stage", crossing.quota, said)
    for number, name in enumerate(stage.tell, numbers["notice_id"]):
        title = f"Quota of {whose(quota.owner)} for {crossing.period}: {stage.percent} % of it is used"
        body = f"{why}. {_MEANS[stage.action]}\nDelivery {numbers['crossing_id']}-{name}"
        add_notice(session, number, numbers["crossing_id"], target=name, title=title, body=body, at_us=at_us)
    return crossing
