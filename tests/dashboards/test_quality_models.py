"""The Data quality page's words and tables, without a page."""

from __future__ import annotations

from dashboards import quality_models
from dashboards.notes import Note


def _agent(node: str, until: str) -> dict[str, str]:
    return {"node": node, "cluster": "c", "known_until": until}


STATUS = {
    "watermark": "2026-10-02T12:00:00Z",
    "agents": [
        _agent("fresh", "2026-10-02T12:00:00Z"),
        _agent("edge", "2026-10-02T11:45:00Z"),
        _agent("late", "2026-10-02T10:30:00Z"),
        _agent("gone", "2026-10-01T12:00:00Z"),
    ],
}


def test_agents_behind_are_told_the_furthest_first() -> None:
    """Exactly fifteen minutes is not behind yet."""
    lines = quality_models.agent_table(STATUS).lines
    assert [(line.cells[0], line.cells[-1]) for line in lines] == [("gone", "24.0"), ("late", "1.5")]


def test_the_headline_counts_what_wants_work() -> None:
    """A note that only informs is none."""
    notes = (Note("0", "fine"), Note("3", "refused", serious=True))
    assert quality_models.finding(notes, 2) == "2 things make the figures incomplete"
    assert quality_models.finding(notes, 0) == "1 thing makes the figures incomplete"
    assert quality_models.finding(notes[:1], 0) == "The figures are complete: nothing wants work"
