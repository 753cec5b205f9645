"""The idle floor of a board's power by model: energy that holding it costs, whatever runs."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from importlib import resources

from gpuledger.errors import ConfigError


class IdlePower:
    """Looks up what a board of a model draws with nobody on it. `watts` adds to the known models, or replaces them."""

    def __init__(self, watts: Mapping[str, float] | None = None) -> None:
        known = tomllib.loads((resources.files(__package__) / "idle_power.toml").read_text("utf-8"))
        self._mw = {model: _milliwatts(model, value) for model, value in {**known, **(watts or {})}.items()}

    def mw(self, model: str) -> int:
        """Return the idle power of a board that NVML calls `model` in milliwatts; 0 where it is not known."""
        return self._mw.get(model, 0)

    @property
    def models(self) -> tuple[str, ...]:
        """Return the models whose idle power is known."""
        return tuple(sorted(self._mw))


def _milliwatts(model: str, watts: float) -> int:
    if not math.isfinite(watts) or watts < 0:
        raise ConfigError(f"idle power of {model!r} is {watts} W", hint="state it in watts, 0 or more")
    return round(watts * 1_000)
