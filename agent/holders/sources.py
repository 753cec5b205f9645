"""The schedulers that are asked who was given what, strongest first: the written order of precedence.

Where two of them disagree about a device the earlier one is believed, and the disagreement becomes an event.
"""

from __future__ import annotations

from agent.config import AgentSettings
from agent.holders.grants import GrantSource


def grant_sources(settings: AgentSettings) -> tuple[GrantSource, ...]:
    """Return the sources of this node, strongest first."""
    del settings  # no scheduler is asked yet
    return ()
