"""Captures hold what real drivers said: each fact is compared with the nvidia-smi dump that it came from."""

from __future__ import annotations

import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from agent.devices.nvml.mig import profile_name
from agent.devices.simulated.captures import MIB, load_capture

_ROOT = Path(os.environ.get("GPULEDGER_REALITY_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
_XML = {
    "h100-sxm": "nvidia__qx-h100.xml",
    "a100-40gb": "nvidia__qx-a100.xml",
    "a100-80gb": "telegraf__a100-sxm4-v12.xml",
    "t4": "nvidia__qx-t4.xml",
    "p2000": "telegraf__quadro-p2000-v12.xml",
}
_L40S = "linux-x86_64__nvidia-l40s__595.80.txt"
_H100_MIG = "linux-x86_64__nvidia-h100-mig__590.48.01.txt"


def _dump(*names: str) -> Path:
    path = _ROOT.joinpath(*names)
    if not path.exists():
        assert not os.environ.get("CI"), f"CI must have the recorded data: {path} is missing"
        pytest.skip(f"the recorded data is not here: set GPULEDGER_REALITY_DATA ({path})")
    return path


def _number(text: str | None) -> float | None:
    """Return the number of "250.00 W", None for "N/A"."""
    found = re.match(r"[\d.]+", text or "")
    return float(found[0]) if found else None


def _power(gpu: ET.Element, name: str) -> float | None:
    for readings in ("gpu_power_readings", "power_readings"):
        if (value := _number(gpu.findtext(f"{readings}/{name}"))) is not None:
            return value
    return None


@pytest.mark.parametrize("name", _XML)
def test_a_capture_holds_the_facts_of_its_dump(name: str) -> None:
    """Name, architecture, driver, memory and power limits are those of the recorded board."""
    capture, root = load_capture(name), ET.parse(_dump("nvidia_smi_xml", _XML[name])).getroot()
    gpu = root.find("gpu")
    assert gpu is not None
    assert capture.name == gpu.findtext("product_name")
    assert capture.architecture == gpu.findtext("product_architecture")
    assert capture.driver_version == root.findtext("driver_version")
    assert capture.memory_total_mib == _number(gpu.findtext("fb_memory_usage/total"))
    assert capture.memory_reserved_mib == _number(gpu.findtext("fb_memory_usage/reserved"))
    assert (capture.power_limit_w, capture.power_min_w) == (
        _power(gpu, "max_power_limit"),
        _power(gpu, "min_power_limit"),
    )


@pytest.mark.parametrize("name", _XML)
def test_a_capture_supports_what_its_driver_did(name: str) -> None:
    """Average power (field 185) and MIG are supported exactly where the dump shows a value for them."""
    capture, root = load_capture(name), ET.parse(_dump("nvidia_smi_xml", _XML[name])).getroot()
    gpu = root.find("gpu")
    assert gpu is not None
    assert (185 not in capture.unsupported_fields) == (_power(gpu, "average_power_draw") is not None)
    assert (capture.mig is not None) == (gpu.findtext("mig_mode/current_mig") != "N/A")


def _shown_fields(gpu: ET.Element) -> dict[int, int]:
    """Return what a dump shows of a board's condition, by the number of NVML's field."""
    flags = {"No": 0, "Yes": 1, "None": 0}
    found = {
        82: gpu.findtext("temperature/memory_temp"),
        94: gpu.findtext("pci/replay_counter"),
        29: gpu.findtext("retired_pages/multiple_single_bit_retirement/retired_count"),
        30: gpu.findtext("retired_pages/double_bit_retirement/retired_count"),
        31: gpu.findtext("retired_pages/pending_retirement"),
        142: gpu.findtext("remapped_rows/remapped_row_corr"),
        143: gpu.findtext("remapped_rows/remapped_row_unc"),
        144: gpu.findtext("remapped_rows/remapped_row_pending"),
        145: gpu.findtext("remapped_rows/remapped_row_failure"),
        230: gpu.findtext("gpu_recovery_action"),
    }
    shown = {}
    for field, text in found.items():
        number = flags.get(text or "", _number(text))
        if number is not None:
            shown[field] = int(number)
    for field, name in ((74, "sw_power_cap"), (76, "sync_boost"), (269, "sw_therm_slowdown"), (270, "hw_therm_slowdown"),
                        (271, "hw_power_brake")):  # fmt: skip
        microseconds = _number(gpu.findtext(f"clocks_event_reasons_counters/clocks_event_reasons_counters_{name}"))
        if microseconds is not None:
            shown[field] = int(microseconds) * 1_000
    return shown


def _ecc_totals(gpu: ET.Element) -> dict[int, int]:
    """Return the sums of corrected and uncorrected errors of all memories, by the number of NVML's field."""
    totals = {}
    for first, kind in ((3, "volatile"), (5, "aggregate")):
        counts = {entry.tag: _number(entry.text) for entry in gpu.iterfind(f"ecc_errors/{kind}/*")}
        known = {tag: int(count) for tag, count in counts.items() if count is not None}
        if known:
            totals[first] = sum(count for tag, count in known.items() if "uncorrectable" not in tag)
            totals[first + 1] = sum(count for tag, count in known.items() if "uncorrectable" in tag)
    return totals


@pytest.mark.parametrize("name", _XML)
def test_a_captures_condition_is_that_of_its_dump(name: str) -> None:
    """Temperatures, counters, flags, clocks and the fan are those of the recorded board; what it hid is not made up."""
    root = ET.parse(_dump("nvidia_smi_xml", _XML[name])).getroot()
    gpu = root.find("gpu")
    assert gpu is not None
    capture = load_capture(name)
    hidden = {142: 0, 143: 0, 144: 0, 145: 0} if gpu.findtext("mig_mode/current_mig") == "Enabled" else {}
    assert capture.condition_fields == {**_shown_fields(gpu), **_ecc_totals(gpu), **hidden}
    assert capture.sm_clock_mhz == _number(gpu.findtext("clocks/sm_clock"))
    assert capture.memory_clock_mhz == _number(gpu.findtext("clocks/mem_clock"))
    shown_fan = _number(gpu.findtext("fan_speed"))
    assert capture.fan_percent == (None if shown_fan is None else int(shown_fan))
    assert capture.gpm == (capture.architecture == "Hopper")


@pytest.mark.parametrize("name", ["h100-sxm", "a100-40gb", "a100-80gb", "p2000"])
def test_idle_power_is_the_least_that_the_dump_shows_without_processes(name: str) -> None:
    """Idle power is the smallest draw among the recorded boards, none of which has a process or works."""
    root = ET.parse(_dump("nvidia_smi_xml", _XML[name])).getroot()
    draws = []
    for gpu in root.findall("gpu"):
        assert gpu.findall("processes/process_info") == []
        assert _number(gpu.findtext("utilization/gpu_util")) in (0.0, None)
        shown = [_power(gpu, field) for field in ("average_power_draw", "instant_power_draw", "power_draw")]
        draws.append(next(value for value in shown if value is not None))
    capture = load_capture(name)
    assert (capture.idle_power_w, capture.idle_power_origin) == (min(draws), "recorded")


def test_the_idle_power_of_a_t4_is_that_of_one_that_nobody_held() -> None:
    """The T4 of the exporter's text that no pod holds and that does nothing draws the capture's idle power."""
    text = _dump("dcgm_exporter", "t4_fraction_pod.prom").read_text()
    drawn = {
        re.search(r'gpu="(\d)"', line)[1]: float(line.split()[-1])  # type: ignore[index]
        for line in text.splitlines()
        if line.startswith("DCGM_FI_DEV_POWER_USAGE{") and 'pod=""' in line
    }
    assert drawn == {"1": load_capture("t4").idle_power_w}


def test_the_l40s_capture_holds_the_facts_of_its_dump() -> None:
    """The text dump of an L40S has the same facts, and no moment without work: its idle power is an estimate."""
    text = _dump("nvidia_smi_captures", _L40S).read_text()
    capture = load_capture("l40s")
    idle = text[text.index("# idle :: query (-q)") : text.index("# idle :: query-gpu")]
    memory = idle[idle.index("FB Memory Usage") :]
    power = idle[idle.index("GPU Power Readings") :]
    assert capture.name == _value(idle, "Product Name")
    assert capture.architecture == _value(idle, "Product Architecture")
    assert capture.driver_version == _value(idle, "Driver Version")
    assert capture.memory_total_mib == _number(_value(memory, "Total"))
    assert capture.memory_reserved_mib == _number(_value(memory, "Reserved"))
    assert capture.power_limit_w == _number(_value(power, "Max Power Limit"))
    assert capture.power_min_w == _number(_value(power, "Min Power Limit"))
    assert _value(idle, "Current") == "N/A"  # MIG mode
    assert capture.mig is None
    assert (185 not in capture.unsupported_fields) == (_number(_value(power, "Average Power Draw")) is not None)
    assert (_value(idle[idle.index("Utilization") :], "GPU"), capture.idle_power_origin) == ("100 %", "estimate")


def _value(text: str, label: str) -> str:
    found = re.search(rf"^\s*{re.escape(label)}\s+: (.*)$", text, re.MULTILINE)
    assert found, f"{label} is not in the dump"
    return found[1].strip()


def test_the_mig_profiles_of_an_h100_are_those_of_a_board_that_was_cut() -> None:
    """Memory and multiprocessors of each recorded instance are those of its profile, whose name they spell."""
    text = _dump("nvidia_smi_captures", _H100_MIG).read_text()
    capture = load_capture("h100-sxm")
    names = re.findall(r"^  MIG (\S+)\s+Device", text, re.MULTILINE)
    instances = text[text.index("# idle :: query (-q)") :].split("    MIG Device\n")[1 : len(names) + 1]
    assert names == ["3g.40gb", "2g.20gb", "1g.10gb", "1g.10gb"]
    for name, instance in zip(names, instances, strict=True):
        profile = capture.profile(name)
        memory = _number(_value(instance[instance.index("Shared FB Memory Usage") :], "Total"))
        assert (profile.memory_mib, profile.multiprocessors, profile.ofa) == (
            memory,
            _number(_value(instance, "Multiprocessor count")),
            _number(_value(instance, "OFA count")),
        )
        spelled = profile_name(
            profile.slices, profile.slices, profile.memory_mib * MIB, capture.memory_total_bytes, media=False
        )
        assert spelled == name


def test_a_mig_instance_of_an_a100_is_that_of_a_board_that_was_cut() -> None:
    """The instances of the recorded A100 80GB have the memory and multiprocessors of 1g.20gb."""
    root = ET.parse(_dump("nvidia_smi_xml", _XML["a100-80gb"])).getroot()
    profile = load_capture("a100-80gb").profile("1g.20gb")
    instances = root.findall("gpu/mig_devices/mig_device")
    assert len(instances) == 4
    for instance in instances:
        assert _number(instance.findtext("fb_memory_usage/total")) == profile.memory_mib
        assert _number(instance.findtext("device_attributes/shared/multiprocessor_count")) == profile.multiprocessors


def test_utilisation_is_not_available_once_a_board_is_cut() -> None:
    """The recorded driver shows N/A for the utilisation of a cut board, as the simulated one does."""
    root = ET.parse(_dump("nvidia_smi_xml", _XML["a100-80gb"])).getroot()
    assert root.findtext("gpu/mig_mode/current_mig") == "Enabled"
    assert root.findtext("gpu/utilization/gpu_util") == "N/A"
