"""From what the meter releases to sealed batches in the spool: contiguous, complete, and each with its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from agent.conditions import ConditionTally
from agent.devices.base import BoardReading
from agent.spool import Spool
from gpuledger import wire
from gpuledger.accounting.energy import merge_energy
from gpuledger.accounting.meter import MeterCheckpoint, Metered
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.errors import SpoolError
from gpuledger.model import Device, Event, Holder

DEFAULT_SEAL_INTERVAL_US: Final = US_PER_MINUTE
DEFAULT_MAX_ROWS: Final = 20_000


class AgentCheckpoint(msgspec.Struct, frozen=True):
    """What a restarted agent needs: where metering stands, and the devices that its next records may name."""

    meter: MeterCheckpoint
    devices: tuple[Device, ...]


_encode_checkpoint: Final = msgspec.msgpack.Encoder().encode
_decode_checkpoint: Final = msgspec.msgpack.Decoder(AgentCheckpoint).decode


class Origin(NamedTuple):
    """What every batch of this agent says about where it comes from."""

    agent: str
    node: str
    cluster: str
    software: str


class Sealer:
    """Gathers released usage until a batch is due, then seals it with the meter's checkpoint at that very point.

    `known` are the devices of the checkpoint that the meter goes on from; `notify` is called after each sealed batch.
    """

    def __init__(
        self,
        spool: Spool,
        origin: Origin,
        *,
        seal_interval_us: int = DEFAULT_SEAL_INTERVAL_US,
        max_rows: int = DEFAULT_MAX_ROWS,
        known: Iterable[Device] = (),
        notify: Callable[[], None] = lambda: None,
    ) -> None:
        self._spool = spool
        self._origin = origin
        self._seal_interval_us = seal_interval_us
        self._max_rows = max_rows
        self._notify = notify
        self._waiting: list[Metered] = []
        self._rows = 0
        self._events: list[Event] = []
        self._conditions = ConditionTally()
        self._devices = {device.key: device for device in known}  # all that unsealed records may name

    @property
    def rows(self) -> int:
        """Return how many usage records wait to be sealed."""
        return self._rows

    def add(self, metered: Metered, devices: Mapping[str, Device]) -> None:
        """Take what the meter released, and the devices that are there."""
        self._devices.update(devices)
        self._events += metered.events
        if metered.until_us > metered.from_us:
            self._waiting.append(metered)
            self._rows += len(metered.records)

    def add_conditions(self, boards: tuple[BoardReading, ...], at_us: int) -> None:
        """Take the boards' readings of an instant; their hours go out once they are over."""
        self._conditions.observe(boards, at_us)

    def add_events(self, events: list[Event]) -> None:
        """Take events that do not come from the meter; each goes out with the batch that covers its instant."""
        self._events += events

    @property
    def due(self) -> bool:
        """Tell whether what waits should be sealed: enough rows, or enough time covered."""
        if not self._waiting:
            return False
        covered_us = self._waiting[-1].until_us - self._waiting[0].from_us
        return self._rows >= self._max_rows or covered_us >= self._seal_interval_us

    def seal(
        self,
        checkpoint: MeterCheckpoint,
        sealed_at_us: int,
        devices: Mapping[str, Device],
        holders: Mapping[str, Holder],
    ) -> bool:
        """Seal all that waits as one batch; `devices` are those there now, the checkpoint belongs to the end of it.

        Raises SpoolError where the outbox does not take it: everything still waits then. False: nothing did.
        """
        if not self._waiting:
            return False
        batch = self._batch(sealed_at_us, devices, holders)
        standing = [device.device for board in checkpoint.boards for device in board.devices]
        kept = {key: self._devices[key] for key in standing} | dict(devices)
        stored = _encode_checkpoint(AgentCheckpoint(checkpoint, tuple(kept.values())))
        self._spool.append(wire.encode(batch), stored, sealed_at_us)
        self._waiting = []
        self._rows = 0
        self._events = [event for event in self._events if event.at_us > batch.until_us]
        self._conditions.forget(batch.until_us)
        self._devices = kept
        self._notify()
        return True

    def _batch(self, sealed_at_us: int, devices: Mapping[str, Device], holders: Mapping[str, Holder]) -> wire.Batch:
        records = [record for metered in self._waiting for record in metered.records]
        energy = merge_energy(entry for metered in self._waiting for entry in metered.energy)
        from_us, until_us = self._waiting[0].from_us, self._waiting[-1].until_us
        used = {record.device for record in records}
        listed = [device for key, device in self._devices.items() if key in used or key in devices]
        named = dict.fromkeys(record.holder for record in records if record.holder is not None)
        held_by = [holders[key] for key in named]
        usage, evidence, reasons = wire.pack_usage(records, listed, held_by)
        return wire.Batch(
            agent=self._origin.agent,
            boot=self._spool.boot,
            sequence=self._spool.next_sequence,
            cluster=self._origin.cluster,
            node=self._origin.node,
            from_us=from_us,
            until_us=until_us,
            sealed_at_us=sealed_at_us,
            software=self._origin.software,
            devices=tuple(listed),
            holders=tuple(held_by),
            evidence=evidence,
            reasons=reasons,
            usage=usage,
            energy=tuple(wire.BoardEnergy(*entry) for entry in energy),
            events=tuple(event for event in self._events if event.at_us <= until_us),
            conditions=tuple(each for each in self._conditions.over(until_us) if each.hour_us > from_us - US_PER_HOUR),
        )


def read_checkpoint(spool: Spool) -> AgentCheckpoint | None:
    """Return where the agent stood at the newest sealed batch, or None in a new spool.

    Raises SpoolError where another version of the agent wrote it in a form that this one cannot read.
    """
    stored = spool.checkpoint
    if not stored:
        return None
    try:
        return _decode_checkpoint(stored)
    except msgspec.MsgspecError as error:
        raise SpoolError(
            f"the spool's checkpoint cannot be read: {error}",
            hint="deliver what waits with the version that wrote it, or move the folder away to start a new spool",
        ) from error
