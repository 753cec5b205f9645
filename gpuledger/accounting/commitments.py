"""Contracts: GPUs that are paid for whether they are there or not, which devices they cover, and what falls short.

A contract covers devices of one cluster, at most `gpus` of them at a time. Who comes first is decided by the device's
key (then its node), so that the same fleet is covered in the same way however often it is asked. A device is covered
whole or not at all: one that is larger than what is left is passed over, and the next is looked at. No device is
covered by two contracts at once: the earlier one in the book has it.

At every instant what is committed is what is covered plus what is short, in parts of a GPU, to the microsecond.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from gpuledger.accounting.globs import matches
from gpuledger.accounting.intervals import Interval, gaps, merge
from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.split import split_exactly
from gpuledger.accounting.terms import RateTerms
from gpuledger.accounting.units import GPU_PARTS
from gpuledger.accounting.validity import Validity
from gpuledger.errors import ConservationError

_EVER_US: Final = 2**62


class Contract(NamedTuple):
    """So many GPUs of a cluster, from when until when, at so many quanta per GPU and hour.

    `model`, `mig_profile` and `node` are globs, `pool` is a name; empty stands for all. `rate_quanta` is what is paid
    for a committed hour of a GPU; it follows from `terms` where there are any, as the rate of a price entry does.
    """

    name: str
    cluster: str
    gpus: int
    rate_quanta: int
    model: str = "*"
    vendor: str = ""
    pool: str = ""
    mig_profile: str = ""
    node: str = ""
    from_us: int = 0
    to_us: int | None = None
    terms: RateTerms | None = None
    list_rate_quanta: int | None = None

    @property
    def validity(self) -> Validity:
        """Return when the GPUs are committed."""
        return Validity(self.from_us, self.to_us)

    def within(self, whole: Interval) -> Interval | None:
        """Return the part of `whole` in which the contract runs; None where it does not."""
        start_us = max(whole.start_us, self.from_us)
        end_us = min(whole.end_us, _EVER_US if self.to_us is None else self.to_us)
        return Interval(start_us, end_us) if start_us < end_us else None

    def describe(self) -> str:
        """Return the contract's scope as messages write it."""
        scope = {"model": self.model, "MIG profile": self.mig_profile, "pool": self.pool, "node": self.node}
        named = [f'{name} "{value}"' for name, value in scope.items() if value]
        return ", ".join([f'cluster "{self.cluster}"', *named])


class Machine(NamedTuple):
    """A device as contracts look at it: `size` is in parts of a GPU, `lives` is when it existed."""

    device: Hashable
    device_key: str
    node: str
    cluster: str
    pool: str
    model: str
    mig_profile: str
    size: int
    lives: tuple[Interval, ...]


class Spell(NamedTuple):
    """From when until when one device was covered by one contract."""

    start_us: int
    end_us: int
    contract: str


class Settlement(NamedTuple):
    """One contract over some time: parts of a GPU x microseconds, and quanta. Committed is covered plus short."""

    contract: Contract
    within: Interval
    committed_part_us: int
    covered_part_us: int
    short_part_us: int
    committed_quanta: int
    covered_quanta: int
    short_quanta: int


class Coverage(NamedTuple):
    """Which devices were covered when, and how each contract that ran at all came out, in the order of the book."""

    spells: dict[Hashable, list[Spell]]
    settled: list[Settlement]


class _Room(NamedTuple):
    """Parts of a GPU that are still uncovered from when until when."""

    start_us: int
    end_us: int
    parts: int


