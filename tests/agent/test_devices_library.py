"""NvmlSource on a real shared object, built from C, and library paths that cannot be loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.devices.nvml import NvmlSource
from agent.devices.nvml.epoch import read_driver_epoch
from gpuledger.errors import DeviceError

_READ = """
import json, sys
from pathlib import Path
from agent.devices.nvml import NvmlSource
source = NvmlSource(Path(sys.argv[1]), epoch=str)
first, second = source.read(), source.read()
board = first.boards[0]
source.close()
print(json.dumps([
    first.driver_version, board.device.key, board.device.model, board.fault, board.energy_mj, second.boards[0].energy_mj,
    board.power_mw, board.utilization_ppm, board.memory_used_bytes, board.temperature_c, len(board.processes),
    board.processes[:2], [event.kind for event in first.events],
]))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None:
        assert not os.environ.get("CI"), "CI must have a C compiler: apt-get install gcc"
        pytest.skip("no C compiler: apt-get install gcc")
    path = tmp_path_factory.mktemp("driver") / "libnvidia-ml.so.1"
    source = Path(__file__).with_name("fake_nvml.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-Wall", "-Werror", "-o", path, source], check=True, timeout=60)
    return path


def test_reads_a_driver_library_that_is_named_by_path(library: Path) -> None:
    """A library at an explicit path is read as the system's own would be, through the loader and the C boundary."""
    run = subprocess.run(
        [sys.executable, "-c", _READ, library], check=False, capture_output=True, text=True, timeout=60, cwd=Path.cwd()
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == (
        '["999.1", "GPU-fake", "Fake GPU", "", 41, 43, 51000, 370000, 200, 44, 12, [[100, null, ""], [101, 10, ""]], '
        '["events_unavailable"]]'
    )


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
