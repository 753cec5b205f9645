"""The schedulers that are asked who was given what, strongest first: the written order of precedence.

Where two of them disagree about a device the earlier one is believed, and the disagreement becomes an event.
"""

from __future__ import annotations

from agent.config import AgentSettings
from agent.holders.grants import GrantSource
from agent.holders.slurm.presence import is_wanted


def grant_sources(settings: AgentSettings, *kubernetes: GrantSource) -> tuple[GrantSource, ...]:
    """Return the sources of this node, strongest first: a Slurm inside of pods knows more than the kubelet."""
    return (*_slurm(settings), *kubernetes)


def _slurm(settings: AgentSettings) -> tuple[GrantSource, ...]:
    if not is_wanted(settings.slurm):
        return ()
    from agent.holders.slurm.build import slurm_sources  # noqa: PLC0415 - a node without Slurm does not load it

    return slurm_sources(settings)
