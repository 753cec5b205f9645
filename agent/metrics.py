"""What `/metrics` says: metric families made from the agent's present state, when asked.

A value that could not be read is absent, never 0; readings that are too old are absent too, and said to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from agent.devices.base import BoardReading
from agent.observe import Observation
from agent.sampling import SamplingStats
from agent.shipper import ShipperStats
from agent.spool import SpoolStats
from agent.tallies import OTHER, Tally
from gpuledger.accounting.snapshot import DeviceSnapshot
from gpuledger.accounting.units import PPM, US_PER_SECOND
from gpuledger.model import Device, Holder, State

DEVICE_LABELS: Final = ("node", "device", "gpu", "model", "mig_profile")
HOLDER_LABELS: Final = ("namespace", "pod", "container", "user", "team", "workload", "holder")
_STATES: Final = tuple(State)


class AgentState(NamedTuple):
    """Everything that the metrics are made from. `observation` is None before the first reading, or once too old."""

    node: str
    version: str
    now_us: int
    observation: Observation | None
    sample_age_us: int | None
    sampling: SamplingStats
    spool: SpoolStats
    blocked: bool
    shipper: ShipperStats
    devices: Mapping[str, Device]  # all that were ever seen by this process
    holders: Mapping[str, Holder]
    tallies: list[tuple[str, str, Tally]]
    xids: Mapping[tuple[str, str], int]
    dropped: int
    lookups_failed: Mapping[str, int]


def families(state: AgentState) -> Iterator[Metric]:
    """Yield every metric family of the agent."""
    yield InfoMetricFamily("gpuledger_agent", "The agent that answers.", {"node": state.node, "version": state.version})
    yield from _sampler_families(state)
    yield from _device_families(state)
    yield from _holder_families(state)
    yield from _spool_families(state)


def state_of(device: DeviceSnapshot) -> State:
    """Return the state that a device is in at the snapshot's instant."""
    if not device.available:
        return State.UNOBSERVED if device.reason == "unreadable" else State.UNAVAILABLE
    if not device.occupants:
        return State.IDLE
    activity = device.activity_ppm
    if activity is None and device.holder_activity_ppm is not None:
        activity = sum(device.holder_activity_ppm.values())
    if activity is None:
        return State.HELD_UNOBSERVED
    return State.ACTIVE if activity else State.HELD_IDLE


def _sampler_families(state: AgentState) -> Iterator[Metric]:
    sampling = state.sampling
    success = sampling.readings > 0 and not sampling.failures_in_a_row and state.observation is not None
    yield _gauge("gpuledger_sampler_success", "1 where the last reading succeeded and is recent.", success, "devices")
    if sampling.readings:
        yield _gauge(
            "gpuledger_sampler_duration_seconds", "How long the last reading took.", sampling.duration_s, "devices"
        )
    failures = CounterMetricFamily(
        "gpuledger_sampler_failures", "Readings that failed as a whole.", labels=("sampler",)
    )
    failures.add_metric(("devices",), sampling.failures)
    yield failures
    if state.sample_age_us is not None:
        yield GaugeMetricFamily(
            "gpuledger_sample_age_seconds",
            "Age of the last reading; past three intervals its values are left out.",
            state.sample_age_us / US_PER_SECOND,
        )
    lookups = CounterMetricFamily(
        "gpuledger_holder_lookups_failed", "Look-ups of a process or a pod that found nothing.", labels=("reason",)
    )
    for reason, count in state.lookups_failed.items():
        lookups.add_metric((reason,), count)
    yield lookups


def _device_families(state: AgentState) -> Iterator[Metric]:
    active = _device_gauge("gpuledger_device_active_ratio", "Part of the last interval in which the device did work.")
    memory = _device_gauge("gpuledger_device_memory_used_bytes", "Device memory in use.")
    power = _device_gauge("gpuledger_device_power_watts", "Power draw of the board.")
    energy = CounterMetricFamily(
        "gpuledger_device_energy_joules", "Energy of the board by its hardware counter.", labels=DEVICE_LABELS
    )
    temperature = _device_gauge("gpuledger_device_temperature_celsius", "Temperature of the board.")
    held = GaugeMetricFamily(
        "gpuledger_device_held",
        "Share of the device that a holder has now; 0 without a holder.",
        labels=(*DEVICE_LABELS, *HOLDER_LABELS),
    )
    states = GaugeMetricFamily(
        "gpuledger_device_state", "1 for the state that the device is in.", labels=(*DEVICE_LABELS, "state")
    )
    for reading, devices in _boards(state.observation):
        _add_board(state, reading, power, energy, temperature)
        used = _memory(reading)
        for device in devices:
            labels = _device_labels(state, device.device)
            if device.activity_ppm is not None:
                active.add_metric(labels, device.activity_ppm / PPM)
            used_bytes = used.get(device.device)
            if used_bytes is not None:
                memory.add_metric(labels, used_bytes)
            _add_held(state, device, labels, held)
            current = state_of(device)
            for possible in _STATES:
                states.add_metric((*labels, possible.label), float(possible is current))
    yield from (active, memory, power, energy, temperature, held, states)


