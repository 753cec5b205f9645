"""What the Data quality page shows: what is incomplete, which agents are behind, which batches were refused. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from dashboards import wording
from dashboards.notes import Note
from dashboards.view_models import Line, Table
from gpuledger.accounting.periods import parse_instant

Document = Mapping[str, Any]
BEHIND_US: Final = 15 * 60 * 1_000_000  # an agent delivers every minute; this is many deliveries that did not come
MAX_AGENTS: Final = 50


def lag_us(agent: Document, status: Document) -> int:
    """Return by how many microseconds an agent's newest time is older than the newest of all."""
    return parse_instant(status["watermark"]) - parse_instant(agent["known_until"])


def behind(status: Document) -> list[Document]:
    """Return the agents that are behind, the furthest first."""
    late = [agent for agent in status["agents"] if lag_us(agent, status) > BEHIND_US]
    return sorted(late, key=lambda agent: -lag_us(agent, status))


def finding(notes: Sequence[Note], late: int) -> str:
    """Return the headline: how many things want work."""
    wanted = sum(note.serious for note in notes) + (late > 0)
    if not wanted:
        return "The figures are complete: nothing wants work"
    return "1 thing makes the figures incomplete" if wanted == 1 else f"{wanted} things make the figures incomplete"


def agent_table(status: Document) -> Table:
    """Return the agents that are behind, and by how much."""
    late = behind(status)
    lines = [
        Line(
            "owner",
            (agent["node"], agent["cluster"], wording.instant(agent["known_until"]), _hours(lag_us(agent, status))),
        )
        for agent in late[:MAX_AGENTS]
    ]
    headers = ("Node", "Cluster", "Data until", "Behind, h")
    return Table(headers, tuple(lines), 3, left_out=max(0, len(late) - MAX_AGENTS))


def _hours(us: int) -> str:
    return f"{us / 3_600_000_000:,.1f}"
