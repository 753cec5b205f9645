"""The quotas of the Budgets & approvals page, without a page."""

from __future__ import annotations

from typing import Any

from dashboards import quota_models, wording


def _quota(owner: str, percent: str | None, **more: Any) -> dict[str, Any]:
    row = {
        "owner": owner, "model": "*", "of": "devices", "period": "2026-11", "limit": 8.0, "raise": 0.0, "used": 2.0,
        "percent": percent, "borrowed": 0.0, "lent": 0.0, "beyond": 0.0, "room": 6.0, "unobserved": 0.0, "action": "",
    }  # fmt: skip
    return row | more


def test_the_fullest_quota_is_first_and_says_what_follows() -> None:
    """A part of a GPU, an approved raise, GPU-hours of a period; what has no percentage comes last, as a dash."""
    rows = [
        _quota("acme/a", "25.0"),
        _quota("acme/none", None, limit=0.0, room=0.0),
        _quota("acme/b", "130.0", used=10.29, borrowed=2.29, room=0.0, model="NVIDIA H100*", **{"raise": 4.0}),
        _quota("*", "91.0", of="gpu_hours", limit=20_000.0, used=18_200.5, action="hold", room=1_799.5),
    ]
    lines = quota_models.quota_table(rows).lines
    assert [line.cells[0] for line in lines] == ["B", "Everything", "A", "None"]
    assert lines[0].cells[1:] == ("NVIDIA H100*", "nothing more fits", "10.29", "8 + 4", "130 %", "2.29", "0", "0")
    assert (lines[1].cells[2:6], lines[1].small) == (
        ("new work waits", "18,200.5", "20,000", "91 %"),
        "GPU-hours 2026-11",
    )
    assert (lines[2].small, lines[3].cells[5]) == ("GPUs at once", wording.UNKNOWN)


def test_what_is_not_known_and_what_is_beyond_is_named() -> None:
    """In the unit of the quota; a raise that raises nothing is told whole."""
    rows = [
        _quota("acme/a", "25.0", unobserved=2.0, beyond=1.5),
        _quota("*", "91.0", of="gpu_hours", unobserved=0.5),
    ]
    assert quota_models.notes_of({"rows": rows, "notes": ["approval 3 raises no quota"]}) == [
        ("A", "1.5 GPUs are used beyond what anybody lends"),
        ("A", "2 GPUs have not been heard of for a while"),
        ("Everything", "0.5 GPU-hours were not observed"),
        ("Raise", "approval 3 raises no quota"),
    ]
