"""DCGM's names are those of real dcgm-exporter pages: name, type, unit, labels and meaning of what both have."""

from __future__ import annotations

import csv
import os
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from agent.dcgm_fields import FAMILIES, LABELS
from agent.devices.base import BoardHealth, BoardReading, InstanceReading, NodeReading, ProcessReading
from gpuledger.model import Device
from tests.agent.metrics_scene import Scene
from tests.agent.nodes import T0

_ROOT = Path(__file__).parents[2]
_DATA = Path(os.environ.get("GPULEDGER_REALITY_DATA", _ROOT.parent / "shared" / "data")) / "dcgm_exporter"
PAGES = ("a100_mig_1_active", "a100_mig_4_active", "a100_mig_disabled_1", "a100_mig_disabled_2", "t4_fraction_pod")
ABSENT = {
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS",
    "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
    "DCGM_FI_PROF_DRAM_ACTIVE",
    "DCGM_FI_PROF_PCIE_TX_BYTES",
    "DCGM_FI_PROF_PCIE_RX_BYTES",
}  # what is on their pages and not on ours, because NVML does not tell it, or only at a price
GR_ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"  # of whole boards NVML tells it in whole percents only: GPU_UTIL
MIB = 1 << 20
UNITS = {"W": "W", "mJ": "mJ", "MiB": "MiB", "MHz": "MHz", "C": "C", "%": "%", "ns": "ns"}


def real(name: str) -> Path:
    path = _DATA / name
    if not path.exists():
        if os.environ.get("CI") == "true":
            pytest.fail(f"{path} is missing: set GPULEDGER_REALITY_DATA")
        pytest.skip(f"no real data at {path}: set GPULEDGER_REALITY_DATA")
    return path


def families(text: str) -> dict[str, Metric]:
    return {family.name.removesuffix("_total"): family for family in text_string_to_metric_families(text)}


def rows(family: Metric) -> list[tuple[dict[str, str], float]]:
    return [(dict(sample.labels), sample.value) for sample in family.samples]


def counters() -> dict[str, tuple[str, str]]:
    """Return type and help of every field in the two lists that dcgm-exporter ships, also of those commented out."""
    found: dict[str, tuple[str, str]] = {}
    for name in ("dcgm_exporter_default-counters.csv", "dcgm_exporter_dcp-metrics-included.csv"):
        for line in real(name).read_text().splitlines():
            cells = next(csv.reader([line.lstrip("# ")]), [])
            if len(cells) >= 3 and cells[0].startswith("DCGM_"):
                found[cells[0].strip()] = (cells[1].strip(), ",".join(cells[2:]).strip())
    return found


def test_every_name_that_both_have_has_their_type_and_unit() -> None:
    """A field of our table that their lists name is of their type and in the unit that their help gives."""
    theirs, both = counters(), 0
    for family in FAMILIES:
        if family.name not in theirs or family.name == "DCGM_EXP_XID_ERRORS_COUNT":
            continue  # the count of a window goes down: theirs calls it a counter
        kind, text = theirs[family.name]
        both += 1
        assert family.kind == kind, family.name
        unit = re.search(r"\(in (\S+)\)", text)
        if unit:
            assert family.unit == UNITS[unit[1]], family.name
            assert family.unit in family.help
    assert both >= 25


def test_what_they_show_by_default_and_we_do_not_is_listed() -> None:
    """No name of a real page is missing without being known to be."""
    ours = {family.name for family in FAMILIES}
    shown = {name for page in PAGES for name in families(real(f"{page}.prom").read_text())}
    assert shown - ours == ABSENT - {"DCGM_FI_DEV_VGPU_LICENSE_STATUS"}


@pytest.mark.parametrize("page", PAGES)
def test_the_same_node_gives_the_same_page(page: str) -> None:
    """A node that reads as theirs did has their values under their names, with all their labels but Kubernetes' pod.

    On a cut board what is the board's stands once and without an instance: as many watts as there are, not as many
    times as there are instances.
    """
    theirs = families(real(f"{page}.prom").read_text())
    scene = Scene(dcgm_names=True)
    scene.show(node_of(theirs), T0)
    ours = families(scene.text())
    compared = 0
    for name, family in theirs.items():
        expected = {identity(labels): value for labels, value in rows(family)}
        cut = any(profile for _, profile, _ in expected)
        if name in ABSENT or name == "DCGM_FI_DEV_XID_ERRORS" or (name == GR_ENGINE and not cut):
            continue  # theirs is 0 where there was no XID
        found = {identity(labels): value for labels, value in rows(ours[name])}
        if is_of_the_board(name) and cut:
            expected = {(uuid, "", ""): value for (uuid, _, _), value in reversed(expected.items())}
        assert found == pytest.approx(expected, abs=1e-6), name
        assert ours[name].type == family.type
        for labels, _ in rows(ours[name]):
            assert set(labels) <= set(LABELS)
            instance = {"GPU_I_ID", "GPU_I_PROFILE"} if is_of_the_board(name) else set()
            assert set(rows(family)[0][0]) - instance <= set(labels)
        for shared in ("gpu", "device", "modelName", "DCGM_FI_DRIVER_VERSION"):
            assert {labels[shared] for labels, _ in rows(ours[name])} == {labels[shared] for labels, _ in rows(family)}
        compared += 1
    assert compared >= 9


