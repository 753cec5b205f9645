"""From the kubelet's socket to what the meter is given: grants and processes of pods meet, and use without a grant shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent import app
from agent.devices.base import ProcessReading
from agent.holders.pods import PodLogDirectories
from agent.holders.processes import InMemoryProcesses
from agent.holders.resolve import HolderResolver
from agent.holders.standing import Standing
from agent.observe import Observer
from tests.agent.kubelet_messages import allocatable, listing, plugged, pod
from tests.agent.kubernetes_node import READING, KubernetesNode, kubernetes_node
from tests.agent.nodes import T0, GivenSource, process
from tests.agent.test_kubernetes_devices import MIG1, MIG2, A

UID = "6f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
THIEF = "7f3c1c5e-9a4b-4c8d-8f21-0123456789ab"
CONTAINERS = {"main": "a" * 64, "sidecar": "b" * 64, "thief": "c" * 64}


@pytest.fixture
def here(tmp_path: Path) -> Iterator[KubernetesNode]:
    with kubernetes_node(tmp_path) as found:
        yield found


def cgroup(uid: str, container: str) -> str:
    return f"0::/kubepods/burstable/pod{uid}/{CONTAINERS[container]}\n"


def test_pods_hold_what_they_were_given_and_nothing_else(here: KubernetesNode) -> None:
    """A process of the pod's container holds by its grant, a grant without a process holds idle, another pod is flagged."""
    here.log_directory("trainer", UID, "main")
    here.log_directory("thief", THIEF, "thief")
    here.kubelet.list = listing(
        pod("trainer", main=[plugged("nvidia.com/gpu", A), plugged("nvidia.com/mig-1g.10gb", MIG1)])
    )
    here.kubelet.allocatable = allocatable(plugged("nvidia.com/gpu", A), plugged("nvidia.com/mig-1g.10gb", MIG1, MIG2))
    whole, cut = READING.boards
    stolen = [
        part._replace(processes=(ProcessReading(2, 10),)) if part.device.key == MIG2 else part for part in cut.instances
    ]
    reading = READING._replace(
        boards=(whole._replace(processes=(ProcessReading(1, 20),)), cut._replace(instances=tuple(stolen)))
    )
    table = InMemoryProcesses({1: process(1, cgroup(UID, "main")), 2: process(2, cgroup(THIEF, "thief"))})
    pods = PodLogDirectories(here.settings.holders.pod_logs, here.settings.holders.container_logs)
    standing = Standing([source := here.source()])
    observer = Observer(HolderResolver(table, pods, node="node-a"), node="node-a", standing=standing)
    found = observer.observe(reading, T0)
    by_device = {device.device: device.occupants for board in found.snapshot.boards for device in board.devices}
    (on_whole,), (on_first,), (on_second,) = by_device[A], by_device[MIG1], by_device[MIG2]
    key = f"pod:{UID}/main"
    assert (on_whole.holder, on_whole.running, on_whole.granted, on_whole.method) == (key, True, True, "pod_resources")
    assert (on_first.holder, on_first.running, on_first.reason) == (key, False, "never_started")
    assert (on_second.holder, on_second.granted) == (f"pod:{THIEF}/thief", False)
    assert {event.kind for event in found.events} == {"kubernetes_api_absent", "ungranted_use"}
    assert source.state().containers == 1
    standing.close()


def test_a_sidecar_that_uses_its_neighbours_device_has_no_grant(here: KubernetesNode) -> None:
    """Two containers of one pod are two holders: the link of a container's log tells which one a process is in."""
    here.log_directory("trainer", UID, "main", "sidecar")
    for container in ("main", "sidecar"):
        here.link("trainer", container, CONTAINERS[container])
    here.kubelet.list = listing(pod("trainer", main=[plugged("nvidia.com/gpu", A)]))
    whole, cut = READING.boards
    reading = READING._replace(boards=(whole._replace(processes=(ProcessReading(1, 20), ProcessReading(2, 10))), cut))
    table = InMemoryProcesses({1: process(1, cgroup(UID, "main")), 2: process(2, cgroup(UID, "sidecar"))})
    pods = PodLogDirectories(here.settings.holders.pod_logs, here.settings.holders.container_logs)
    standing = Standing([here.source()])
    observer = Observer(HolderResolver(table, pods, node="node-a"), node="node-a", standing=standing)
    (first, *_), *_ = [board.devices for board in observer.observe(reading, T0).snapshot.boards]
    assert [(one.holder, one.granted) for one in first.occupants] == [
        (f"pod:{UID}/main", True),
        (f"pod:{UID}/sidecar", False),
    ]
    assert observer.holders[f"pod:{UID}/sidecar"].container == "sidecar"
    standing.close()


@pytest.mark.parametrize(
    ("changes", "asked", "described"),
    [
        ({"api": True, "api_url": "http://127.0.0.1:1"}, True, True),
        ({"api": False}, True, False),
        ({"enabled": False, "api": True, "api_url": "http://127.0.0.1:1"}, False, False),
    ],
)
def test_the_agent_asks_as_its_settings_say(
    here: KubernetesNode, *, changes: dict[str, object], asked: bool, described: bool
) -> None:
    """The kubelet is a source of grants unless it is switched off; pods are described where there is an API server."""
    section = msgspec.structs.replace(here.settings.kubernetes, **changes)
    inputs = app._this_node(
        msgspec.structs.replace(here.settings, kubernetes=section), GivenSource(lambda: READING), lambda: None
    )
    assert ("kubernetes" in [source.name for source in inputs.grants]) is asked
    assert (inputs.metadata is not None) is described
    inputs.source.close()
