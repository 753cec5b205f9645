"""The GPUs that a pod asks for, counted as the scheduler counts them. Pure.

A pod needs the larger of what its containers need together and what any step of its start needs: init containers run
one after another, those with `restartPolicy: Always` (sidecars) stay. Its overhead comes on top.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from collector.enforcement.fields import Object, inner, items, text, texts, whole_quantity
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.errors import AdmissionError

PRODUCT: Final = "nvidia.com/gpu.product"
REPLICAS: Final = "nvidia.com/gpu.replicas"
SHARED: Final = ".shared"
OTHER_GPUS: Final = ("amd.com/gpu", "gpu.intel.com/i915", "gpu.intel.com/xe")
_MIG: Final = re.compile(r"nvidia\.com/mig-(([1-9])g\.[0-9]+gb(?:\.me)?)")
_LABEL: Final = re.compile(r"(?P<model>.*?)(?:-MIG-(?P<profile>[1-9]g\.[0-9]+gb(?:\.me)?))?(?P<shared>-SHARED)?")
_SLICES: Final = 7  # compute slices of a card with MIG, where the ledger has not seen the profile
_SIZES: Final = re.compile(r"([1-9])g\.")


class Gpus(NamedTuple):
    """`parts` of a GPU (840 are one) of a model as labels name it; empty where whoever asks leaves that open."""

    model: str
    mig_profile: str
    parts: int


class PodDemand(NamedTuple):
    """What one pod asks for, and what of it the pod does not show."""

    gpus: tuple[Gpus, ...]
    notes: tuple[str, ...] = ()


class Kind(NamedTuple):
    """What a pod's labels for nodes say of the GPUs: model, MIG profile, and how many share one (0: not said)."""

    model: str = ""
    mig_profile: str = ""
    replicas: int = 0


def pod_demand(spec: Object, profiles: Mapping[str, int] | None = None) -> PodDemand:
    """Return what the pod of a `spec` asks for; `profiles` has the parts of MIG profiles that the ledger knows.

    Raises AdmissionError on a pod that is none.
    """
    needed = _needed(spec)
    kind, notes = _kind(spec)
    found: Counter[tuple[str, str]] = Counter()
    for resource, number in needed.items():
        profile, parts, note = _size(resource, kind, profiles or {})
        found[kind.model, profile] += parts * number
        notes += [note] if note else []
    claims = [text(claim, "name") for claim in items(spec, "resourceClaims")]
    if claims:
        notes.append(f"it also takes devices by {len(claims)} resource claims, which are asked about themselves")
    return PodDemand(tuple(Gpus(*name, parts) for name, parts in sorted(found.items()) if parts), tuple(notes))


def is_gpu(resource: str) -> bool:
    """Return whether a resource is a GPU or a part of one."""
    plain = resource.removesuffix(SHARED)
    return plain == "nvidia.com/gpu" or plain in OTHER_GPUS or _MIG.fullmatch(plain) is not None


def _needed(spec: Object) -> Counter[str]:
    """Return how many of each GPU resource the pod needs at once."""
    running: Counter[str] = Counter()
    peak: Counter[str] = Counter()
    for container in items(spec, "initContainers"):
        asked = _asked(container)
        if text(container, "restartPolicy") == "Always":
            running += asked
            peak |= running
        else:
            peak |= running + asked
    for container in items(spec, "containers"):
        running += _asked(container)
    together: Counter[str] = peak | running
    return together + _gpu_resources(inner(spec, "overhead"))


def _asked(container: Object) -> Counter[str]:
    resources = inner(container, "resources")
    return _gpu_resources(inner(resources, "limits")) | _gpu_resources(inner(resources, "requests"))


def _gpu_resources(named: Object) -> Counter[str]:
    return Counter({name: whole_quantity(value, name) for name, value in named.items() if is_gpu(name)})


def _size(resource: str, kind: Kind, profiles: Mapping[str, int]) -> tuple[str, int, str]:
    """Return MIG profile and parts of one of a resource, and what is not known about that."""
    mig = _MIG.fullmatch(resource.removesuffix(SHARED))
    profile = mig[1] if mig else kind.mig_profile
    parts = profile_parts(profile, profiles) if profile else GPU_PARTS
    if kind.replicas > 1:
        return profile, max(1, parts // kind.replicas), ""
    if resource.endswith(SHARED):
        return profile, parts, f"{resource} is shared by how many it does not say: each is counted as a whole one"
    return profile, parts, ""


def profile_parts(profile: str, known: Mapping[str, int]) -> int:
    """Return the parts of a MIG profile: as the ledger has seen it, else its sevenths."""
    found = _SIZES.match(profile)
    return known.get(profile) or GPU_PARTS * min(int(found[1]) if found else _SLICES, _SLICES) // _SLICES


def _kind(spec: Object) -> tuple[Kind, list[str]]:
    """Return what the pod's own words on nodes say of its GPUs: several models are as good as none."""
    selector = texts(spec, "nodeSelector")
    products = {selector[PRODUCT]} if PRODUCT in selector else set(_affine(spec, PRODUCT))
    replicas = {selector[REPLICAS]} if REPLICAS in selector else set(_affine(spec, REPLICAS))
    notes = [f"it may run on any of {len(products)} models"] if len(products) > 1 else []
    label = _LABEL.fullmatch(products.pop()) if len(products) == 1 else None
    shared_by = replicas.pop() if len(replicas) == 1 else ""
    many = int(shared_by) if shared_by.isascii() and shared_by.isdigit() and len(shared_by) < 6 else 0
    return Kind(label["model"], label["profile"] or "", many) if label else Kind(replicas=many), notes


def _affine(spec: Object, key: str) -> Iterator[str]:
    """Yield the values that a required node affinity allows for a label, over all its alternatives."""
    required = inner(inner(inner(spec, "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution")
    for term in items(required, "nodeSelectorTerms"):
        for expression in items(term, "matchExpressions"):
            if text(expression, "key") == key and text(expression, "operator") == "In":
                values = expression.get("values")
                if not isinstance(values, list) or not all(isinstance(each, str) for each in values):
                    raise AdmissionError(f"the values of {key} are no list of texts")
                yield from values
