"""Status: how far the ledger is known, which agents feed it, and how much is in it."""

from __future__ import annotations

from importlib.metadata import version

import msgspec

from collector.ledger.store import Ledger
from collector.queries.figures import instant, integers
from gpuledger.accounting.periods import iso


class AgentRow(msgspec.Struct, frozen=True):
    """One agent and its newest batch."""

    agent: str
    cluster: str
    node: str
    boot: str
    sequence: int
    known_until: str
    received: str
    software: str


class Status(msgspec.Struct, frozen=True):
    """What the ledger holds, from the start of its oldest record to the end of its newest batch (the watermark)."""

    version: str
    first_usage: str | None
    watermark: str | None
    devices: int
    holders: int
    batches: int
    usage_rows: int
    events: int
    quarantined: int
    charges: int
    pending_hours: int
    currency: str | None
    price_version: int | None
    owner_version: int | None
    zone: str  # whose days a billing period means
    policy_version: int | None
    acts: int  # in the audit log
    changes: int  # of these until the last import, closing or decision, that answers may depend on: reading is none
    agents: list[AgentRow]


def status(ledger: Ledger) -> Status:
    """Return the state of the ledger."""
    with ledger.snapshot() as session:
        [found] = session.execute("query_status").to_pylist()
        agents = session.execute("query_agents").to_pylist()
    row = integers(found)
    for agent in agents:
        agent["known_until"], agent["received"] = iso(agent.pop("until_us")), iso(agent.pop("received_us"))
    return Status(
        version=version("gpuledger"),
        first_usage=instant(row.pop("first_usage_us")),
        watermark=instant(row.pop("watermark_us")),
        zone=ledger.calendar.zone,
        agents=[AgentRow(**agent) for agent in agents],
        **row,
    )
