"""The devices of a reading by every name that schedulers have for them: UUID, minor, index, MIG instance, placement.

A minor number is not an index: `/dev/nvidia<minor>` and NVML's order differ on many nodes.
"""

from __future__ import annotations

from agent.devices.base import BoardReading, NodeReading


class DeviceIndex:
    """Looks devices up. An answer is the device's key, or None where there is no such device."""

    def __init__(self, reading: NodeReading) -> None:
        self._boards = {board.device.key: board for board in reading.boards}
        self._by_minor = {board.minor: board for board in reading.boards if board.minor is not None}
        self._by_index = {board.device.index: board for board in reading.boards if board.device.index is not None}
        self._keys: dict[str, str] = {}
        self._instances: dict[tuple[str, int, int], str] = {}
        self._placements: dict[tuple[str, int], str] = {}
        for board in reading.boards:
            self._keys[board.device.key.lower()] = board.device.key
            for instance in board.instances:
                key = instance.device.key
                self._keys[key.lower()] = key
                if instance.placement_start is not None and not instance.compute_instance:
                    self._placements[board.device.key, instance.placement_start] = key
                if instance.gpu_instance is not None:
                    place = (board.device.key, instance.gpu_instance, instance.compute_instance or 0)
                    self._instances[place] = key

    def by_uuid(self, uuid: str) -> str | None:
        """Return the GPU or MIG instance of that UUID, in whatever case it is written."""
        return self._keys.get(uuid.lower())

    def by_minor(self, minor: int) -> str | None:
        """Return the GPU behind `/dev/nvidia<minor>`."""
        return _key(self._by_minor.get(minor))

    def by_index(self, index: int) -> str | None:
        """Return the GPU that NVML lists at `index`."""
        return _key(self._by_index.get(index))

    def instance(self, board: str, gpu_instance: int, compute_instance: int = 0) -> str | None:
        """Return the MIG instance of a GPU by the ids of its GPU instance and compute instance."""
        return self._instances.get((board, gpu_instance, compute_instance))

    def placed_at(self, board: str, placement_start: int) -> str | None:
        """Return the MIG instance of a GPU whose GPU instance begins at a slice; its first compute instance."""
        return self._placements.get((board, placement_start))

    def devices_of(self, board: str) -> tuple[str, ...]:
        """Return what can be held of a GPU: itself, or its MIG instances; nothing where there is no such GPU."""
        found = self._boards.get(board)
        if found is None:
            return ()
        if not found.mig:
            return (board,)
        return tuple(instance.device.key for instance in found.instances if instance.device.kind == "mig")


def _key(board: BoardReading | None) -> str | None:
    return board.device.key if board else None