def cover(contracts: Iterable[Contract], machines: Iterable[Machine], whole: Interval) -> Coverage:
    """Say which device each contract covers within `whole`, and what of it is short.

    Raises ConservationError where covered and short time are not what is committed.
    """
    ordered = sorted(machines, key=_place)
    spells: dict[Hashable, list[Spell]] = {}
    settled: list[Settlement] = []
    for contract in contracts:
        within = contract.within(whole)
        if within is None:
            continue
        room = [_Room(*within, contract.gpus * GPU_PARTS)]
        covered_part_us = 0
        for machine in ordered:
            if not covers(contract, machine):
                continue
            taken = spells.get(machine.device, [])
            free = _free(machine, taken, within)
            room, mine = _take(room, free, machine.size)
            if mine:
                covered_part_us += machine.size * sum(part.length_us for part in mine)
                spells[machine.device] = sorted([*taken, *(Spell(*part, contract.name) for part in mine)])
            if not any(part.parts for part in room):
                break
        settled.append(_settle(contract, within, covered_part_us, room))
    return Coverage(spells, settled)


def covers(contract: Contract, machine: Machine) -> bool:
    """Return whether a device is one of those that a contract may cover, time and number apart."""
    return (
        machine.size > 0
        and contract.cluster == machine.cluster
        and contract.pool in ("", machine.pool)
        and matches(contract.model, machine.model)
        and (not contract.mig_profile or matches(contract.mig_profile, machine.mig_profile))
        and (not contract.node or matches(contract.node, machine.node))
    )


def _place(machine: Machine) -> tuple[object, ...]:
    return (machine.device_key, machine.node, machine.cluster, machine.pool, machine.model, machine.size)


def _free(machine: Machine, taken: Sequence[Spell], within: Interval) -> list[Interval]:
    """Return when a device exists and no other contract has it."""
    covered = [Interval(spell.start_us, spell.end_us) for spell in taken]
    found: list[Interval] = []
    for life in merge(machine.lives):
        part = Interval(max(life.start_us, within.start_us), min(life.end_us, within.end_us))
        if part.length_us > 0:
            found += gaps(covered, part)
    return found


def _take(room: list[_Room], free: list[Interval], size: int) -> tuple[list[_Room], list[Interval]]:
    """Put a device wherever it is free and fits; return what is left of the room, and where the device is."""
    if not free:
        return room, []
    left: list[_Room] = []
    mine: list[Interval] = []
    for part in room:
        if part.parts < size:
            left.append(part)
            continue
        for start_us, end_us, here in _against(part, free):
            left.append(_Room(start_us, end_us, part.parts - size if here else part.parts))
            if here:
                mine.append(Interval(start_us, end_us))
    return _joined(left), merge(mine)


def _against(part: _Room, free: list[Interval]) -> Iterator[tuple[int, int, bool]]:
    """Cut a part of the room where the device comes or goes, and say where it is there."""
    at_us = part.start_us
    for start_us, end_us in free:
        start_us, end_us = max(start_us, part.start_us), min(end_us, part.end_us)  # noqa: PLW2901 - clipped
        if start_us >= end_us:
            continue
        if at_us < start_us:
            yield at_us, start_us, False
        yield start_us, end_us, True
        at_us = end_us
    if at_us < part.end_us:
        yield at_us, part.end_us, False


def _joined(room: list[_Room]) -> list[_Room]:
    joined: list[_Room] = []
    for part in room:
        if joined and joined[-1].end_us == part.start_us and joined[-1].parts == part.parts:
            joined[-1] = joined[-1]._replace(end_us=part.end_us)
        else:
            joined.append(part)
    return joined


def _settle(contract: Contract, within: Interval, covered_part_us: int, room: list[_Room]) -> Settlement:
    committed_part_us = contract.gpus * GPU_PARTS * within.length_us
    short_part_us = sum(part.parts * (part.end_us - part.start_us) for part in room)
    if covered_part_us + short_part_us != committed_part_us:
        raise ConservationError(
            f'contract "{contract.name}": {covered_part_us} covered and {short_part_us} short of {committed_part_us}',
            hint="this is a fault of the ledger: report it with the price book",
        )
    whole_us = contract.gpus * within.length_us
    committed_quanta = cost_quanta(contract.rate_quanta, whole_us)
    covered_quanta, short_quanta = split_exactly(committed_quanta, [covered_part_us, short_part_us])
    return Settlement(
        contract, within, committed_part_us, covered_part_us, short_part_us,
        committed_quanta, covered_quanta, short_quanta,
    )  # fmt: skip
