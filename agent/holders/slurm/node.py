"""This node as Slurm is configured for it: whether Slurm gives its GPUs, and which index is which device."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from agent.devices.base import NodeReading
from agent.holders.device_index import DeviceIndex
from agent.holders.slurm.conf import GresConf, NodeGres, includes, parse_gres_conf, parse_node_gres
from agent.holders.slurm.files import Signature, signature, unreadable
from agent.holders.slurm.order import NO_ORDER, GpuOrder, MigMinors, decide_order, given_order, parse_mig_minors
from agent.holders.slurm.presence import CONF_FOLDERS
from gpuledger.errors import HolderError

_MOST_BYTES: Final = 4 * 1024 * 1024


class _Conf(NamedTuple):
    gres: GresConf = GresConf()
    node: tuple[NodeGres, ...] | None = None
    found: bool = False


class SlurmNode:
    """Looks Slurm's configuration up, again when a file of it or the node's devices have changed."""

    def __init__(
        self,
        name: str,
        *,
        gres_conf: Path | None = None,
        gpu_order: Sequence[str] = (),
        mig_minors: Path = Path("/proc/driver/nvidia-caps/mig-minors"),
        folders: Sequence[Path] = CONF_FOLDERS,
    ) -> None:
        """Look for gres.conf at `gres_conf`, else in `folders`; slurm.conf lies beside it."""
        self.name = name
        self._gres_conf = gres_conf
        self._gpu_order = tuple(gpu_order)
        self._mig_minors = mig_minors
        self._folders = folders
        self._conf = _Conf()
        self._seen: dict[Path, Signature | None] | None = None
        self._order_for: object = None
        self._order = NO_ORDER

    def rename(self, name: str) -> None:
        """Take the name that Slurm's own prolog states for this node."""
        if name and name != self.name:
            self.name = name
            self._seen = None

    @property
    def gives_mps(self) -> bool:
        """Tell whether Slurm's configuration, as last looked up, has percentages of MPS to give on this node."""
        return bool(self._conf.gres.named("mps")) or any(gres.name == "mps" for gres in self._conf.node or ())

    def order(self, reading: NodeReading) -> GpuOrder:
        """Return the order of the node's GPUs: empty where Slurm gives none here.

        Raises HolderError where its configuration is there and cannot be read or understood.
        """
        if self._seen is None or any(signature(path) != seen for path, seen in self._seen.items()):
            self._order_for = None
            self._conf = self._loaded()
        devices = [(board.device.key, board.minor, board.device.index, board.instances) for board in reading.boards]
        shape = [(*names, tuple(one.device.key for one in instances)) for *names, instances in devices]
        if shape != self._order_for:
            self._order = self._decide(reading)
            self._order_for = shape
        return self._order

    def _decide(self, reading: NodeReading) -> GpuOrder:
        index = DeviceIndex(reading)
        if self._gpu_order:
            return given_order(self._gpu_order, index)
        if not self._conf.found:
            return NO_ORDER
        return decide_order(self._conf.gres, self._conf.node, reading, index, self._minors())

    def _loaded(self) -> _Conf:
        try:
            return self._load()
        except HolderError:
            self._seen = None  # it is tried again, and told again, until it is understood
            raise

    def _load(self) -> _Conf:
        candidates = [self._gres_conf] if self._gres_conf else [folder / "gres.conf" for folder in self._folders]
        self._seen = {path: signature(path) for path in candidates}
        path = next((candidate for candidate, seen in self._seen.items() if seen is not None), None)
        if path is None:
            return _Conf()
        slurm_conf = path.with_name("slurm.conf")
        try:
            gres = parse_gres_conf(self._text(path), self.name)
            self._seen[slurm_conf] = signature(slurm_conf)
            node = None
            if self._seen[slurm_conf] is not None:
                node = parse_node_gres(self._text(slurm_conf), self.name) or ()
        except ValueError as error:
            hint = "state the devices in Slurm's order: [slurm] gpu_order"
            raise HolderError(f"{path} is not understood: {error}", hint=hint) from error
        return _Conf(gres, node, found=True)

    def _text(self, path: Path) -> str:
        """Return a file of Slurm's configuration with the files that it includes, one level deep."""
        texts = [_read(path)]
        for name in includes(texts[0]):
            included = path.parent / name
            if self._seen is not None:
                self._seen[included] = signature(included)
            texts.append(_read(included))
        return "\n".join(texts)

    def _minors(self) -> MigMinors:
        return parse_mig_minors(_read(self._mig_minors)) if signature(self._mig_minors) else {}


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) > _MOST_BYTES:
        raise ValueError(f"{path} has more than {_MOST_BYTES} bytes")
    return content.decode("utf-8", "replace")
