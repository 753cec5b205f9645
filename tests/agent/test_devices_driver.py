"""The simulated driver itself: it keeps NVML's protocols, and leaves pynvml as it found it."""

from __future__ import annotations

import threading

import pynvml
import pytest

from agent.devices.simulated.board import SimulatedBoard
from agent.devices.simulated.driver import SimulatedDriver, simulated_source
from agent.devices.simulated.world import BoardState
from gpuledger.clock import VirtualClock
from gpuledger.errors import DeviceError
from tests.agent.device_worlds import GIB, SECOND_US, START_US, ScriptedWorld, board, mig_slice, process


def _driver(world: ScriptedWorld) -> SimulatedDriver:
    return SimulatedDriver(world, VirtualClock(START_US))


def test_pynvml_is_left_as_it_was_found() -> None:
    """Outside the block pynvml has the library, the pointers and the count of openings that it had before."""
    before = (pynvml.nvmlLib, pynvml._nvmlGetFunctionPointer_cache, pynvml._nvmlLib_refcount)
    with _driver(ScriptedWorld(board())).install():
        pynvml.nvmlInit()
        assert pynvml.nvmlDeviceGetCount() == 1
    assert (pynvml.nvmlLib, pynvml._nvmlGetFunctionPointer_cache, pynvml._nvmlLib_refcount) == before


def test_many_nodes_are_read_in_one_process() -> None:
    """Each simulated source has its own driver, also when threads read them at the same time."""
    clock = VirtualClock(START_US)
    worlds = [ScriptedWorld(*[board(index) for index in range(count + 1)]) for count in range(4)]
    for number, world in enumerate(worlds):
        world.show(BoardState(energy_mj=number))
    sources = [simulated_source(world, clock) for world in worlds]
    seen: dict[int, set[tuple[int, int | None]]] = {number: set() for number in range(4)}

    def read(number: int) -> None:
        for _ in range(50):
            reading = sources[number].read()
            seen[number].add((len(reading.boards), reading.boards[0].energy_mj))

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert seen == {number: {(number + 1, number)} for number in range(4)}
    for source in sources:
        source.close()


def test_versioned_structs_are_refused_when_their_version_is_wrong() -> None:
    """A caller that states another version gets ARGUMENT_VERSION_MISMATCH, not a half-filled struct."""
    with _driver(ScriptedWorld(board())).install():
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        assert pynvml.nvmlDeviceGetMemoryInfo(handle, pynvml.nvmlMemory_v2).reserved == 480 << 20
        with pytest.raises(pynvml.NVMLError_ArgumentVersionMismatch):
            pynvml.nvmlDeviceGetMemoryInfo(handle, 0x01000018)


def test_field_values_have_a_return_code_and_a_type_each() -> None:
    """One call answers several fields: each entry says whether it is supported, and how to read its value."""
    world = ScriptedWorld(board(0, "a100-40gb"))
    world.show(BoardState(energy_mj=2**40, power_mw=5))
    with _driver(world).install():
        pynvml.nvmlInit()
        values = pynvml.nvmlDeviceGetFieldValues(pynvml.nvmlDeviceGetHandleByIndex(0), [83, 185, (186, 0), 4_242])
        answers = [(entry.fieldId, entry.nvmlReturn) for entry in values]
    assert answers == [(83, 0), (185, 3), (186, 0), (4_242, 3)]
    assert (values[0].valueType, values[0].value.ullVal) == (pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG, 2**40)
    assert (values[2].valueType, values[2].value.uiVal) == (pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 5)


def test_an_unknown_symbol_is_function_not_found() -> None:
    """A function that the library does not have is FUNCTION_NOT_FOUND, as is one that an older driver lacks."""
    with _driver(ScriptedWorld(board(0, "p2000"))).install():
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        with pytest.raises(pynvml.NVMLError_FunctionNotFound):
            pynvml.nvmlDeviceGetVbiosVersion(handle)
        with pytest.raises(pynvml.NVMLError_FunctionNotFound):
            pynvml.nvmlDeviceGetTemperatureV(handle, pynvml.NVML_TEMPERATURE_GPU)


def test_nothing_answers_before_init_or_after_shutdown() -> None:
    """Calls on a driver that is not open are UNINITIALIZED."""
    with _driver(ScriptedWorld(board())).install():
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetCount()
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        pynvml.nvmlShutdown()
        with pytest.raises(pynvml.NVMLError_Uninitialized):
            pynvml.nvmlDeviceGetPowerUsage(handle)


