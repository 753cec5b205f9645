"""The MIG instances of one board over time: found by sparse enumeration, read, and found anew when it is cut anew."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

import pynvml

from agent.devices.base import InstanceReading
from agent.devices.nvml import codes
from agent.devices.nvml.gpm import METHOD, GpmActivity, GpmReader
from agent.devices.nvml.instance import NvmlInstance
from agent.devices.nvml.mig import remainder_of
from agent.samplers.tally import SamplerTally
from gpuledger.model import Device

_NO_INSTANCE: Final = frozenset({codes.NOT_FOUND, codes.INVALID_ARGUMENT})


class MigInstances:
    """The instances of `board`. With `gpm` the work of each GPU instance is read, too."""

    def __init__(
        self,
        handle: Any,  # noqa: ANN401 - a handle of NVML
        board: Device,
        tally: SamplerTally,
        *,
        gauges: bool,
        gpm: bool,
    ) -> None:
        self._handle = handle
        self._board = board
        self._tally = tally
        self._gauges = gauges
        self._gpm = gpm
        self._found: tuple[NvmlInstance, ...] | None = None
        self._readers: dict[int, GpmReader] = {}  # by GPU instance
        self.last: tuple[Device, ...] = ()  # what the last reading showed

    def forget(self) -> None:
        """Find the instances anew at the next reading: an identity may come back for another tenancy."""
        self.close()
        self._found, self.last = None, ()

    def close(self) -> None:
        """Give the driver's samples back."""
        readers, self._readers = self._readers, {}
        for reader in readers.values():
            reader.close()

    def read(self, now_us: int) -> tuple[InstanceReading, ...]:
        """Return a reading of each instance, and of what they leave over.

        Raises NVMLError where the board does not answer, and ConservationError where the instances do not fit it.
        """
        if self._found is None:
            return self._read_fresh(now_us)
        try:
            return self._readings_of(self._found, now_us)
        except pynvml.NVMLError as error:
            if codes.fault_of(error.value) != "unreadable" or error.value in codes.DRIVER_GONE:
                raise
            self.close()
            return self._read_fresh(now_us)  # handles go stale when the board is cut anew

    def _read_fresh(self, now_us: int) -> tuple[InstanceReading, ...]:
        self._found = self._find()
        return self._readings_of(self._found, now_us)

    def _find(self) -> tuple[NvmlInstance, ...]:
        slices = pynvml.nvmlDeviceGetMaxMigDeviceCount(self._handle)
        instances = []
        for index in range(slices):
            try:
                instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(self._handle, index)
            except pynvml.NVMLError as error:
                if error.value not in _NO_INSTANCE:
                    raise
                continue
            instances.append(NvmlInstance(instance, self._handle, self._board, slices, gauges=self._gauges))
        return tuple(instances)

    def _readings_of(self, instances: tuple[NvmlInstance, ...], now_us: int) -> tuple[InstanceReading, ...]:
        readings = [instance.read() for instance in instances]
        if self._gpm:
            readings = self._with_activity(readings, now_us)
        remainder = remainder_of(self._board, [reading.device for reading in readings])
        if remainder is not None:
            readings.append(InstanceReading(remainder, None, ()))
        self.last = tuple([reading.device for reading in readings])
        return tuple(readings)

    def _with_activity(self, readings: list[InstanceReading], now_us: int) -> list[InstanceReading]:
        """Return the readings with their work, which is counted for whole GPU instances.

        Where several compute instances share one, nobody can tell which of them worked.
        """
        sharers = Counter(reading.gpu_instance for reading in readings)
        found = []
        for reading in readings:
            activity = self._activity(reading.gpu_instance, now_us) if sharers[reading.gpu_instance] == 1 else None
            if activity is not None and (activity.any_ppm is not None or activity.sm_ppm is not None):
                worked = activity.sm_ppm if activity.any_ppm is None else activity.any_ppm
                reading = reading._replace(  # noqa: PLW2901 - the same reading, completed
                    utilization_ppm=worked, activity_method=METHOD, sm_active_ppm=activity.sm_ppm
                )
            found.append(reading)
        return found

    def _activity(self, gpu_instance: int | None, now_us: int) -> GpmActivity | None:
        if gpu_instance is None:
            return None
        reader = self._readers.get(gpu_instance)
        if reader is None:
            reader = self._readers[gpu_instance] = GpmReader(self._handle, gpu_instance)
        return self._tally.run("gpm", reader.read, now_us)
