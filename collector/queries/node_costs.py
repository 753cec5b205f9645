"""What the devices of each node cost and how long they existed, day by day: what a provider's bill is held against."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.queries.standing import standing
from gpuledger.accounting.periods import Period, require_hours


class NodeDay(msgspec.Struct, frozen=True):
    """A node's day (UTC). Time is microseconds x parts of a GPU (840 are a whole one), of which some has no price."""

    cluster: str
    day_us: int
    node: str
    cost_quanta: int
    part_us: int
    unpriced_part_us: int
    gpus: int


class NodeCosts(msgspec.Struct, frozen=True):
    """Nodes by day, in the ledger's currency; costs as they are known now, corrections included."""

    currency: str | None
    pending_hours: int
    rows: list[NodeDay]


def node_costs(ledger: Ledger, period: Period) -> NodeCosts:
    """Return the nodes' days in `period`. Raises ConfigError on a period off the hour."""
    stands = standing(ledger, require_hours(period))
    found = ledger.execute("query_node_costs", {"from_us": period.start_us, "to_us": period.end_us}).to_pylist()
    return NodeCosts(stands.currency, stands.pending_hours, msgspec.convert(found, list[NodeDay]))
