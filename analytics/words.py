"""Identifiers as people write them."""

from __future__ import annotations

from typing import Final

PLATFORM: Final = "Platform"  # pays for what no team owns
ADJUSTMENT_WORDS: Final = {
    "idle_share": "share of idle capacity",
    "basis": "billing basis",
    "free_tier": "free of charge",
    "fault_credit": "credit for a fault",
    "loan": "borrowed share",
    "dispute": "dispute",
    "manual": "adjustment",
    "commitment": "commitment",
}


def title(key: str) -> str:
    """Return a team's or namespace's identifier as a heading: `vision-research` becomes `Vision research`."""
    words = key.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]
