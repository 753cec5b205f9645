"""A board that another process read: until it is found here, it is a name and how far it was read."""

from __future__ import annotations

from typing import Any

from agent.devices.base import BoardReading, InstanceReading
from agent.devices.marks import BoardMarks
from agent.devices.nvml import codes


class RememberedBoard:
    """Stands for a board that the driver does not hand out, under the name that it had: a fault, and nothing else."""

    dropped_samples = 0
    address = 0  # the driver may have given the board's own to another

    def __init__(self, marks: BoardMarks) -> None:
        self.marks = marks
        self.device = marks.device
        self._code = codes.UNKNOWN

    def lose(self, code: int) -> None:
        """Report the fault of `code` from now on; what it did meanwhile will not be known."""
        self._code = code
        self.marks = self.marks._replace(last_seen_us=None)

    def register_events(self, event_set: Any, wanted: int) -> None:  # noqa: ANN401 - a handle of NVML
        """Do nothing: no handle, no events."""

    def close(self) -> None:
        """Do nothing: nothing was lent."""

    def look_now(self) -> None:
        """Do nothing: nothing can be read."""

    def forget_instances(self) -> None:
        """Do nothing: nothing can be found out anew."""

    def read(self, now_us: int) -> BoardReading:  # noqa: ARG002 - as a board that answers
        """Return a reading that is a fault."""
        instances = tuple(InstanceReading(device, None, ()) for device in self.marks.instances)
        return BoardReading(self.device, fault=codes.fault_of(self._code), mig=self.marks.mig, instances=instances)