def test_a_lost_board_answers_nothing_while_the_count_stays() -> None:
    """GPU_IS_LOST comes from calls and from looking the handle up; the node still counts the board."""
    world = ScriptedWorld(board(0), board(1))
    with _driver(world).install():
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        world.show(BoardState(lost=True))
        assert pynvml.nvmlDeviceGetCount() == 2
    driver = _driver(world)
    with driver.install():
        pynvml.nvmlInit()
        for ask in (lambda: pynvml.nvmlDeviceGetUUID(handle), lambda: pynvml.nvmlDeviceGetHandleByIndex(0)):
            with pytest.raises(pynvml.NVMLError_GpuIsLost):
                ask()
        assert pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetHandleByIndex(1)) == "GPU-0001"


def test_mig_instances_answer_for_themselves() -> None:
    """A MIG handle has its own name, identity, ids and attributes; the board says that MIG is enabled."""
    world = ScriptedWorld(board(0, "h100-sxm", mig_slice(2, "1g.10gb", 9)))
    world.show(BoardState(processes=(process(3, gpu_instance=9),)))
    with _driver(world).install():
        pynvml.nvmlInit()
        parent = pynvml.nvmlDeviceGetHandleByIndex(0)
        assert pynvml.nvmlDeviceGetMigMode(parent) == [1, 1]
        with pytest.raises(pynvml.NVMLError_NotFound):
            pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 0)
        instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(parent, 2)
        assert pynvml.nvmlDeviceGetName(instance) == "NVIDIA H100 80GB HBM3 MIG 1g.10gb"
        assert pynvml.nvmlDeviceGetGpuInstanceId(instance) == 9
        assert pynvml.nvmlDeviceGetComputeInstanceId(instance) == 0
        attributes = pynvml.nvmlDeviceGetAttributes(instance)
        assert (attributes.gpuInstanceSliceCount, attributes.memorySizeMB) == (1, 9_984)
        for handle in (parent, instance):
            listed = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
            assert [(entry.pid, entry.gpuInstanceId, entry.usedGpuMemory) for entry in listed] == [(3, 9, GIB)]
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetUtilizationRates(parent)
        with pytest.raises(pynvml.NVMLError_NotSupported):
            pynvml.nvmlDeviceGetProcessUtilization(parent, 0)


def test_events_come_once_to_who_registered_for_them() -> None:
    """An XID waits until it is fetched, comes once, and then waiting times out; unregistered boards report nothing."""
    world = ScriptedWorld(board(0), board(1))
    clock = VirtualClock(START_US)
    with SimulatedDriver(world, clock).install():
        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        events = pynvml.nvmlEventSetCreate()
        assert pynvml.nvmlDeviceGetSupportedEventTypes(handle) & pynvml.nvmlEventTypeXidCriticalError
        pynvml.nvmlDeviceRegisterEvents(handle, pynvml.nvmlEventTypeXidCriticalError, events)
        for index in (0, 1):
            world.show(BoardState(xids=(13,)), board=index, after_s=1)
        clock.advance_to(START_US + SECOND_US)
        data = pynvml.nvmlEventSetWait(events, 0)
        assert (data.eventType, data.eventData, data.gpuInstanceId) == (8, 13, 0xFFFFFFFF)
        with pytest.raises(pynvml.NVMLError_Timeout):
            pynvml.nvmlEventSetWait(events, 0)


class BrokenWorld(ScriptedWorld):
    """A world with a mistake in it."""

    def board_at(self, index: int, at_us: int, previous_us: int) -> BoardState:
        raise ZeroDivisionError(f"board {index}")


def test_a_mistake_in_a_world_is_not_swallowed_by_the_c_boundary() -> None:
    """C code cannot pass an exception on: the driver keeps it and raises it when the block ends."""
    source = simulated_source(BrokenWorld(board()), VirtualClock(START_US))
    with pytest.raises(ZeroDivisionError, match="board 0"):
        source.read()


def test_a_world_without_boards_is_refused() -> None:
    """A simulated node must have a GPU."""
    with pytest.raises(DeviceError, match="no GPUs"):
        simulated_source(ScriptedWorld(), VirtualClock(START_US))


def test_activity_periods_do_not_shrink_to_the_time_between_two_calls() -> None:
    """On a clock that moves with every call a board keeps its figures for a tenth of a second, as a driver does."""
    world, clock = ScriptedWorld(board()), VirtualClock(START_US)
    shown = SimulatedBoard(world, clock, 0, board())
    for microseconds in (0, 40, 99_999, 100_000, 100_040):
        clock.advance_to(START_US + microseconds)
        shown.refresh()
    assert [(at - START_US, previous - START_US) for _, at, previous in world.asked] == [
        (0, -SECOND_US),
        (100_000, 0),
    ]
