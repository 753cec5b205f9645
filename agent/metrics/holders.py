"""What the page says of holders: the share that each has now, and what each had since the agent started."""

from __future__ import annotations

from collections.abc import Mapping

from agent.metrics import catalogue
from agent.metrics.ceiling import OTHER
from agent.metrics.devices import boards_of
from agent.metrics.family import Filled, Sample
from agent.metrics.labels import Blocks, quoted
from agent.observe import Observation
from agent.tallies import Tallies, Xids
from gpuledger.accounting.units import US_PER_SECOND
from gpuledger.model import Device, Holder


def held_family(
    observation: Observation | None,
    devices: Mapping[str, Device],
    holders: Mapping[str, Holder],
    blocks: Blocks,
    max_pairs: int,
) -> Filled:
    """Return each holder's present share; beyond `max_pairs` shares those of a device are shown as one."""
    samples: list[Sample] = []
    left = max_pairs
    for _, snapshots in boards_of(observation):
        for snapshot in snapshots:
            key = snapshot.device
            device = blocks.device(key, devices.get(key))
            occupants = snapshot.occupants
            if not occupants:
                samples.append((blocks.free(device), 0))
                continue
            whole = max(snapshot.replicas or 0, sum(occupant.weight for occupant in occupants))
            for occupant in occupants[:left]:
                block = blocks.held(device, key, occupant.holder, holders.get(occupant.holder))
                samples.append((block, occupant.weight / whole))
            rest = occupants[left:]
            if rest:
                share = sum(occupant.weight for occupant in rest) / whole
                samples.append((blocks.held(device, key, OTHER, None), share))
            left = max(0, left - len(occupants))
    return catalogue.HELD, samples


def holder_families(
    tallies: Tallies, devices: Mapping[str, Device], holders: Mapping[str, Holder], blocks: Blocks
) -> list[Filled]:
    """Return the counters of holders."""
    held: list[Sample] = []
    active: list[Sample] = []
    energy: list[Sample] = []
    for (key, holder), tally in tallies.pairs():
        block = blocks.held(blocks.device(key, devices.get(key)), key, holder, holders.get(holder))
        held.append((block, tally.held_us / US_PER_SECOND))
        if tally.active_us is not None:
            active.append((block, tally.active_us / US_PER_SECOND))
        if tally.energy_mj is not None:
            energy.append((block, tally.energy_mj / 1_000))
    return [(catalogue.HOLDER_HELD, held), (catalogue.HOLDER_ACTIVE, active), (catalogue.HOLDER_ENERGY, energy)]


def xid_family(xids: Xids, devices: Mapping[str, Device], blocks: Blocks) -> Filled:
    """Return the XIDs of each board."""
    samples: list[Sample] = []
    for (board, code), count in xids.counts.items():
        kind = quoted(xids.classes.get(code, ""))
        pairs = blocks.device(board, devices.get(board)).pairs
        samples.append((f"{{{pairs},xid={quoted(code)},class={kind}}}", count))
    return catalogue.XIDS, samples
