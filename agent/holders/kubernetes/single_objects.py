"""Metadata of single objects (what made a pod, its namespace), asked for when somebody wants it, and kept.

An answer is what is known now. An object that may not be read, or is gone, counts as settled and empty for a while.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec

from agent.holders.kubernetes.api import METADATA, ApiError, ApiServer
from agent.holders.kubernetes.errands import Errands
from agent.holders.kubernetes.metadata import PartialObject, bounded, maker
from agent.identity.facts import PodOwner

MAX_KEPT: Final = 1_024

_GOOD_S: Final = 3_600.0  # until what is known is asked for again: labels change
_DENIED_S: Final = 600.0  # until what may not be read, or is gone, is asked for again
_FAILED_S: Final = 30.0
_MAX_LENGTH: Final = 8_192  # of the annotations of one object
_DENIED, _GONE = 403, 404
_API_VERSION: Final = re.compile(r"([a-z0-9][a-z0-9.-]*/)?v[a-z0-9]+")
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]*")  # no other one leads to another address
_PLURALS: Final = {  # resources of kinds that need no look-up
    ("apps/v1", "ReplicaSet"): "replicasets",
    ("apps/v1", "Deployment"): "deployments",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("apps/v1", "DaemonSet"): "daemonsets",
    ("batch/v1", "Job"): "jobs",
    ("batch/v1", "CronJob"): "cronjobs",
    ("v1", "ReplicationController"): "replicationcontrollers",
    ("v1", "Pod"): "pods",
}


class ObjectKey(NamedTuple):
    """Which object. Whoever makes a pod can write any UID into it: only all of this together is an identity."""

    namespace: str  # empty: the object is in none
    api_version: str
    kind: str
    name: str
    uid: str = ""  # empty: whichever has the name


class Known(NamedTuple):
    """What is known of an object. `settled`: that is the answer, and not only all there is so far."""

    settled: bool
    maker: PodOwner | None = None
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    until: float = 0.0  # monotonic


NOTHING_YET: Final = Known(settled=False)


class _Resource(msgspec.Struct, frozen=True):
    name: str = ""
    kind: str = ""
    namespaced: bool = True


class _ResourceList(msgspec.Struct, frozen=True):
    resources: list[_Resource] = []


_T = TypeVar("_T", bound=msgspec.Struct)


class SingleObjects:
    """Objects of one API server, each asked for once in a while."""

    def __init__(
        self,
        api: ApiServer,
        errands: Errands,
        *,
        max_kept: int = MAX_KEPT,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._errands = errands
        self._max_kept = max_kept
        self._monotonic = monotonic
        self._kept: OrderedDict[ObjectKey, Known] = OrderedDict()
        self._resources: dict[str, dict[str, _Resource]] = {}  # by API version, then kind
        self.denied: dict[str, int] = {}  # kinds that may not be read, and how often

    def find(self, key: ObjectKey) -> Known:
        """Return what is known of an object; what is not known, or no longer fresh, is asked for."""
        known = self._kept.get(key)
        if known is None or known.until <= self._monotonic():
            self._errands.ask(key, partial(self._look_up, key))
        return known or NOTHING_YET

    def __len__(self) -> int:
        return len(self._kept)

    def _look_up(self, key: ObjectKey) -> None:
        """Ask for an object; runs in the errands' thread."""
        before = self._kept.get(key, NOTHING_YET)
        try:
            self._keep(key, self._read(key))
        except ApiError as error:
            now = self._monotonic()
            if error.status not in (_DENIED, _GONE):
                self._keep(key, before._replace(until=now + _FAILED_S))
                raise
            if error.status == _DENIED:
                self.denied[key.kind] = self.denied.get(key.kind, 0) + 1
            self._keep(key, before._replace(settled=True, until=now + _DENIED_S))

    def _read(self, key: ObjectKey) -> Known:
        path = self._path(key)
        found = _decoded(self._api.get(path, accept=METADATA), PartialObject, path).metadata
        if key.uid and found.uid != key.uid:
            raise ApiError(f"{path} is another object of that name", status=_GONE)
        annotations = bounded(found.annotations or {}, _MAX_LENGTH)
        return Known(True, maker(found), found.labels or {}, annotations, self._monotonic() + _GOOD_S)

    def _path(self, key: ObjectKey) -> str:
        namespace, api_version, kind, name, _ = key
        if not (_NAME.fullmatch(name) and (not namespace or _NAME.fullmatch(namespace))):
            raise ApiError(f"{name!r} in {namespace!r} is no object's name", status=_GONE)
        if kind == "Namespace":
            return f"/api/v1/namespaces/{name}"
        plural = _PLURALS.get((api_version, kind))
        resource = _Resource(plural, kind) if plural else self._discovered(api_version, kind)
        within = f"/namespaces/{namespace}" if resource.namespaced else ""
        return f"{_group(api_version)}{within}/{resource.name}/{name}"

    def _discovered(self, api_version: str, kind: str) -> _Resource:
        """Return what the resource of a kind is called, by asking for all of its API version once."""
        kinds = self._resources.get(api_version)
        if kinds is None:
            path = _group(api_version)
            listed = _decoded(self._api.get(path), _ResourceList, path).resources
            kinds = {one.kind: one for one in reversed(listed) if _NAME.fullmatch(one.name)}
            self._resources[api_version] = kinds
        if kind not in kinds:
            raise ApiError(f"{api_version} has no {kind}", status=_GONE)
        return kinds[kind]

    def _keep(self, key: ObjectKey, known: Known) -> None:
        self._kept[key] = known
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_kept:
            self._kept.popitem(last=False)


def _group(api_version: str) -> str:
    if not _API_VERSION.fullmatch(api_version):
        raise ApiError(f"{api_version!r} is no API version", status=_GONE)
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _decoded(body: bytes, kind: type[_T], path: str) -> _T:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise ApiError(f"{path} is answered with something else: {error}") from error
