"""The clock and temperature of boards while they work, by hour: what tells a failing card from other work."""

from __future__ import annotations

from agent.devices.base import BoardReading
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.wire import BoardCondition


class _Hour:
    """What one board's readings of one hour sum to."""

    __slots__ = ("clock_mhz", "clock_readings", "temperature_c", "temperature_readings")

    def __init__(self) -> None:
        self.clock_mhz = self.clock_readings = self.temperature_c = self.temperature_readings = 0


class ConditionTally:
    """Sums readings by board and hour, one for each time that the slow samplers ran.

    What is gathered of an hour that is not over is lost with the process: it is no part of any account.
    """

    def __init__(self) -> None:
        self._hours: dict[tuple[int, str], _Hour] = {}
        self._read_us: dict[str, int] = {}  # of each board, when its slow samplers ran last

    def observe(self, boards: tuple[BoardReading, ...], at_us: int) -> None:
        """Take the readings of an instant; those of boards that did not work say nothing."""
        for board in boards:
            health = board.health
            if health is None or health.slow_at_us is None or self._read_us.get(board.device.key) == health.slow_at_us:
                continue
            self._read_us[board.device.key] = health.slow_at_us
            if board.fault or not board.utilization_ppm:
                continue
            hour_us = (at_us - 1) // US_PER_HOUR * US_PER_HOUR  # a reading tells of the time before it
            hour = self._hours.setdefault((hour_us, board.device.key), _Hour())
            if health.sm_clock_mhz:
                hour.clock_mhz += health.sm_clock_mhz
                hour.clock_readings += 1
            if board.temperature_c is not None and board.temperature_c >= 0:
                hour.temperature_c += board.temperature_c
                hour.temperature_readings += 1

    def over(self, until_us: int) -> tuple[BoardCondition, ...]:
        """Return the hours that are over at `until_us`, in order."""
        return tuple(
            BoardCondition(
                board,
                hour_us,
                found.clock_readings,
                found.clock_mhz,
                found.temperature_readings,
                found.temperature_c,
            )
            for (hour_us, board), found in sorted(self._hours.items())
            if hour_us + US_PER_HOUR <= until_us and (found.clock_readings or found.temperature_readings)
        )

    def forget(self, until_us: int) -> None:
        """Drop what `over` returned: it is sealed."""
        self._hours = {key: found for key, found in self._hours.items() if key[0] + US_PER_HOUR > until_us}
