"""NvmlSource on a real shared object, built from C, and library paths that cannot be loaded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config import AgentSettings
from agent.devices.nvml import NvmlSource
from agent.devices.nvml.epoch import read_driver_epoch
from gpuledger.config import load_config
from gpuledger.errors import DeviceError
from tests.driver.build import VERSION, require
from tests.driver.control import World, preload

ROOT = Path(__file__).parents[2]
T0 = 1_790_000_000_000_000
SECOND = 1_000_000

_READ = """
import json, sys
from pathlib import Path
import msgspec
from agent.devices.nvml import NvmlSource
from tests.driver.control import World
world = World(Path(sys.argv[2]), *json.loads(sys.argv[3]), clock_us=int(sys.argv[4]))
source = NvmlSource(Path(sys.argv[1]), epoch=str, clock=type("Clock", (), {"now_us": lambda self: world.clock_us})())
readings = [source.read()]
for lines in sys.argv[5:]:
    world.clock_us += 10_000_000
    world.add(*json.loads(lines))
    readings.append(source.read())
source.close()
print(msgspec.json.encode(readings).decode())
"""


@pytest.fixture(scope="module")
def library() -> Path:
    return require()


def readings_of(library: Path, directory: Path, lines: list[str], *later: list[str], clock_us: int = T0) -> list[list]:
    """Return what NvmlSource reads in a process of its own: at first, and ten seconds after each later addition."""
    world = World(directory)
    run = subprocess.run(
        [sys.executable, "-c", _READ, library, directory, json.dumps(lines), str(clock_us), *map(json.dumps, later)],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=ROOT,
        env={**os.environ, **world.environment},
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def test_reads_a_driver_library_that_is_named_by_path(library: Path, tmp_path: Path) -> None:
    """A library at an explicit path is read as the system's own would be, through the loader and the C boundary."""
    lines = [
        "boards 2", "board * idle 1", "board 0 busy 37", "board 0 power_mw 51000", f"energy_since_us {T0 - SECOND}",
        "board 0 temperature 44", "process 0 100 -1", *(f"process 0 {pid} 10" for pid in range(101, 112)),
        "process 0 101 10 0 G",
    ]  # fmt: skip
    (first,), (second,) = ([reading] for reading in readings_of(library, tmp_path, lines, []))
    _, version, boards, events = first[:4]
    device, fault, mig, energy_mj, power_mw, utilization_ppm, memory_used, temperature, processes = boards[0][:9]
    assert (version, events, len(boards)) == (VERSION, [], 2)
    assert (device["key"], device["model"]) == ("GPU-00000000-0000-4000-8000-000000000000", "NVIDIA H100 80GB HBM3")
    assert (fault, mig, energy_mj, power_mw, utilization_ppm) == ("", False, 51_000, 51_000, 370_000)
    assert (memory_used, temperature) == (12 * 10 << 20, 44)
    assert [entry[:2] for entry in processes] == [[100, None], *([pid, 10 << 20] for pid in range(101, 112))]
    assert second[2][0][3] == 51_000 + 510_000
    assert boards[1][8] == []


def test_the_library_reports_once_and_loses_boards_as_a_driver_does(library: Path, tmp_path: Path) -> None:
    """An XID comes once to who listened, and a lost board is a fault while the node still counts it."""
    before, told, lost, after = readings_of(library, tmp_path, ["boards 2"], ["xid 1 79"], ["board 1 lost 1"], [])
    assert [[event[0], event[2]] for event in told[3]] == [["xid", 79]]
    assert before[3] == lost[3] == after[3] == []
    assert [board[1] for board in lost[2]] == [board[1] for board in after[2]] == ["", "gpu_lost"]


