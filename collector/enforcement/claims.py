"""The GPUs that a ResourceClaim of dynamic resource allocation asks for. Pure.

A device class of NVIDIA's driver is a GPU; other classes are not ours. v1 and v1beta2 have a request's kind in
`exactly`, v1beta1 in the request itself; of `firstAvailable` the largest alternative counts.
"""

from __future__ import annotations

from typing import Final

from collector.enforcement.fields import Object, count, inner, items, text
from collector.enforcement.pods import Gpus, PodDemand
from gpuledger.accounting.units import GPU_PARTS

GROUP: Final = "resource.k8s.io"
CLASSES: Final = {"gpu.nvidia.com", "mig.nvidia.com", "vfio.gpu.nvidia.com"}
KINDS: Final = {"ResourceClaim", "ResourceClaimTemplate"}


def claim_demand(kind: str, made: Object) -> PodDemand:
    """Return what a claim, or the claims of a template, ask for. Raises AdmissionError on a broken one."""
    spec = inner(made, "spec")
    if kind == "ResourceClaimTemplate":
        spec = inner(spec, "spec")
    parts, notes = 0, []
    for request in items(inner(spec, "devices"), "requests"):
        alternatives = list(items(request, "firstAvailable")) or [inner(request, "exactly") or request]
        sizes = [_size(each) for each in alternatives]
        parts += max(size for size, _ in sizes)
        notes += [note for _, note in sizes if note]
    return PodDemand((Gpus("", "", parts),) if parts else (), tuple(notes))


def _size(request: Object) -> tuple[int, str]:
    name = text(request, "deviceClassName")
    if name not in CLASSES:
        return 0, ""
    note = "" if name == "gpu.nvidia.com" else f"devices of class {name} are counted as whole GPUs"
    if text(request, "allocationMode") == "All":
        return GPU_PARTS, "it asks for all GPUs of a node, and is counted as one"
    return GPU_PARTS * count(request, "count", 1), note
