"""A ledger that has the rows of some owners only: rows of others do not exist in it, for any question."""

from __future__ import annotations

from collector.access.identity import Nodes
from collector.ledger.scope import limit
from collector.ledger.store import Ledger


def limited(ledger: Ledger, nodes: Nodes) -> Ledger:
    """Return `ledger` as those see it who are bound to `nodes`."""
    return ledger.limited(lambda session, whole: limit(session, nodes, whole))
