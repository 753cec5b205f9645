"""Label blocks, `{node="n",device="GPU-1",…}`: written once for each device and holder, then reused at every scrape."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable
from typing import Final, NamedTuple

from gpuledger.model import Device, Holder, State

MAX_LENGTH: Final = 256  # characters of a label value: more than Kubernetes allows any name
DEVICE_LABELS: Final = ("node", "device", "gpu", "model", "mig_profile")
HOLDER_LABELS: Final = ("namespace", "pod", "container", "user", "team", "workload", "holder")
_DIGEST: Final = 8  # characters that tell apart values that begin alike
_UNSAFE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MARKED: Final = re.compile(r"~[0-9a-f]{8}\Z")  # as what was changed ends
_ESCAPED: Final = re.compile(r'[\\"\n]')
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n"}


def clean(value: str) -> str:
    """Return a label value that any reader takes: no control characters, no halves of characters, not too long.

    What had to be changed ends in `~` and a digest of the original, so that two values never become one.
    """
    safe = _UNSAFE.sub("\ufffd", value)
    if safe == value and len(value) <= MAX_LENGTH and not _MARKED.search(value):
        return value
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=_DIGEST // 2).hexdigest()
    return f"{safe[: MAX_LENGTH - _DIGEST - 1]}~{digest}"


def quoted(value: str) -> str:
    """Return a label value as exposition text has it: clean, escaped, in quotes."""
    return f'"{_ESCAPED.sub(lambda found: _ESCAPES[found[0]], clean(value))}"'


def block(pairs: Iterable[str]) -> str:
    """Return a label block of `name="value"` pairs that are written already."""
    return f"{{{','.join(pairs)}}}"


def labelled(names: Iterable[str], values: Iterable[str]) -> str:
    """Return the pairs of a label block without its braces."""
    return ",".join(f"{name}={quoted(value)}" for name, value in zip(names, values, strict=True))


class DeviceBlocks(NamedTuple):
    """The blocks of a device alone."""

    device: Device | None
    pairs: str  # without braces, to be continued
    plain: str
    states: tuple[tuple[State, str], ...]


class Blocks:
    """The label blocks of a node's devices and of their holders. A fact that changes writes its block anew."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._devices: dict[str, DeviceBlocks] = {}
        self._held: dict[tuple[str, str], tuple[str, Holder | None, str]] = {}
        self._nobody = labelled(HOLDER_LABELS, ("",) * len(HOLDER_LABELS))

    def device(self, key: str, device: Device | None) -> DeviceBlocks:
        """Return the blocks of a device."""
        known = self._devices.get(key)
        if known is None or known.device is not device:
            pairs = labelled(DEVICE_LABELS, _device_values(self._node, key, device))
            states = tuple((state, f'{{{pairs},state="{state.label}"}}') for state in State)
            known = self._devices[key] = DeviceBlocks(device, pairs, f"{{{pairs}}}", states)
        return known

    def held(self, device: DeviceBlocks, key: str, holder_key: str, holder: Holder | None) -> str:
        """Return the block of a device and one of its holders."""
        known = self._held.get((key, holder_key))
        if known is None or known[0] is not device.pairs or known[1] is not holder:
            text = f"{{{device.pairs},{labelled(HOLDER_LABELS, _holder_values(holder_key, holder))}}}"
            known = self._held[key, holder_key] = (device.pairs, holder, text)
        return known[2]

    def free(self, device: DeviceBlocks) -> str:
        """Return the block of a device that nobody holds."""
        return f"{{{device.pairs},{self._nobody}}}"

    def keep(self, devices: Container[str], holders: Container[str]) -> None:
        """Forget the blocks of all others."""
        self._devices = {key: known for key, known in self._devices.items() if key in devices}
        self._held = {pair: known for pair, known in self._held.items() if pair[0] in devices and pair[1] in holders}


def _device_values(node: str, key: str, device: Device | None) -> tuple[str, ...]:
    if device is None:
        return (node, key, key, "", "")
    return (node, key, device.board or key, device.model, device.mig_profile)


def _holder_values(key: str, holder: Holder | None) -> tuple[str, ...]:
    if holder is None:
        return ("", "", "", "", "", "", key)
    workload = holder.workload.name if holder.workload else ""
    return (holder.namespace, holder.pod, holder.container, holder.user, holder.team_claim, workload, key)
