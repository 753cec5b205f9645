"""Label values survive any name: escaped as the format has it, bounded, and never two names as one."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agent.metrics.exposition import render
from agent.metrics.family import GAUGE, Family
from agent.metrics.labels import MAX_LENGTH, Blocks, clean, quoted
from gpuledger.model import Device, Holder, Workload
from tests.agent.metrics_scene import Scene
from tests.agent.nodes import T0, board, node

FAMILY = Family("name", GAUGE, "Help.", ("label",))
HOSTILE = [
    'a"b\\c\nd',
    "\\n is not a newline, \n is",
    "ends with a backslash\\",
    '"},other{x="',
    "# HELP name other",
    "naïve 名前 🦆",
    "",
    " ",
]  # fmt: skip


def read_back(value: str, *, openmetrics: bool = False) -> str:
    page = render([(FAMILY, [(f"{{label={quoted(value)}}}", 1)])], openmetrics=openmetrics).decode()
    (family,) = (parse_openmetrics if openmetrics else parse_text)(page)
    (sample,) = family.samples
    return str(sample.labels["label"])


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("openmetrics", [False, True])
def test_hostile_names_come_back_as_they_are(value: str, *, openmetrics: bool) -> None:
    """Quotes, backslashes, newlines and what looks like syntax come back from a real parser unchanged."""
    assert read_back(value, openmetrics=openmetrics) == value


@given(st.text())
def test_any_text_is_one_value(value: str) -> None:
    """Whatever a name holds, a parser reads one sample with the cleaned value in it."""
    assert read_back(value) == clean(value)
    assert len(clean(value)) <= MAX_LENGTH


@given(st.text(), st.text())
def test_two_names_never_become_one(one: str, other: str) -> None:
    """What has to be changed keeps a digest of what it was, so that no two series fall together."""
    assert (clean(one) == clean(other)) is (one == other)


@pytest.mark.parametrize(
    ("value", "beginning"),
    [
        ("x" * 10_000, "x" * 247),
        ("bell\x07", "bell\ufffd"),
        (b"caf\xe9".decode("utf-8", "surrogateescape"), "caf\ufffd"),
        ("two\rlines\u2028more", "two\ufffdlines\ufffdmore"),
        ("looks~0123abcd", "looks~0123abcd"),
    ],
)
def test_what_no_reader_takes_is_replaced_and_what_is_too_long_is_cut(value: str, beginning: str) -> None:
    """Control characters and bytes that are no UTF-8 become U+FFFD, values are cut at 256: both end in a digest."""
    kept, digest = clean(value)[:-9], clean(value)[-9:]
    assert kept == beginning
    assert re.fullmatch("~[0-9a-f]{8}", digest)
    quoted(value).encode()


def test_what_fits_is_kept() -> None:
    """The longest names that Kubernetes allows are not touched."""
    assert clean("x" * MAX_LENGTH) == "x" * MAX_LENGTH


def test_hostile_devices_and_holders_are_one_series_each() -> None:
    """A page with names of every kind parses, and each device keeps its series."""
    scene = Scene(dcgm_names=True)
    names = [*HOSTILE, "x" * 10_000, "x" * 10_001, "\udc80", "\udc81"]
    boards = [
        board(0, utilization_ppm=1)._replace(device=Device(key=f"GPU-{number}", kind="gpu", model=name))
        for number, name in enumerate(names)
    ]
    scene.show(node(*boards), T0)
    assert [model for (model,) in scene.by("gpuledger_device_active_ratio", "model")] == [clean(name) for name in names]
    assert set(scene.by("DCGM_FI_DEV_GPU_UTIL", "modelName")) == {(clean(name),) for name in names}


def test_blocks_follow_the_facts() -> None:
    """A block is written once, and anew when what is known of a device or a holder changes."""
    blocks = Blocks("node")
    device = Device("GPU-0", "gpu", "H100")
    holder = Holder("pod:1", "pod", pod="trainer")
    first = blocks.held(blocks.device("GPU-0", device), "GPU-0", "pod:1", holder)
    assert blocks.held(blocks.device("GPU-0", device), "GPU-0", "pod:1", holder) is first
    named = Holder("pod:1", "pod", pod="trainer", workload=Workload("mlflow", name="run"))
    assert 'workload="run"' in blocks.held(blocks.device("GPU-0", device), "GPU-0", "pod:1", named)
    renamed = Device("GPU-0", "gpu", "H200")
    assert 'model="H200"' in blocks.held(blocks.device("GPU-0", renamed), "GPU-0", "pod:1", named)
