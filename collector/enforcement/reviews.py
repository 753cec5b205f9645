"""AdmissionReview (admission.k8s.io/v1) in and out, as kube-apiserver sends and takes it. Pure.

A review that does not even say its `uid` cannot be answered: that is an AdmissionError, HTTP 400, and the webhook's own
failurePolicy decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from collector.enforcement.asks import KUBERNETES, Ask, growth, summed
from collector.enforcement.claims import GROUP, KINDS, claim_demand
from collector.enforcement.fields import Object, inner, items, text, texts
from collector.enforcement.pods import Gpus, PodDemand, pod_demand
from collector.enforcement.templates import Pods, pods_of
from gpuledger.accounting.ownership import LABEL_PREFIX
from gpuledger.errors import AdmissionError

VERSION: Final = "admission.k8s.io/v1"
MAX_BYTES: Final = 8 * 1024 * 1024  # twice what etcd keeps of an object, and its old state beside it
MOST_WARNING: Final = 250  # kube-apiserver cuts a warning at 256 characters
FORBIDDEN: Final = 403
_ASKING: Final = {"CREATE", "UPDATE"}
_MARKS: Final = (b".com/gpu", b".com/mig-", b"gpu.intel.com/", b"gpu.nvidia.com", b"\\u00", b"\\/")
_CLAIMING: Final = {("", "Pod"), (GROUP, "ResourceClaim")}
# Where a team is claimed on the pod itself, strongest first; the agent's rules read the same (agent/identity).
TEAM_LABELS: Final = (
    "team", "cost-center", "kueue.x-k8s.io/local-queue-name", "kueue.x-k8s.io/queue-name",
    "kueue.x-k8s.io/cluster-queue-name", "volcano.sh/queue-name", "kai.scheduler/queue",
)  # fmt: skip
TEAM_VARIABLE: Final = "GPULEDGER_TEAM"


class GroupVersionKind(msgspec.Struct, frozen=True):
    """What kind of object a request is about."""

    kind: str
    group: str = ""
    version: str = ""


class UserInfo(msgspec.Struct, frozen=True):
    """Who sent the request."""

    username: str = ""


class Request(msgspec.Struct, frozen=True):
    """The request of a review; objects are read only where they may ask for a GPU."""

    uid: str
    kind: GroupVersionKind
    operation: str
    name: str = ""
    namespace: str = ""
    sub_resource: str = msgspec.field(name="subResource", default="")
    user: UserInfo = msgspec.field(name="userInfo", default=UserInfo())
    made: msgspec.Raw = msgspec.field(name="object", default=msgspec.Raw(b"null"))
    before: msgspec.Raw = msgspec.field(name="oldObject", default=msgspec.Raw(b"null"))
    dry_run: bool | None = msgspec.field(name="dryRun", default=None)


class Review(msgspec.Struct, frozen=True):
    """An AdmissionReview as it comes in."""

    version: str = msgspec.field(name="apiVersion")
    kind: str
    request: Request


_HINT: Final = "send an AdmissionReview of admission.k8s.io/v1, as kube-apiserver does"


def parse_review(body: bytes) -> Request:
    """Return the request of a review. Raises AdmissionError where there is none that could be answered."""
    try:
        review = msgspec.json.decode(body, type=Review)
    except (ValueError, RecursionError) as error:  # msgspec's errors and those of text that is no Unicode are such
        raise AdmissionError(f"this is no AdmissionReview: {error}", hint=_HINT) from error
    if (review.version, review.kind) != (VERSION, "AdmissionReview"):
        raise AdmissionError(
            f"this is {review.kind[:80]} of {review.version[:80]}",
            hint=f'list only "v1" in admissionReviewVersions of the webhook; {VERSION} is what is answered here',
        )
    if not review.request.uid:
        raise AdmissionError("the request has no uid", hint=_HINT)
    return review.request


def may_ask(request: Request) -> bool:
    """Return whether a request could ask for a GPU at all: most cannot, and are not read any further."""
    if request.operation not in _ASKING or request.sub_resource:
        return False
    raw = bytes(request.made)
    return any(mark in raw for mark in _MARKS)


def ask_of(request: Request, cluster: str, profiles: Mapping[str, int]) -> Ask:
    """Return what a request asks for; of an update only what it adds. Raises AdmissionError on a broken object."""
    made = _decoded(request.made)
    pods, demand = _demand(request, made, profiles)
    if request.operation == "UPDATE":
        demand = demand._replace(gpus=growth(demand.gpus, _before(request, profiles)))
    metadata = inner(made, "metadata")
    template = pods[0].template if pods else made
    return Ask(
        source=KUBERNETES,
        uid=request.uid,
        cluster=cluster,
        operation=request.operation,
        kind=request.kind.kind,
        namespace=request.namespace or text(metadata, "namespace"),
        name=request.name or text(metadata, "name") or text(metadata, "generateName"),
        user=request.user.username,
        attributes=_attributes(request, metadata, template, cluster),
        gpus=demand.gpus,
        notes=demand.notes,
        series=text(metadata, "generateName") or text(metadata, "name"),
        priority_class=text(inner(template, "spec"), "priorityClassName"),
        takes=(request.kind.group, request.kind.kind) in _CLAIMING,
        dry_run=bool(request.dry_run),
    )


def answer(
    uid: str,
    *,
    allowed: bool,
    message: str = "",
    warnings: tuple[str, ...] = (),
    annotations: Mapping[str, str] | None = None,
) -> bytes:
    """Return the review that answers: whether it is allowed, what a refused user reads, and warnings for others."""
    response: dict[str, Any] = {"uid": uid, "allowed": allowed}
    if message and not allowed:
        response["status"] = {"code": FORBIDDEN, "reason": "Forbidden", "message": message}
    if warnings:
        response["warnings"] = [_printable(each)[:MOST_WARNING] for each in warnings]
    if annotations:
        response["auditAnnotations"] = dict(annotations)
    return msgspec.json.encode({"apiVersion": VERSION, "kind": "AdmissionReview", "response": response})


def _demand(request: Request, made: Object, profiles: Mapping[str, int]) -> tuple[list[Pods], PodDemand]:
    """Return the pods that an object makes, those with GPUs first, and what they ask for together."""
    group, kind = request.kind.group, request.kind.kind
    if group == GROUP and kind in KINDS:
        return [], claim_demand(kind, made)
    pods = pods_of(group, kind, made)
    if pods is None:
        return [], PodDemand((), (f"{kind} of {group} is not known here: its pods are asked about themselves",))
    asked = [(each, pod_demand(inner(each.template, "spec"), profiles)) for each in pods]
    asked.sort(key=lambda pair: not pair[1].gpus)
    notes = dict.fromkeys(note for _, one in asked for note in one.notes)
    gpus = summed((one.gpus, each.replicas) for each, one in asked)
    return [each for each, _ in asked], PodDemand(gpus, tuple(notes))


def _before(request: Request, profiles: Mapping[str, int]) -> tuple[Gpus, ...]:
    """Return what the object asked for before the update; nothing where that is not said."""
    before = msgspec.json.decode(request.before)
    return _demand(request, before, profiles)[1].gpus if isinstance(before, dict) else ()


def _decoded(raw: msgspec.Raw) -> Object:
    try:
        found = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        raise AdmissionError(f"the object cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise AdmissionError("the request has no object")
    return found


def _attributes(request: Request, metadata: Object, template: Object, cluster: str) -> dict[str, str]:
    """Return what owner rules may match about the pods: the same names as for a holder that the agent found."""
    of_pod = inner(template, "metadata")
    labels = texts(of_pod, "labels")
    claims = {**texts(metadata, "labels"), **labels}
    name = text(of_pod, "name") or text(of_pod, "generateName") or text(metadata, "name")
    found = {
        "kind": "pod",
        "cluster": cluster,
        "namespace": request.namespace or text(metadata, "namespace"),
        "pod": name or text(metadata, "generateName"),
        "team_claim": next((claims[each] for each in TEAM_LABELS if claims.get(each)), "") or _team_variable(template),
    }
    return {name: value for name, value in found.items() if value} | {
        f"{LABEL_PREFIX}{name}": value for name, value in labels.items()
    }


def _team_variable(template: Object) -> str:
    spec = inner(template, "spec")
    for container in items(spec, "containers"):
        for variable in items(container, "env"):
            if text(variable, "name") == TEAM_VARIABLE and text(variable, "value"):
                return text(variable, "value")
    return ""


def _printable(line: str) -> str:
    """Return a warning as a header may carry it: one line."""
    return "".join(each if each.isprintable() else " " for each in line)
