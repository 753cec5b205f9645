"""What is usual on a Kubernetes node: paths, names of resources and drivers, labels that tell who pays."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SOCKET: Final = Path("/var/lib/kubelet/pod-resources/kubelet.sock")
CHECKPOINT: Final = Path("/var/lib/kubelet/device-plugins/kubelet_internal_checkpoint")
CGROUPS: Final = Path("/sys/fs/cgroup")
RESOURCES: Final = ("nvidia.com/gpu", "nvidia.com/gpu.shared", "nvidia.com/mig-*", "nvidia.com/mig-*.shared")
DRIVERS: Final = ("gpu.nvidia.com",)
LABELS: Final = ("app.kubernetes.io/*", "team", "cost-center")
MAX_MESSAGE_BYTES: Final = 128 * 2**20
