"""The boards of a scenario's nodes, with identities that follow from cluster, node and position."""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from agent.devices.simulated.captures import Capture, load_capture
from agent.devices.simulated.scenario_file import BoardsSpec, NodeSpec, nearest
from agent.devices.simulated.world import BoardSpec, SliceSpec
from agent.devices.simulated.world_power import PowerModel, power_model
from gpuledger.accounting.units import GPU_PARTS, gpu_parts
from gpuledger.errors import ConfigError

_SLOT: Final = re.compile(r"(?P<node>[^/]+)/(?P<first>\d+)(?:-(?P<last>\d+)|/(?P<mig>\d+))?")
_FIRST_INSTANCE: Final = {1: 7, 2: 3, 3: 1, 4: 1, 7: 0}  # GPU instance ids as the driver hands them out, by slices


class Slot(NamedTuple):
    """A device that can be held: a board, or the MIG instance of that NVML index on it."""

    node: str
    board: int
    mig: int | None = None


class Board(NamedTuple):
    """A board of a node, the capture that it shows, and what it draws."""

    spec: BoardSpec
    capture: Capture
    power: PowerModel

    @property
    def mig_slices(self) -> int:
        """Return how many compute slices a whole board has; 0: it knows no MIG."""
        return self.capture.mig.slices if self.capture.mig else 0

    @property
    def left_over_parts(self) -> int:
        """Return what MIG leaves over, in parts of a GPU; 0 without MIG."""
        return GPU_PARTS - sum(self.parts(piece.index) for piece in self.spec.slices) if self.spec.slices else 0

    def parts(self, mig: int | None) -> int:
        """Return the size of a device of this board in parts of a GPU."""
        return GPU_PARTS if mig is None else gpu_parts(self.slice(mig).slices, self.mig_slices)

    def slice(self, mig: int) -> SliceSpec:
        """Return the MIG instance with that NVML index."""
        return next(piece for piece in self.spec.slices if piece.index == mig)

    def key(self, mig: int | None) -> str:
        """Return the key under which the ledger knows the device."""
        return self.spec.uuid if mig is None else self.slice(mig).uuid


def build_boards(cluster: str, node: NodeSpec) -> tuple[Board, ...]:
    """Return the node's boards in NVML order. Raises ConfigError on a MIG layout that its board cannot have."""
    kinds = [kind for kind in node.boards for _ in range(kind.count)]
    return tuple(_board(f"{cluster}/{node.name}/{index}", index, kind) for index, kind in enumerate(kinds))


def find_slots(text: str, nodes: dict[str, tuple[Board, ...]], where: str) -> tuple[Slot, ...]:
    """Return the devices that `node/board`, `node/first-last` or `node/board/mig` names.

    Raises ConfigError where there is no such device.
    """
    found = _SLOT.fullmatch(text)
    if not found:
        raise ConfigError(f'{where}: "{text}" names no device', hint='write "node/0", "node/0-7" or "node/0/2"')
    node = found["node"]
    if node not in nodes:
        raise ConfigError(f'{where}: no node "{node}"', hint=nearest(node, nodes))
    first, last = int(found["first"]), int(found["last"] or found["first"])
    mig = int(found["mig"]) if found["mig"] else None
    boards = nodes[node]
    if not first <= last < len(boards):
        raise ConfigError(f"{where}: {node} has boards 0 to {len(boards) - 1}, not {text}", hint="count from 0")
    for board in boards[first : last + 1]:
        known = {piece.index for piece in board.spec.slices}
        if (mig is None) == bool(known) or (mig is not None and mig not in known):
            raise ConfigError(f"{where}: {text} is no device", hint=f"MIG indices there: {sorted(known) or 'none'}")
    return tuple(Slot(node, index, mig) for index in range(first, last + 1))


def stable_uuid(name: str) -> str:
    """Return a UUID that follows from a name alone."""
    digits = hashlib.blake2b(name.encode(), digest_size=16).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _board(name: str, index: int, kind: BoardsSpec) -> Board:
    capture = load_capture(kind.capture)
    spec = BoardSpec(
        uuid=f"GPU-{stable_uuid(name)}",
        capture=kind.capture,
        index=index,
        pci_bus_id=f"00000000:{0x1A + 0x11 * index:02X}:00.0",
        serial=f"16{int(stable_uuid(name)[:8], 16):011d}",
        minor=index,
        slices=_slices(name, kind, capture),
        accounting=kind.accounting,
    )
    return Board(spec, capture, power_model(capture))


def _slices(name: str, kind: BoardsSpec, capture: Capture) -> tuple[SliceSpec, ...]:
    next_instance = dict(_FIRST_INSTANCE)
    pieces: list[SliceSpec] = []
    for mig in kind.mig:
        slices = capture.profile(mig.profile).slices
        uuid = f"MIG-{stable_uuid(f'{name}/{mig.index}')}"
        pieces.append(capture.slice_spec(mig.index, uuid, next_instance[slices], mig.profile))
        next_instance[slices] += 1
    if len({piece.index for piece in pieces}) < len(pieces):
        raise ConfigError(f"{name}: two MIG instances have the same index", hint="indices may have holes, not doubles")
    if capture.mig and sum(piece.slices for piece in pieces) > capture.mig.slices:
        raise ConfigError(f"{name}: more than {capture.mig.slices} compute slices", hint="take an instance away")
    return tuple(sorted(pieces))
