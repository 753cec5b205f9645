"""Doctor on the driver: real shared libraries that answer, hang or break, and the files around them."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gpuledger.cli.checks.driver import check_driver, check_mig_monitoring, check_permission, check_versions
from gpuledger.cli.checks.driver_probe import DriverAnswer, ask_driver
from gpuledger.cli.checks.places import Places
from gpuledger.cli.checks.surroundings import Surroundings
from tests.driver.build import VERSION, require
from tests.gpuledger.lesser import as_nobody, needs_root, open_folder

HANGS = "#include <unistd.h>\nint nvmlInitWithFlags(unsigned f) { (void)f; for (;;) pause(); }\n"
CRASHES = "#include <stdlib.h>\nint nvmlInitWithFlags(unsigned f) { (void)f; abort(); }\n"
MISMATCH = "int nvmlInitWithFlags(unsigned f) { (void)f; return 18; }\n"
HOST, POD = Surroundings(), Surroundings(in_pod=True)


def build(folder: Path, source: str) -> Path:
    """Compile a driver library."""
    compiler = shutil.which("cc")
    if compiler is None:
        assert os.environ.get("CI") != "true", "CI must have a C compiler: apt-get install gcc"
        pytest.skip("no C compiler: apt-get install gcc")
    library = folder / "libnvidia-ml.so.1"
    code = folder / "driver.c"
    code.write_text(source)
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, code], check=True, timeout=60)
    return library


def test_the_library_that_the_settings_name_is_asked(tmp_path: Path) -> None:
    """Its version and GPUs, and that it was this one."""
    library = require()
    found = check_driver(library, Places(driver_module=tmp_path / "none"), HOST)[0]
    assert (found.status, found.found) == ("ok", f"version {VERSION}, 8 GPUs through {library}")


def test_a_wedged_driver_holds_nobody_up(tmp_path: Path) -> None:
    """A library that never answers is given up on, and the finding says so."""
    answer = ask_driver(build(tmp_path, HANGS), timeout_s=3.0)
    assert "did not answer within 3 s" in answer.error
    assert "dmesg" in answer.hint


def test_a_driver_that_breaks_its_process_is_an_answer_too(tmp_path: Path) -> None:
    """A crash in the library is a finding, not the end of doctor."""
    assert "ended with" in ask_driver(build(tmp_path, CRASHES)).error


def test_a_library_of_another_version_than_the_kernels_module(tmp_path: Path) -> None:
    """NVML's error 18 leads to a restart, and the module's version is said beside it."""
    module = tmp_path / "version"
    module.write_text("550.54.14\n")
    answer = ask_driver(build(tmp_path, MISMATCH))
    assert "error 18" in answer.error
    assert "restart the agent" in answer.hint
    assert "550.54.14" in check_versions(answer, module).found
    differing = check_versions(DriverAnswer(version="535.104"), module)
    assert (differing.status, "nvml.library" in differing.next_step) == ("failed", True)
    assert check_versions(DriverAnswer(version="550.54.14"), module).status == "ok"


def test_a_wrong_path_names_the_setting(tmp_path: Path) -> None:
    """nvml.library is what to put right."""
    found = check_driver(tmp_path / "none.so", Places(), HOST)[0]
    assert (found.status, "nvml.library" in found.next_step) == ("failed", True)


def test_without_a_driver_a_pod_is_told_of_the_runtime(tmp_path: Path) -> None:
    """A machine without GPUs needs none; the agent's pod is there for them, so its runtime is missing."""
    if Path("/dev/nvidiactl").exists():
        pytest.skip("this machine has a driver")
    places = Places(driver_device=tmp_path / "nvidiactl")
    assert check_driver(None, places, HOST)[0].status == "absent"
    found = check_driver(None, places, POD)[0]
    assert (found.status, "runtimeClassName: nvidia" in found.next_step) == ("failed", True)


def test_the_device_file_must_open() -> None:
    """A mode that shuts this user out leads to root; a file that opens is well."""
    needs_root()
    with open_folder() as folder:
        device = folder / "nvidiactl"
        device.touch(mode=0o600)
        assert check_permission(device, HOST).status == "ok"
        found = as_nobody(f"driver.check_permission(Path({str(device)!r}), around)")
    assert (found.status, "as root" in found.next_step) == ("failed", True)


def test_mig_monitoring_is_asked_for_only_where_mig_is(tmp_path: Path) -> None:
    """Without MIG nothing is missing; with it the capability of the kernel and the driver's own both count."""
    places = Places(driver_capabilities=tmp_path / "capabilities", capability_devices=tmp_path / "caps")
    admin = Surroundings(capabilities=frozenset({"SYS_ADMIN"}))
    mig = DriverAnswer(version="1", mig=True)
    assert check_mig_monitoring(DriverAnswer(version="1"), places, POD).status == "absent"
    assert "mig-monitoring" in check_mig_monitoring(mig, places, POD).next_step
    assert check_mig_monitoring(mig, places, admin).status == "warning"
    (tmp_path / "capabilities" / "mig").mkdir(parents=True)
    (tmp_path / "capabilities" / "mig" / "monitor").write_text("DeviceFileMinor: 2\nDeviceFileMode: 256\n")
    assert "nvidia-cap2" in check_mig_monitoring(mig, places, admin).found
    (tmp_path / "caps").mkdir()
    (tmp_path / "caps" / "nvidia-cap2").touch()
    assert check_mig_monitoring(mig, places, admin).status == "ok"
