"""What made a pod, up to the top: ReplicaSet, Deployment, what made that. Metadata of single objects, kept.

An object whose maker cannot be read (no right, gone) ends the chain as far as it is known, for a while.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Final, NamedTuple, TypeVar

import msgspec

from agent.holders.kubernetes.api import METADATA, ApiError, ApiServer
from agent.holders.kubernetes.errands import Errands
from agent.holders.kubernetes.metadata import Owner, PartialObject, maker

MAX_KEPT: Final = 4_096
_MAX_CHAIN: Final = 8
_DENIED_S: Final = 600.0  # until what may not be read, or is gone, is asked for again
_FAILED_S: Final = 30.0
_DENIED, _GONE = 403, 404
_API_VERSION: Final = re.compile(r"([a-z0-9][a-z0-9.-]*/)?v[a-z0-9]+")
_NOT_NAMESPACED: Final = frozenset({"Node"})
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


_T = TypeVar("_T", bound=msgspec.Struct)


class _Kept(NamedTuple):
    """What is known of an object's maker: `settled` tells whether `maker` (or that there is none) is the answer."""

    maker: Owner | None
    settled: bool
    until: float | None = None  # monotonic; None: makers do not change


class _Resource(msgspec.Struct, frozen=True):
    name: str = ""
    kind: str = ""


class _ResourceList(msgspec.Struct, frozen=True):
    resources: list[_Resource] = []


_Key = tuple[str, Owner]  # namespace and object: whoever makes a pod can write any UID into it


class OwnerChains:
    """Chains of owners, looked up as they are asked for. Answers at once with what is known."""

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
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._plurals: dict[str, dict[str, str]] = {}  # by API version, then kind
        self.denied: dict[str, int] = {}  # kinds that may not be read, and how often

    def chain(self, namespace: str, first: Owner) -> tuple[tuple[Owner, ...], bool]:
        """Return the owners from `first` upwards as far as they are known, and whether that is all there will be."""
        owners = [first]
        while len(owners) < _MAX_CHAIN:
            owner = owners[-1]
            if owner.kind in _NOT_NAMESPACED:
                return tuple(owners), True
            key = (namespace, owner)
            kept = self._kept.get(key)
            if kept is None or (kept.until is not None and kept.until <= self._monotonic()):
                self._errands.ask(key, partial(self._look_up, key))
            if kept is None or not kept.settled:
                return tuple(owners), False
            if kept.maker is None:
                return tuple(owners), True
            owners.append(kept.maker)
        return tuple(owners), True

    def _look_up(self, key: _Key) -> None:
        """Ask for an object's maker; runs in the errands' thread."""
        namespace, owner = key
        try:
            self._keep(key, _Kept(self._maker(namespace, owner), settled=True))
        except ApiError as error:
            now = self._monotonic()
            if error.status not in (_DENIED, _GONE):
                self._keep(key, _Kept(None, settled=False, until=now + _FAILED_S))
                raise
            if error.status == _DENIED:
                self.denied[owner.kind] = self.denied.get(owner.kind, 0) + 1
            self._keep(key, _Kept(None, settled=True, until=now + _DENIED_S))

    def _maker(self, namespace: str, owner: Owner) -> Owner | None:
        plural = _PLURALS.get((owner.api_version, owner.kind)) or self._discovered(owner)
        if not (_NAME.fullmatch(namespace) and _NAME.fullmatch(owner.name)):
            raise ApiError(f"{owner.name!r} in {namespace!r} is no object's name", status=_GONE)
        path = f"{_group(owner.api_version)}/namespaces/{namespace}/{plural}/{owner.name}"
        found = _decoded(self._api.get(path, accept=METADATA), PartialObject, path).metadata
        if found.uid != owner.uid:
            raise ApiError(f"{path} is another object of that name", status=_GONE)
        return maker(found)

    def _discovered(self, owner: Owner) -> str:
        """Return what the resource of a kind is called, by asking for all of its API version once."""
        kinds = self._plurals.get(owner.api_version)
        if kinds is None:
            path = _group(owner.api_version)
            listed = _decoded(self._api.get(path), _ResourceList, path).resources
            kinds = {one.kind: one.name for one in reversed(listed) if _NAME.fullmatch(one.name)}
            self._plurals[owner.api_version] = kinds
        if owner.kind not in kinds:
            raise ApiError(f"{owner.api_version} has no {owner.kind}", status=_GONE)
        return kinds[owner.kind]

    def _keep(self, key: _Key, kept: _Kept) -> None:
        self._kept[key] = kept
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