def identity(labels: dict[str, str]) -> tuple[str, str, str]:
    return labels["UUID"], labels.get("GPU_I_PROFILE", ""), labels.get("GPU_I_ID", "")


def is_of_the_board(name: str) -> bool:
    return not name.startswith(("DCGM_FI_DEV_FB_", "DCGM_FI_PROF_"))


def node_of(page: dict[str, Metric]) -> NodeReading:
    """Return the reading of the node that a page was made from."""
    by_board: dict[str, dict[str, dict[str, float]]] = {}
    facts: dict[str, dict[str, str]] = {}
    for name, family in page.items():
        for labels, value in rows(family):
            key = labels["UUID"]
            facts[key] = labels
            by_board.setdefault(key, {}).setdefault(labels.get("GPU_I_ID", ""), {})[name] = value
            facts[f"{key}/{labels.get('GPU_I_ID', '')}"] = labels
    boards = [board_of(key, found, facts) for key, found in by_board.items()]
    return NodeReading("load", next(iter(facts.values()))["DCGM_FI_DRIVER_VERSION"], tuple(boards))


def board_of(key: str, found: dict[str, dict[str, float]], facts: dict[str, dict[str, str]]) -> BoardReading:
    labels, values = facts[key], next(iter(found.values()))
    device = Device(key, "gpu", labels["modelName"], index=int(labels["gpu"]))

    def whole(name: str, scale: int = 1) -> int | None:
        value = values.get(f"DCGM_FI_{name}")
        return None if value is None else round(value * scale)

    mig = "" not in found
    reading = BoardReading(
        device,
        mig=mig,
        energy_mj=whole("DEV_TOTAL_ENERGY_CONSUMPTION"),
        power_mw=whole("DEV_POWER_USAGE", 1_000),
        utilization_ppm=whole("DEV_GPU_UTIL", 10_000),
        memory_used_bytes=whole("DEV_FB_USED", MIB),
        temperature_c=whole("DEV_GPU_TEMP"),
        health=BoardHealth(
            sm_clock_mhz=whole("DEV_SM_CLOCK"),
            memory_clock_mhz=whole("DEV_MEM_CLOCK"),
            memory_temperature_c=whole("DEV_MEMORY_TEMP"),
            memory_copy_ppm=whole("DEV_MEM_COPY_UTIL", 10_000),
            encoder_ppm=whole("DEV_ENC_UTIL", 10_000),
            decoder_ppm=whole("DEV_DEC_UTIL", 10_000),
            pcie_replays=whole("DEV_PCIE_REPLAY_COUNTER"),
            memory_free_bytes=whole("DEV_FB_FREE", MIB),
            rows_remapped_uncorrectable=whole("DEV_UNCORRECTABLE_REMAPPED_ROWS"),
            rows_remapped_correctable=whole("DEV_CORRECTABLE_REMAPPED_ROWS"),
            row_remap_failure=whole("DEV_ROW_REMAP_FAILURE"),
        ),
    )
    if not mig:
        return reading
    return reading._replace(
        memory_used_bytes=None,
        instances=tuple(
            instance_of(device, number, values, facts[f"{key}/{number}"]) for number, values in found.items()
        ),
    )


def instance_of(board: Device, number: str, values: dict[str, float], labels: dict[str, str]) -> InstanceReading:
    used, free = round(values["DCGM_FI_DEV_FB_USED"]) * MIB, round(values["DCGM_FI_DEV_FB_FREE"]) * MIB
    device = msgspec.structs.replace(
        board, key=f"MIG-{number}", kind="mig", board=board.key, parts=120, mig_profile=labels["GPU_I_PROFILE"],
        memory_bytes=used + free,
    )  # fmt: skip
    active_ppm = round(values[GR_ENGINE] * 1_000_000)
    processes = (ProcessReading(1, None),) if active_ppm else ()
    return InstanceReading(device, used, processes, active_ppm, "gpm", int(number), 0)


def test_a_blank_of_dcgm_is_nothing_here() -> None:
    """Where their page says 9223372036854775794 for a sensor that a board does not have, ours has no series."""
    page = real("dcgm_exporter_readme_sentinel.prom").read_text()
    (value,) = (value for _, value in rows(families(page)["DCGM_FI_DEV_MEMORY_TEMP"]))
    assert value > 2**62
    scene = Scene(dcgm_names=True)
    scene.show(NodeReading("load", "580", (BoardReading(Device("GPU-0", "gpu", "T4"), health=BoardHealth()),)), T0)
    assert "DCGM_FI_DEV_MEMORY_TEMP" not in scene.text()
