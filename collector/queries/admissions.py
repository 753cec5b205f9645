"""What schedulers asked before work started, and what they were told, as an answer."""

from __future__ import annotations

from typing import Final

import msgspec

from collector.ledger.store import Ledger
from collector.queries.figures import hours
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR

RESULTS: Final = ("", "allow", "hold", "refuse", "unsure", "not_allowed")


class AdmissionRow(msgspec.Struct, frozen=True):
    """One ask, `times` over: what was decided (`result`), and what the scheduler was told (`answered`) in its mode."""

    at: str
    source: str
    cluster: str
    uid: str
    operation: str
    kind: str
    namespace: str
    name: str
    user: str
    owner: str
    models: str
    gpus: float
    mode: str
    result: str
    answered: str
    rule: str
    reasons: str
    times: int


class Admissions(msgspec.Struct, frozen=True):
    """Asks of schedulers, the newest first."""

    rows: list[AdmissionRow]


def admissions(ledger: Ledger, period: Period | None, *, result: str, limit: int) -> Admissions:
    """Return what was asked in a period (ever, where it is None), the newest first."""
    bounds = {"from_us": period.start_us, "to_us": period.end_us} if period else {"from_us": 0, "to_us": 2**62}
    rows = ledger.execute("query_admissions", {**bounds, "result": result, "max_rows": limit}).to_pylist()
    return Admissions([
        AdmissionRow(
            at=iso(row.pop("at_us")), user=row.pop("user_name"), gpus=hours(row.pop("parts") * US_PER_HOUR), **row
        )
        for row in rows
    ])  # fmt: skip
