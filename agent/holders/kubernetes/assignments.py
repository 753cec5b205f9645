"""Device ids and claims into this node's devices: what each container has, and what there is to give.

What names no device here is counted and said once, never guessed at.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

from agent.holders.device_index import DeviceIndex
from agent.holders.kubernetes import defaults
from agent.holders.kubernetes.device_ids import devices_named, matches, parse_device_id
from agent.holders.kubernetes.dra import DeviceName, SliceDevice, claimed_devices
from agent.holders.kubernetes.podresources import ClaimedDevice, ContainerDevices, DeviceIds

BY_PLUGIN: Final = "pod_resources"
BY_CLAIM: Final = "pod_resources_dra"

_MAX_SAID: Final = 1_000

_log = logging.getLogger(__name__)


class Assigned(NamedTuple):
    """A device that a container has, how many replicas of it, and by which way it got it."""

    device: str
    replicas: int
    method: str


class Offered(NamedTuple):
    """What there is to give: the devices, and how many replicas of those that are shared out."""

    devices: frozenset[str]
    replicas: Mapping[str, int]


class Assignments:
    """Resolves what the kubelet says. `unresolved` counts names in it that are no device of this node, by reason."""

    def __init__(
        self, resources: tuple[str, ...] = defaults.RESOURCES, drivers: tuple[str, ...] = defaults.DRIVERS
    ) -> None:
        self._resources = resources
        self._drivers = drivers
        self._said: set[tuple[str, str]] = set()
        self.unresolved = {"resource_not_matched": 0, "form_not_known": 0, "no_such_device": 0}

    def of_container(
        self,
        container: ContainerDevices,
        index: DeviceIndex,
        described: Callable[[DeviceName], SliceDevice | None] = lambda _: None,
    ) -> list[Assigned]:
        """Return the devices of one container."""
        plugged: dict[str, int] = {}
        for device_ids in container.devices:
            for key, _ in self._resolved(device_ids, index):
                plugged[key] = plugged.get(key, 0) + 1
        claimed: dict[str, int] = {}
        for claim in container.claimed:
            for key in self._claimed(claim, index, described):
                claimed[key] = claimed.get(key, 0) + 1
        return [Assigned(key, count, BY_PLUGIN) for key, count in plugged.items()] + [
            Assigned(key, count, BY_CLAIM) for key, count in claimed.items() if key not in plugged
        ]

    def offered(
        self,
        allocatable: Iterable[DeviceIds],
        claimable: Mapping[DeviceName, SliceDevice],
        index: DeviceIndex,
    ) -> Offered:
        """Return what the device plugins and the claims' drivers have to give on this node."""
        replicas: dict[str, set[str]] = {}
        for device_ids in allocatable:
            for key, replica in self._resolved(device_ids, index):
                replicas.setdefault(key, set()).add(replica)
        for (driver, _, name), device in claimable.items():
            if driver in self._drivers:
                for key in claimed_devices(name, device, index):
                    replicas.setdefault(key, set())
        shared = {key: len(names) for key, names in replicas.items() if len(names) > 1}
        return Offered(frozenset(replicas), shared)

    def _resolved(self, device_ids: DeviceIds, index: DeviceIndex) -> Iterable[tuple[str, str]]:
        """Yield the device and the replica of each id of a resource."""
        resource, ids = device_ids
        if not matches(resource, self._resources):
            self._note_unmatched(resource, ids)
            return
        for text in ids:
            parsed = parse_device_id(text)
            keys = devices_named(parsed, index) if parsed else ()
            if not keys:
                self._note("no_such_device" if parsed else "form_not_known", f"{resource} {text}")
            for key in keys:
                yield key, parsed.replica if parsed else ""

    def _claimed(
        self, claim: ClaimedDevice, index: DeviceIndex, described: Callable[[DeviceName], SliceDevice | None]
    ) -> tuple[str, ...]:
        if claim.driver not in self._drivers:
            return ()
        keys = claimed_devices(claim.device, described((claim.driver, claim.pool, claim.device)), index)
        if not keys:
            self._note("no_such_device", f"{claim.driver} {claim.device}")
        return keys

    def _note_unmatched(self, resource: str, ids: tuple[str, ...]) -> None:
        if any(parse_device_id(text) for text in ids):
            self._note("resource_not_matched", resource)

    def _note(self, reason: str, name: str) -> None:
        self.unresolved[reason] += 1
        if (reason, name) not in self._said and len(self._said) < _MAX_SAID:
            self._said.add((reason, name))
            _log.warning(_MESSAGES[reason], name)


_MESSAGES: Final = {
    "resource_not_matched": 'the resource %s has GPU ids and is not looked at: add it to "[kubernetes] resources"',
    "form_not_known": "a device id of a form that is not known is left out: %s",
    "no_such_device": "the kubelet has given away a device that this node does not show: %s",
}
