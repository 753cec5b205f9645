"""Captures: loading them, recording them again from a driver, and what a reading of each looks like."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pynvml
import pytest

from agent.devices.idle_power import IdlePower
from agent.devices.simulated.capture_nvml import record_capture
from agent.devices.simulated.captures import capture_names, load_capture, parse_capture
from agent.devices.simulated.driver import SimulatedDriver, simulated_source
from agent.devices.simulated.world import BoardState
from gpuledger.clock import VirtualClock
from gpuledger.errors import ConfigError
from tests.agent.device_worlds import GIB, SECOND_US, START_US, ScriptedWorld, board, mig_slice, process

_CUTS = {"h100-sxm": ("3g.40gb", "1g.10gb"), "a100-40gb": ("3g.20gb", "1g.5gb"), "a100-80gb": ("3g.40gb", "1g.20gb")}


@pytest.mark.parametrize("name", capture_names())
def test_a_capture_is_recorded_again_as_it_is(name: str) -> None:
    """The recorder, run on a driver that shows a capture, gives that capture: no fact is lost or bent on the way."""
    world, capture = ScriptedWorld(board(0, name)), load_capture(name)
    world.show(BoardState(power_mw=capture.idle_power_mw))
    with SimulatedDriver(world, VirtualClock(START_US)).install():
        pynvml.nvmlInit()
        text = record_capture(pynvml.nvmlDeviceGetHandleByIndex(0))
    again = parse_capture(text, name)
    assert msgspec.structs.replace(again, idle_power_origin=capture.idle_power_origin) == capture


def test_a_capture_that_was_recorded_under_load_is_marked() -> None:
    """What a board draws with a process on it is not its idle power: the record calls it an estimate."""
    world = ScriptedWorld(board(0, "t4"))
    world.show(BoardState(power_mw=60_000, processes=(process(1),)))
    with SimulatedDriver(world, VirtualClock(START_US)).install():
        pynvml.nvmlInit()
        capture = parse_capture(record_capture(pynvml.nvmlDeviceGetHandleByIndex(0)), "t4")
    assert (capture.idle_power_w, capture.idle_power_origin) == (60.0, "estimate")


@pytest.mark.parametrize("name", capture_names())
def test_a_reading_of_each_capture_is_golden(name: str, golden: Callable[[str, str], None]) -> None:
    """What the source reads from each recorded driver, whole and cut into instances, changes only on purpose."""
    cuts = _CUTS.get(name, ())
    slices = [mig_slice(2 * number, profile, 5 + number, name) for number, profile in enumerate(cuts)]
    world, clock = ScriptedWorld(board(0, name), *([board(1, name, *slices)] if slices else [])), VirtualClock(START_US)
    for index in range(len(world.specs)):
        state = BoardState(
            energy_mj=1_000_000 + index,
            power_mw=load_capture(name).idle_power_mw,
            utilization_ppm=420_000,
            memory_used_bytes=3 * GIB,
            temperature_c=31,
            processes=(process(11, 40, GIB, 5 if index else None), process(12, 2, 2 * GIB, 6 if index else None)),
            xids=(31,) if index else (),
        )
        world.show(state, board=index)
    source = simulated_source(world, clock)
    source.read()
    clock.advance_to(START_US + 60 * SECOND_US)
    reading = source.read()
    reading = reading._replace(samplers=tuple(stats._replace(duration_s=0.0) for stats in reading.samplers))
    text = msgspec.json.format(msgspec.json.encode(_plain(reading)), indent=2).decode()
    golden(f"devices/{name}.json", text + "\n")


def _plain(value: object) -> object:
    """Return named tuples as objects, so that a golden file says which figure is which."""
    if hasattr(value, "_asdict"):
        return {key: _plain(entry) for key, entry in value._asdict().items()}
    if isinstance(value, tuple):
        return [_plain(entry) for entry in value]
    return value


def test_idle_power_is_that_of_the_captures() -> None:
    """The floor that the ledger uses and the one that simulated boards draw are the same figures."""
    table, captures = IdlePower(), [load_capture(name) for name in capture_names()]
    assert {capture.name: capture.idle_power_mw for capture in captures} == {m: table.mw(m) for m in table.models}


def test_a_site_states_its_own_idle_power() -> None:
    """A stated figure replaces the known one and adds models; a model that nobody knows has no floor."""
    table = IdlePower({"NVIDIA L40S": 33.5, "NVIDIA H200": 75})
    assert (table.mw("NVIDIA L40S"), table.mw("NVIDIA H200"), table.mw("Tesla T4")) == (33_500, 75_000, 17_035)
    assert table.mw("Unheard-of GPU") == 0
    with pytest.raises(ConfigError, match="-1 W"):
        IdlePower({"NVIDIA L40S": -1})


def test_an_unknown_capture_or_profile_names_the_known_ones() -> None:
    """A misspelt capture or profile is an error that lists what there is."""
    with pytest.raises(ConfigError, match="'h1000'") as unknown:
        load_capture("h1000")
    assert "h100-sxm" in unknown.value.hint
    with pytest.raises(ConfigError, match="9g") as cut:
        load_capture("h100-sxm").profile("9g.90gb")
    assert "1g.10gb" in cut.value.hint
    with pytest.raises(ConfigError, match="L40S") as whole:
        load_capture("l40s").profile("1g.10gb")
    assert "does not support MIG" in whole.value.hint


@pytest.mark.parametrize("text", ["name = ", "name = 'x'", "surprise = 1"])
def test_a_broken_capture_is_refused(text: str) -> None:
    """A capture that lacks facts, or has ones that nobody knows, is an error that names it."""
    with pytest.raises(ConfigError, match="'new'"):
        parse_capture(text, "new")
