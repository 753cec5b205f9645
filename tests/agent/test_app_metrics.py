"""The whole agent serves `/metrics` as its settings ask, and goes on doing so where the driver does not answer."""

from __future__ import annotations

import json
import logging
import re
import threading
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from agent import app
from agent.config import AgentSettings, ExporterSection, SamplingSection
from agent.devices.base import NodeReading
from agent.holders.pods import InMemoryPods
from agent.holders.processes import InMemoryProcesses
from agent.shipper import Shipper
from agent.spool import Spool
from gpuledger.client import CollectorClient
from gpuledger.clock import VirtualClock
from gpuledger.errors import DeviceError
from tests.agent.metrics_scene import Child
from tests.agent.nodes import MINUTE, T0, GivenSource, board, node


def test_an_agent_serves_what_it_reads_until_it_is_too_old(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Power under both names while readings are fresh; after the driver fails for long, what the agent itself does."""
    clock, answers = VirtualClock(T0), True

    def answer() -> NodeReading | DeviceError:
        return node(board(0, power_mw=300_000, utilization_ppm=0)) if answers else DeviceError("gone", hint="none")

    settings = AgentSettings(
        sampling=SamplingSection(interval_ms=60_000), exporter=ExporterSection(port=0, dcgm_names=True)
    )
    caplog.set_level(logging.INFO, "agent.app")
    with ExitStack() as closing:
        spool = closing.enter_context(Spool(tmp_path))
        inputs = app.NodeInputs(
            GivenSource(answer), InMemoryProcesses({}), InMemoryPods({}), "", child=lambda: Child(2, 1, 0, 0, 0)
        )
        shipper = Shipper(spool, CollectorClient())
        agent = app.Agent(settings, inputs, clock, spool=spool, shipper=shipper, closing=closing)
        found = re.search(r"metrics at (\S+)/metrics", caplog.text)
        assert found
        url = found[1]
        agent.run(threading.Event(), from_us=T0, until_us=T0 + 2 * MINUTE)
        page = scrape(url)
        assert page["gpuledger_device_power_watts"] == page["DCGM_FI_DEV_POWER_USAGE"] == 300
        assert page["gpuledger_driver_reader_starts_total"] == 2
        assert health(url)["ready"] is True
        answers = False
        agent.run(threading.Event(), from_us=T0 + 3 * MINUTE, until_us=T0 + 8 * MINUTE)
        page = scrape(url)
        assert not {"gpuledger_device_power_watts", "DCGM_FI_DEV_POWER_USAGE"} & set(page)
        assert page["gpuledger_sampler_success"] == 0
        assert page["gpuledger_sampler_failures_total"] > 0
        assert page["gpuledger_sample_age_seconds"] == 6 * 60
        assert page["process_resident_memory_bytes"] > 1_000_000
        assert health(url) | {"last_sample": None} == {
            "status": "alive", "ready": False, "last_sample": None, "last_sample_age_seconds": 360.0,
        }  # fmt: skip


def scrape(url: str) -> dict[str, float]:
    """Return the value of every series, by the name alone."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=5) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    return {sample.name: sample.value for family in families for sample in family.samples}


def health(url: str) -> dict[str, object]:
    with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:
        found: dict[str, object] = json.load(answer)
    return found
