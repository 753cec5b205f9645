"""Identifiers as people write them."""

from __future__ import annotations

from typing import Final

PLATFORM: Final = "Platform"  # pays for what no team owns


def title(key: str) -> str:
    """Return a team's or namespace's identifier as a heading: `vision-research` becomes `Vision research`."""
    words = key.replace("-", " ").replace("_", " ").strip()
    return words[:1].upper() + words[1:]
