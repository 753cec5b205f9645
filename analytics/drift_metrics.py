"""What drift is looked for in: each metric's unit, its words, and the least change that is worth telling."""

from __future__ import annotations

from typing import Final, NamedTuple


class Metric(NamedTuple):
    """A metric. A change counts from `least` on (in its unit) and from `least_ratio` of the reference's mean on."""

    name: str
    words: str
    unit: str
    least: float = 0.0
    least_ratio: float = 0.0


METRICS: Final = {
    metric.name: metric
    for metric in (
        Metric("active_ratio", "utilisation (active ÷ held)", "", least=0.05),
        Metric("busy_ratio", "utilisation (active ÷ observed)", "", least=0.05),
        Metric("memory_bytes", "most memory in use", "B", least_ratio=0.05),
        Metric("power_w", "power", "W", least=5.0, least_ratio=0.05),
        Metric("temperature_c", "temperature", "°C", least=3.0),
        Metric("sm_clock_mhz", "clock of the multiprocessors", "MHz", least_ratio=0.03),
        Metric("memory_clock_mhz", "clock of the memory", "MHz", least_ratio=0.03),
        Metric("job_hours", "length of a job", "h", least_ratio=0.10),
        Metric("job_gpus", "size of a job", "GPU", least_ratio=0.10),
        Metric("arrivals", "jobs that start in a day", "", least=0.5, least_ratio=0.10),
        Metric("gpu_hours", "GPU-hours of a day", "h", least_ratio=0.05),
        Metric("cost", "cost of a day", "", least_ratio=0.05),
    )
}
OTHER_RATIO: Final = 0.05
HARDWARE: Final = ("power_w", "sm_clock_mhz", "memory_clock_mhz", "temperature_c")  # what a failing card shows
WORK: Final = "active_ratio"  # how much work a device was given


def metric_named(name: str) -> Metric:
    """Return the metric of a column; one that is not known counts from a twentieth of its mean on."""
    return METRICS.get(name) or Metric(name, name, "", least_ratio=OTHER_RATIO)