def _holder_families(state: AgentState) -> Iterator[Metric]:
    labels = (*DEVICE_LABELS, *HOLDER_LABELS)
    held = CounterMetricFamily("gpuledger_holder_held_seconds", "Time that a holder had a device.", labels=labels)
    active = CounterMetricFamily("gpuledger_holder_active_seconds", "Time that it worked for it.", labels=labels)
    energy = CounterMetricFamily("gpuledger_holder_energy_joules", "Energy that went to the holder.", labels=labels)
    for device, holder, tally in state.tallies:
        values = (*_device_labels(state, device), *_holder_labels(state, holder))
        held.add_metric(values, tally.held_us / US_PER_SECOND)
        if tally.active_us is not None:
            active.add_metric(values, tally.active_us / US_PER_SECOND)
        if tally.energy_mj is not None:
            energy.add_metric(values, tally.energy_mj / 1_000)
    xids = CounterMetricFamily("gpuledger_xid_errors", "XIDs that the driver reported.", labels=(*DEVICE_LABELS, "xid"))
    for (board, code), count in state.xids.items():
        xids.add_metric((*_device_labels(state, board), code), count)
    dropped = CounterMetricFamily(
        "gpuledger_series_dropped", f"Holders beyond the ceiling of series, counted under holder={OTHER!r}."
    )
    dropped.add_metric((), state.dropped)
    yield from (held, active, energy, xids, dropped)


def _spool_families(state: AgentState) -> Iterator[Metric]:
    spool, shipper = state.spool, state.shipper
    oldest_us = spool.oldest_sealed_at_us
    waited_s = 0.0 if oldest_us is None else max(0, state.now_us - oldest_us) / US_PER_SECOND
    yield GaugeMetricFamily("gpuledger_spool_batches", "Batches that wait for the collector.", spool.batches)
    yield GaugeMetricFamily("gpuledger_spool_bytes", "Bytes that wait for the collector.", spool.bytes)
    yield GaugeMetricFamily("gpuledger_spool_oldest_seconds", "How long the oldest batch has waited.", waited_s)
    yield GaugeMetricFamily(
        "gpuledger_spool_full", "1 while the spool takes no batch: metering waits.", float(state.blocked)
    )
    yield GaugeMetricFamily("gpuledger_spool_refused", "Batches that the collector refused for good.", spool.refused)
    damage = CounterMetricFamily("gpuledger_spool_damage", "Damage found in the spool.", labels=("kind",))
    damage.add_metric(("torn",), spool.torn)
    damage.add_metric(("corrupt",), spool.corrupt)
    yield damage
    deliveries = CounterMetricFamily("gpuledger_deliveries", "Attempts to deliver, by outcome.", labels=("result",))
    deliveries.add_metric(("delivered",), shipper.delivered - shipper.duplicates)
    deliveries.add_metric(("duplicate",), shipper.duplicates)
    deliveries.add_metric(("refused",), shipper.refused)
    deliveries.add_metric(("failed",), shipper.failures)
    yield deliveries


def _boards(observation: Observation | None) -> Iterator[tuple[BoardReading, tuple[DeviceSnapshot, ...]]]:
    if observation is not None:
        for reading, board in zip(observation.reading.boards, observation.snapshot.boards, strict=True):
            yield reading, board.devices


def _add_board(
    state: AgentState,
    reading: BoardReading,
    power: GaugeMetricFamily,
    energy: CounterMetricFamily,
    temperature: GaugeMetricFamily,
) -> None:
    """Add what a board has once, whatever it is cut into: repeated for each slice it would be summed several times."""
    labels = (state.node, reading.device.key, reading.device.key, reading.device.model, "")
    if reading.power_mw is not None:
        power.add_metric(labels, reading.power_mw / 1_000)
    if reading.energy_mj is not None:
        energy.add_metric(labels, reading.energy_mj / 1_000)
    if reading.temperature_c is not None:
        temperature.add_metric(labels, reading.temperature_c)


def _memory(reading: BoardReading) -> dict[str, int | None]:
    if reading.mig:
        return {instance.device.key: instance.memory_used_bytes for instance in reading.instances}
    return {reading.device.key: reading.memory_used_bytes}


def _add_held(state: AgentState, device: DeviceSnapshot, labels: tuple[str, ...], held: GaugeMetricFamily) -> None:
    whole = sum(occupant.weight for occupant in device.occupants)
    for occupant in device.occupants:
        held.add_metric((*labels, *_holder_labels(state, occupant.holder)), occupant.weight / whole)
    if not device.occupants:
        held.add_metric((*labels, *("" for _ in HOLDER_LABELS)), 0.0)


def _device_labels(state: AgentState, key: str) -> tuple[str, ...]:
    device = state.devices.get(key)
    if device is None:
        return (state.node, key, key, "", "")
    return (state.node, key, device.board or key, device.model, device.mig_profile)


def _holder_labels(state: AgentState, key: str) -> tuple[str, ...]:
    holder = state.holders.get(key)
    if holder is None:
        return ("", "", "", "", "", "", key)
    workload = holder.workload.name if holder.workload else ""
    return (holder.namespace, holder.pod, holder.container, holder.user, holder.team_claim, workload, key)


def _device_gauge(name: str, documentation: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, documentation, labels=DEVICE_LABELS)


def _gauge(name: str, documentation: str, value: float, sampler: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, documentation, labels=("sampler",))
    family.add_metric((sampler,), float(value))
    return family
