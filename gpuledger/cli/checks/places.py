"""Where a check looks: the places that the agent's settings name, and those that are the same on every node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from agent.config import AgentSettings


CONTAINER_PROGRAMS: Final = ("docker", "podman", "containerd", "crio")


class Places(NamedTuple):
    """Files and folders of a node."""

    proc: Path = Path("/proc")
    pod_logs: Path = Path("/var/log/pods")
    container_logs: Path = Path("/var/log/containers")
    pod_resources: Path = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
    device_plugin: Path = Path("/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint")
    cgroup: Path = Path("/sys/fs/cgroup")
    kernel_log: Path | None = Path("/dev/kmsg")
    slurm_holders: Path = Path("/run/gpuledger/holders")
    api_token: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
    api_authority: Path = Path("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt")
    docker: Path = Path("/run/docker.sock")
    podman: Path = Path("/run/podman/podman.sock")
    containerd: Path = Path("/run/containerd/io.containerd.runtime.v2.task")
    crio: Path = Path("/run/containers/storage/overlay-containers")
    driver_device: Path = Path("/dev/nvidiactl")
    driver_module: Path = Path("/sys/module/nvidia/version")
    driver_capabilities: Path = Path("/proc/driver/nvidia/capabilities")
    capability_devices: Path = Path("/dev/nvidia-caps")


def places_of(settings: AgentSettings) -> Places:
    """Return where the agent of these settings would look; what they do not name has its default."""
    named: dict[str, Path | None] = {
        "proc": settings.holders.proc,
        "pod_logs": settings.holders.pod_logs,
        "container_logs": getattr(settings.holders, "container_logs", None),
        "pod_resources": getattr(settings.kubernetes, "socket", None),
        "device_plugin": getattr(settings.kubernetes, "checkpoint", None),
        "cgroup": getattr(settings.kubernetes, "cgroups", None),
        "api_token": getattr(settings.kubernetes, "token_file", None),
        "api_authority": getattr(settings.kubernetes, "ca_file", None),
        "slurm_holders": settings.slurm.holders,
        **{name: getattr(settings.containers, name, None) for name in CONTAINER_PROGRAMS},
    }
    places = Places()._replace(**{name: path for name, path in named.items() if path is not None})
    kernel_log = getattr(settings.health, "kernel_log", str(places.kernel_log))
    return places._replace(kernel_log=Path(kernel_log) if kernel_log else None)
