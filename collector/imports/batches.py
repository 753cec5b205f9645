"""Booked jobs as a batch: an import writes to the ledger what an agent would, and is checked like one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from collector.imports.jobs import JobRecord, device_key, job_holder, job_usage
from collector.imports.pools import PoolKey
from gpuledger import __version__
from gpuledger.accounting.intervals import Interval
from gpuledger.model import Device, Holder, UsageRecord
from gpuledger.wire import Batch, pack_usage

AGENT: Final = "import"


class Booked(NamedTuple):
    """A job and the intervals of it to book."""

    record: JobRecord
    intervals: Sequence[Interval]


def build_batches(
    booked: Iterable[Booked], pools: Mapping[PoolKey, Device], import_id: str, now_us: int
) -> Iterator[Batch]:
    """Yield the batches of a chunk: one for each cluster, or more where a job changed its facts between two runs."""
    groups: dict[str, _Group] = {}
    for item in booked:
        cluster = item.record.cluster
        group = groups.setdefault(cluster, _Group(cluster))
        device, holder = pools[PoolKey(cluster, device_key(item.record))], job_holder(item.record)
        if not group.takes(device, holder):
            yield group.batch(import_id, now_us)
            group = groups[cluster] = _Group(cluster)
        group.add(device, holder, item)
    for group in groups.values():
        if group.records:
            yield group.batch(import_id, now_us)


class _Group:
    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._devices: dict[str, Device] = {}
        self._holders: dict[str, Holder] = {}
        self.records: list[UsageRecord] = []

    def takes(self, device: Device, holder: Holder) -> bool:
        """Tell whether a batch can hold both: a key stands for one thing in it."""
        return self._devices.get(device.key, device) == device and self._holders.get(holder.key, holder) == holder

    def add(self, device: Device, holder: Holder, item: Booked) -> None:
        self._devices[device.key] = device
        self._holders[holder.key] = holder
        for start_us, end_us in item.intervals:
            self.records.extend(job_usage(item.record, start_us, end_us))

    def batch(self, import_id: str, now_us: int) -> Batch:
        devices, holders = tuple(self._devices.values()), tuple(self._holders.values())
        usage, evidence, reasons = pack_usage(self.records, devices, holders)
        content = msgspec.msgpack.encode((self._cluster, devices, holders, usage))
        return Batch(
            agent=AGENT,
            boot=f"{import_id}-{hashlib.sha256(content).hexdigest()[:16]}",
            sequence=0,
            cluster=self._cluster,
            node="",
            from_us=min(record.start_us for record in self.records),
            until_us=max(record.end_us for record in self.records),
            sealed_at_us=now_us,
            software=f"gpuledger {__version__}",
            devices=devices,
            holders=holders,
            evidence=evidence,
            reasons=reasons,
            usage=usage,
        )
