"""Colours of reports: those of the pages, on white; told apart with any colour vision, and in print."""

from __future__ import annotations

from typing import Final

INK: Final = "#16202C"
MUTED: Final = "#5B6876"
RULE: Final = "#D5DCE4"
ACCENT: Final = "#0B5CAD"
EXPECTED: Final = "#9CC3EA"  # not known yet
LESS: Final = "#0A8F72"  # it costs less
MORE: Final = "#C0492F"
OTHERS: Final = "#9AA5B1"
NOT_A_TEAM: Final = "#CFD6DE"
TEAMS: Final = ("#0B5CAD", "#D98A1F", "#0A8F72", "#B0568F", "#5EAEDC", "#8A6B3D", "#6C63A8", "#B5483A")
STATES: Final = {
    "active": "#0B5CAD",
    "held_idle": "#EDA63A",
    "held_unobserved": "#8DB4DC",
    "ungranted": "#B06098",
    "idle": "#CFD6DE",
    "unavailable": "#C0492F",
    "unobserved": "#7B6FA6",
}
