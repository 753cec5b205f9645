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


def printable(text: str) -> str:
    """Return text in which whatever has no shape of its own is seen: controls, and marks that turn the text around."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


def title(key: str) -> str:
    """Return a team's or namespace's identifier as a heading: `vision-research` becomes `Vision research`."""
    words = key.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]
