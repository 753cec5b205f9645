"""A ledger with prices, owners and rules, under a clock that tests move: where requests are made and decided."""

from __future__ import annotations

from pathlib import Path

from collector.governance.requests import request_approval
from collector.governance.rulebooks import import_rules
from collector.governance.wanted import Asked
from collector.ledger.store import Ledger
from collector.queries.approvals import approval
from collector.queries.audit import audit
from gpuledger.accounting.periods import iso
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.clock import VirtualClock
from tests.collector.fleet import NOW_US, owners, prices

PRICES = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.50"\n'
OWNERS = "".join(
    f'[[owner]]\norganisation = "acme"\ndepartment = "ml"\nteam = "{team}"\nmatch.namespace = "{space}"\n'
    for team, space in (("vision", "team-1"), ("speech", "team-2"))
)
RULES = """
[[rule]]
name = "none for speech"
filter = { kind = "quota", owner = "acme/ml/speech" }
action = "refuse"
because = "speech has enough"

[[rule]]
name = "large"
filter.kind = ["budget", "adjustment", "dispute"]
when.amount = { over = "100 EUR" }
action = "approval"
approvals = [{ roles = ["finance"], count = 2 }, { roles = ["lead"] }]

[[rule]]
name = "small quotas"
filter.kind = "quota"
when.gpus = { at_most = 4 }
action = "allow"

[[rule]]
name = "free money"
filter = { kind = "adjustment", user = "ann" }
action = "allow"

[[rule]]
name = "stricter"
mode = "shadow"
filter.kind = "exception"
action = "refuse"

[[rule]]
name = "rest"
action = "approval"
approvals = [{ roles = ["finance", "lead"] }]

[[approvers]]
name = "bob"
roles = ["finance"]
[[approvers]]
name = "eve"
roles = ["finance", "lead"]
[[approvers]]
name = "Zoë Bee"
roles = ["lead"]
owner = "acme/ml/vision"
"""


class Clock(VirtualClock):
    """A clock that also goes back."""

    def __init__(self) -> None:
        super().__init__(NOW_US)
        self.us = NOW_US

    def now_us(self) -> int:
        return self.us


class Site:
    """A ledger with a clock that tests move."""

    def __init__(self, directory: Path) -> None:
        self.clock = Clock()
        self.ledger = Ledger.open(directory, clock=self.clock)
        prices(self.ledger, PRICES)
        owners(self.ledger, OWNERS)
        self.rules(RULES)

    def rules(self, text: str) -> None:
        import_rules(self.ledger, text.encode(), "toml", source="rules.toml", imported_us=NOW_US)

    def ask(self, kind: str = "budget", **fields: str) -> int:
        needed = {
            "budget": {"owner": "acme/ml", "amount": "50", "currency": "EUR", "to": at(30)},
            "quota": {"owner": "vision", "gpus": "8", "to": at(30)},
            "exception": {"owner": "vision", "to": at(30)},
            "adjustment": {"owner": "vision", "amount": "50", "currency": "EUR"},
        }.get(kind, {})
        return request_approval(
            self.ledger, Asked(**{"kind": kind, "by": "ann", "why": "it is late", **needed, **fields})
        )

    def pass_days(self, days: float) -> None:
        self.clock.us += int(days * US_PER_DAY)

    def state(self, number: int) -> str:
        return approval(self.ledger, id=number).approval.state

    def acts(self) -> list[str]:
        return [row.act for row in reversed(audit(self.ledger, None, act="", actor="", limit=1000).rows)]


def at(days: float) -> str:
    return iso(NOW_US + int(days * US_PER_DAY))
