"""The ResourceSlices of this node, asked for when a claimed device is not known, and now and then."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.api import ApiError, ApiServer
from agent.holders.kubernetes.dra import DeviceName, SliceDevice, parse_slices
from agent.holders.kubernetes.errands import Errands

_VERSIONS: Final = ("v1", "v1beta2", "v1beta1")
_FRESH_S: Final = 30.0  # how soon they may be asked for again
_GOOD_S: Final = 600.0  # how long they are good for without being asked for again


class NodeSlices:
    """The devices that the slices of one node describe. Answers at once with what is known."""

    def __init__(
        self,
        api: ApiServer,
        errands: Errands,
        node: str,
        *,
        drivers: tuple[str, ...] = defaults.DRIVERS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._errands = errands
        self._node = node
        self._drivers = drivers
        self._monotonic = monotonic
        self._version = ""
        self._asked_at: float | None = None
        self._devices: Mapping[DeviceName, SliceDevice] = {}

    def find(self, name: DeviceName) -> SliceDevice | None:
        """Return what is known of a device; what is not known is asked for."""
        found = self._devices.get(name)
        self._ask_after(_FRESH_S if found is None else _GOOD_S)
        return found

    def everything(self) -> Mapping[DeviceName, SliceDevice]:
        """Return all devices that are known."""
        self._ask_after(_GOOD_S)
        return self._devices

    def _ask_after(self, age_s: float) -> None:
        if self._asked_at is None or self._monotonic() - self._asked_at >= age_s:
            self._errands.ask("slices", self._look_up)

    def _look_up(self) -> None:
        """Ask for the slices; runs in the errands' thread."""
        self._asked_at = self._monotonic()
        body = self._body()
        try:
            self._devices = parse_slices(body, self._drivers)
        except msgspec.DecodeError as error:
            raise ApiError(f"the list of ResourceSlices cannot be read: {error}") from error

    def _body(self) -> bytes:
        """Return the list in the newest version that this API server has."""
        versions = (self._version,) if self._version else _VERSIONS
        for version in versions:
            try:
                body = self._api.get(
                    f"/apis/resource.k8s.io/{version}/resourceslices", {"fieldSelector": f"spec.nodeName={self._node}"}
                )
            except ApiError as error:
                if error.status != 404:
                    raise
                self._version = ""
                continue
            self._version = version
            return body
        return b"{}"  # no ResourceSlices here
