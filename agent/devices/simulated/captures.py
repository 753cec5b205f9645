"""Captures: the recorded facts of real drivers that give simulated boards their names, sizes, limits and quirks."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Final

import msgspec

from agent.devices.simulated.world import SliceSpec
from gpuledger.errors import ConfigError

MIB: Final = 1 << 20


class MigProfile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A way to cut an instance out of a board."""

    name: str
    slices: int
    memory_mib: int
    multiprocessors: int
    ofa: int = 0  # optical-flow engines: one marks a `+me` profile, or the whole board


class MigFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a board that supports MIG can be cut."""

    slices: int
    profiles: tuple[MigProfile, ...] = ()


class Capture(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """What one model of board says about itself under one driver."""

    name: str
    architecture: str
    driver_version: str
    memory_total_mib: int
    memory_reserved_mib: int
    power_limit_w: float
    power_min_w: float
    idle_power_w: float
    idle_power_origin: str  # recorded: read on a board without processes; estimate: a stated guess
    unsupported_fields: tuple[int, ...] = ()  # field ids that answer NOT_SUPPORTED
    unsupported_calls: tuple[str, ...] = ()  # functions that answer NOT_SUPPORTED
    missing_symbols: tuple[str, ...] = ()  # functions that this driver's library does not have
    sm_clock_mhz: int | None = None
    memory_clock_mhz: int | None = None
    fan_percent: int | None = None  # None: no fan of its own
    gpm: bool = False  # has performance counters that NVML can sample (Hopper and newer)
    fields: dict[str, int] = {}  # values of the fields that tell a board's condition; others are not supported
    mig: MigFacts | None = None

    @property
    def memory_total_bytes(self) -> int:
        """Return the size of the board's memory."""
        return self.memory_total_mib * MIB

    @property
    def memory_reserved_bytes(self) -> int:
        """Return what the driver keeps for itself."""
        return self.memory_reserved_mib * MIB

    @functools.cached_property
    def condition_fields(self) -> dict[int, int]:
        """Return the values of the fields that tell a board's condition, by their number."""
        return {int(field): value for field, value in self.fields.items()}

    @property
    def idle_power_mw(self) -> int:
        """Return what the board draws with nobody on it."""
        return round(self.idle_power_w * 1_000)

    @property
    def power_limit_mw(self) -> int:
        """Return the board's power limit."""
        return round(self.power_limit_w * 1_000)

    def profile(self, name: str) -> MigProfile:
        """Return the MIG profile called `name`.

        Raises ConfigError where boards of this model cannot be cut so.
        """
        known = self.mig.profiles if self.mig else ()
        for profile in known:
            if profile.name == name:
                return profile
        names = ", ".join(profile.name for profile in known) or "none: it does not support MIG"
        raise ConfigError(f"{self.name} has no MIG profile {name!r}", hint=f"profiles of this capture: {names}")

    def slice_spec(self, index: int, uuid: str, gpu_instance: int, profile: str) -> SliceSpec:
        """Return a MIG instance of this board, sized as its profile says."""
        facts = self.profile(profile)
        return SliceSpec(index, uuid, gpu_instance, 0, profile, facts.slices, facts.memory_mib * MIB)


def capture_names() -> tuple[str, ...]:
    """Return the names of all captures that come with the agent."""
    folder = resources.files(__package__) / "captures"
    return tuple(sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")))


@functools.cache
def load_capture(name: str) -> Capture:
    """Return the capture called `name`.

    Raises ConfigError where there is none, or where its file does not hold what a capture holds.
    """
    if name not in capture_names():
        raise ConfigError(f"no capture is called {name!r}", hint=f"captures: {', '.join(capture_names())}")
    return parse_capture((resources.files(__package__) / "captures" / f"{name}.toml").read_text("utf-8"), name)


def parse_capture(text: str, name: str) -> Capture:
    """Return the capture that the TOML `text` describes; `name` is for messages.

    Raises ConfigError for anything else.
    """
    try:
        return msgspec.convert(tomllib.loads(text), Capture)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"capture {name!r} cannot be read: {error}", hint="compare it with another capture"
        ) from error
