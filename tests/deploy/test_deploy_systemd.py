"""The systemd units: accepted by systemd, as narrow as on Kubernetes, and each right with its reason."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gpuledger.cli.main import build_parser
from tests.deploy.manifests import ROOT, agent, overlay

SYSTEMD = ROOT / "deploy" / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))


def settings(path: Path) -> dict[str, list[str]]:
    """Return the values of each key of a unit, in order."""
    found: dict[str, list[str]] = {}
    for line in path.read_text().splitlines():
        key, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.stem)
def test_systemd_accepts_the_unit(unit: Path, tmp_path: Path) -> None:
    """systemd-analyze has nothing to say about it, once the program that it starts is there."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        assert os.environ.get("CI") != "true", "CI must have systemd-analyze: apt-get install systemd"
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/gpuledger/bin/gpuledger", "/bin/true"))
    done = subprocess.run([analyze, "verify", copy], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_timer_starts_the_reports() -> None:
    """It runs each day, and again for a day that the machine slept through; its service is a command that there is."""
    timer, service = (settings(SYSTEMD / f"gpuledger-reports.{kind}") for kind in ("timer", "service"))
    assert (timer["OnCalendar"], timer["Persistent"]) == (["*-*-* 06:17:00"], ["yes"])
    program, *words = service["ExecStart"][0].split()
    args = build_parser().parse_args(words)
    assert program == "/opt/gpuledger/bin/gpuledger"
    assert str(args.out) == f"/var/lib/{service['StateDirectory'][0]}"
    assert service["Type"] == ["oneshot"]


def test_the_agent_has_the_capabilities_of_the_daemon_set_and_the_kernels_log() -> None:
    """The same two, and SYSLOG: on a host no device rule is in the way of /dev/kmsg."""
    here = {name.removeprefix("CAP_") for name in settings(SYSTEMD / UNITS[0].name)["CapabilityBoundingSet"]}
    there = agent(overlay("plain"))["containers"][0]["securityContext"]["capabilities"]["add"]
    assert here == {*there, "SYSLOG"}
    assert settings(SYSTEMD / "mig-monitoring.conf")["CapabilityBoundingSet"] == ["CAP_SYS_ADMIN"]


def test_each_right_has_its_reason_above_it() -> None:
    """A comment stands right above every capability, folder and account."""
    for path in (*UNITS, SYSTEMD / "mig-monitoring.conf"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.match(r"CapabilityBoundingSet=\S|User=|DynamicUser=|StateDirectory=|RuntimeDirectory=", line):
                above = [each for each in lines[max(0, number - 3) : number] if each.startswith("#")]
                assert above, f"{path.name}: {line}"


def test_nothing_hides_the_devices_that_the_agent_reads() -> None:
    """Settings that close /dev/nvidia* or /dev/kmsg, some of them by the way, are not in the agent's unit."""
    keys = settings(SYSTEMD / "gpuledger-agent.service")
    assert not {"PrivateDevices", "DevicePolicy", "DeviceAllow", "ProtectClock", "ProtectKernelLogs"} & keys.keys()
    assert not {"PrivateUsers", "ProtectProc", "ProcSubset", "PrivatePIDs"} & keys.keys()
    assert keys["RuntimeDirectoryPreserve"] == ["yes"]