def test_a_sliced_board_has_its_instances_and_their_processes(library: Path, tmp_path: Path) -> None:
    """MIG instances are found at sparse indices, with their own processes; what is left over is a device of its own."""
    lines = [
        "boards 1", "board 0 idle 1",
        "instance 0 0 7 0 1 1 9856 MIG-a 1g.10gb", "instance 0 3 1 0 4 4 40448 MIG-b 4g.40gb",
        "process 0 70 100 0 C 7 0", "process 0 71 200 0 C 1 0",
    ]  # fmt: skip
    ((_, _, boards, *_),) = readings_of(library, tmp_path, lines)
    assert boards[0][2] is True
    assert boards[0][5] is None
    found = {row[0]["key"]: (row[0].get("mig_profile"), row[0].get("parts"), row[2]) for row in boards[0][10]}
    assert [key.partition("/")[2] or key for key in found] == ["MIG-a", "MIG-b", "remainder"]
    assert found["MIG-a"][:2] == ("1g.10gb", 120)
    assert [entry[0] for entry in found["MIG-a"][2]] == [70]
    assert [entry[0] for entry in found["MIG-b"][2]] == [71]


def test_sharers_activity_comes_from_samples_that_are_read_once(library: Path, tmp_path: Path) -> None:
    """Each reading has the mean of the samples since the one before, whatever the driver still keeps."""
    lines = ["boards 1", "board 0 idle 1", "board 0 jitter 9", "process 0 5 1 50", "process 0 6 1 20"]
    first, *later = readings_of(library, tmp_path, lines, [], [])
    activity = [{int(pid): ppm for pid, ppm in reading[2][0][9].items()} for reading in later]
    period, width = T0 // SECOND, 19
    expected = [
        {
            pid: sum(base + (at * 7 + pid) % width - 9 for at in range(since + 1, since + 11)) * 10_000 // 10
            for pid, base in ((5, 50), (6, 20))
        }
        for since in (period, period + 10)
    ]
    assert first[2][0][9] is None
    assert activity == expected


def test_other_readers_of_nvml_run_on_the_same_library(library: Path) -> None:
    """A monitor that is not ours shows the boards and the processes that the library has."""
    nvitop = Path(sys.executable).with_name("nvitop")
    if not nvitop.exists():
        assert not os.environ.get("CI"), "CI must have nvitop: pip install nvitop-exporter"
        pytest.skip("no nvitop: pip install nvitop-exporter")
    shown = subprocess.run(
        [nvitop, "--once", "--ascii"],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **preload(library)},
    ).stdout
    assert f"Driver Version: {VERSION}" in shown
    assert shown.count("H100 80GB HBM3") == 8
    assert "350W / 700W" in shown


def test_the_environment_names_the_library_over_the_file(tmp_path: Path) -> None:
    """GPULEDGER_NVML_LIBRARY overrides what the settings' file says."""
    path = tmp_path / "agent.toml"
    path.write_text('[nvml]\nlibrary = "/one/libnvidia-ml.so.1"\n')
    env = {"GPULEDGER_NVML_LIBRARY": "/other/libnvidia-ml.so.1"}
    assert load_config(AgentSettings, path, {}).nvml.library == Path("/one/libnvidia-ml.so.1")
    assert load_config(AgentSettings, path, env).nvml.library == Path("/other/libnvidia-ml.so.1")
    assert load_config(AgentSettings, None, env).nvml.library == Path("/other/libnvidia-ml.so.1")


def test_a_library_that_is_not_there_is_an_error_with_the_next_step(tmp_path: Path) -> None:
    """A wrong path names itself and the setting that holds it."""
    with pytest.raises(DeviceError, match="nowhere") as caught:
        NvmlSource(tmp_path / "nowhere.so").read()
    assert "nvml.library" in caught.value.hint


def test_the_epoch_changes_with_the_boot_and_with_the_load_of_the_module(tmp_path: Path) -> None:
    """The key of an epoch is the same while the module stays loaded, and another after a reload or a boot."""
    boot, module = tmp_path / "boot_id", tmp_path / "nvidia"
    boot.write_text("b1\n")
    module.mkdir()
    first = read_driver_epoch(boot, module)
    os.utime(module, (1, 1))
    assert read_driver_epoch(boot, module) == first
    (tmp_path / "other").mkdir()
    assert read_driver_epoch(boot, tmp_path / "other") != first
    boot.write_text("b2\n")
    assert read_driver_epoch(boot, module) != first
    assert read_driver_epoch(tmp_path / "none", tmp_path / "gone") == "/"
