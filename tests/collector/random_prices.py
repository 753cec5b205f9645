"""Price books at random: entries of owners and contracts that begin and end at any second, and what they charge."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import strategies as st

from gpuledger.accounting.commitments import Machine, Spell, cover
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.ownership import Owner
from gpuledger.accounting.periods import iso
from gpuledger.accounting.pricebook import PriceBook, Priced, applies
from gpuledger.accounting.rating import UsageHour, complete, rate_device_hour
from gpuledger.accounting.turns import Use, cut_at, cut_uses
from gpuledger.accounting.units import US_PER_HOUR, US_PER_SECOND
from gpuledger.model import Device, UsageRecord
from tests.collector.batches import START_US
from tests.collector.random_fleets import HOLDERS

HOUR = US_PER_HOUR
OWNERS = '[[owner]]\norganisation = "acme"\nteam = "acct0"\nmatch.slurm_account = "acct0"\n'
OWNER_OF = {holder.key: Owner("acme", team="acct0") for holder in HOLDERS if holder.slurm_account == "acct0"}
_instants = st.integers(1, 3 * 3600 - 1).map(lambda second: START_US + second * US_PER_SECOND)
_SCOPES = (
    'model = "NVIDIA A100*"',
    'model = "NVIDIA A100*"\nmig_profile = "1g.5gb"',
    'model = "*"\nteam = "acct0"',
    'model = "NVIDIA*"\ncontract = "lease-a"',
    'model = "*"\ncontract = "lease-b"',
    'model = "NVIDIA*"\ncontract = "lease-a"\norganisation = "acme"',
)


@st.composite
def books(draw: st.DrawFn) -> str:
    """Return a price file: some scopes have one rate and then another, with a gap between or none."""
    lines = ['currency = "EUR"']
    for scope in draw(st.lists(st.sampled_from(_SCOPES), min_size=1, unique=True)):
        turn, after = sorted(draw(st.tuples(_instants, _instants)))
        rates = [draw(st.decimals("0", "99", places=9)) for _ in range(2)]
        lines.append(f'[[price]]\n{scope}\nrate = "{rates[0]:.9f}"\nto = {iso(turn)}')
        lines.append(f'[[price]]\n{scope}\nrate = "{rates[1]:.9f}"\nfrom = {iso(draw(st.sampled_from([turn, after])))}')
    for name, pattern in (("lease-a", "NVIDIA*"), ("lease-b", "*")):
        start, end = sorted(draw(st.tuples(_instants, _instants)))
        lines.append(
            f'[[contract]]\nname = "{name}"\ncluster = "c1"\ngpus = {draw(st.integers(1, 3))}\nmodel = "{pattern}"\n'
            f'rate = "1"\nfrom = {iso(start)}\nto = {iso(end + US_PER_SECOND)}'
        )
    return "\n".join(lines)


def expected(
    fleet: list[tuple[Device, list[UsageRecord]]], book: PriceBook, known_until_us: int
) -> set[tuple[Any, ...]]:
    """Return the charges of a fleet by the pure reference, each with how far into its hour its segment begins."""
    lives = {device.key: _life(device, usage, known_until_us) for device, usage in fleet if usage}
    spells = _spells([device for device, usage in fleet if usage], lives, book)
    found: set[tuple[Any, ...]] = set()
    for device, usage in fleet:
        if not usage:
            continue
        life = lives[device.key]
        turns = _turns(device, book, spells[device.key], life)
        for hour_us in range(life.start_us // HOUR * HOUR, life.end_us, HOUR):
            of_hour = [r for r in usage if r.start_us // HOUR * HOUR == hour_us]
            for segment in cut_at(Interval(hour_us, hour_us + HOUR), turns):
                rows = _completed(device, of_hour, turns, segment, life)
                for charge in _priced(device, rows, book, spells[device.key], segment.start_us):
                    found.add((hour_us, segment.start_us - hour_us, device.key, *charge))
    return found


def _life(device: Device, usage: list[UsageRecord], known_until_us: int) -> Interval:
    until_us = max(r.end_us for r in usage) if device.kind == "pool" else known_until_us
    return Interval(min(r.start_us for r in usage), until_us)


def _asked(device: Device) -> Priced:
    return Priced(device.model, device.parts, device.mig_profile, device.pool, "c1")


def _spells(devices: list[Device], lives: dict[str, Interval], book: PriceBook) -> dict[str, list[Spell]]:
    machines = [
        Machine(
            each.key, each.key, "node-a", "c1", each.pool, each.model, each.mig_profile,
            each.parts * each.units, (lives[each.key],),
        )
        for each in devices
        if each.units is not None
    ]  # fmt: skip
    covered = cover(book.contracts, machines, Interval(START_US, START_US + 3 * HOUR)).spells
    return {
        each.key: [
            spell
            for spell in covered.get(each.key, [])
            if any(entry.contract == spell.contract and applies(entry, _asked(each)) for entry in book.entries)
        ]
        for each in devices
    }


def _contract_at(spells: list[Spell], at_us: int) -> str:
    return next((spell.contract for spell in spells if spell.start_us <= at_us < spell.end_us), "")


def _turns(device: Device, book: PriceBook, spells: list[Spell], life: Interval) -> list[int]:
    """Return where prices of a device turn: also where another entry wins all the time."""
    turns = [spell.start_us for spell in spells]
    turns += [spell.end_us for spell in spells if spell.end_us != life.end_us]
    for entry in book.entries:
        for at in entry.validity:
            if at is not None and applies(entry, _asked(device)):
                near = {_contract_at(spells, at - 1), _contract_at(spells, at)}
                turns += [at] if entry.contract in {"", *near} else []
    return turns


def _completed(
    device: Device, usage: list[UsageRecord], turns: list[int], segment: Interval, life: Interval
) -> list[UsageHour]:
    intervals: dict[Interval, list[UsageRecord]] = defaultdict(list)
    for r in usage:
        intervals[Interval(r.start_us, r.end_us)].append(r)
    rows = []
    for interval, of_interval in intervals.items():
        ordered = sorted(of_interval, key=lambda r: (r.holder or "", r.state, r.reason, r.held_us))
        pieces = cut_at(interval, turns)
        uses = cut_uses([Use(r.held_us, r.active_us, r.energy_mj) for r in ordered], pieces)
        for piece, parts in zip(pieces, uses, strict=True):
            if not segment.start_us <= piece.start_us < segment.end_us:
                continue
            for r, (held_us, active_us, _) in zip(ordered, parts, strict=True):
                unknown_us = held_us if active_us is None else 0
                rows.append(UsageHour(r.holder, r.state, r.reason, held_us, active_us or 0, unknown_us))
    alive_us = max(0, min(life.end_us, segment.end_us) - max(life.start_us, segment.start_us))
    capacity_us = None if device.units is None else alive_us * device.units
    return complete(rows, capacity_us=capacity_us, pool=device.kind == "pool")


def _priced(
    device: Device, rows: list[UsageHour], book: PriceBook, spells: list[Spell], at_us: int
) -> list[tuple[Any, ...]]:
    by_price: dict[tuple[int, int] | None, list[UsageHour]] = defaultdict(list)
    for row in rows:
        price = book.price(_asked(device), at_us, OWNER_OF.get(row.holder or ""), _contract_at(spells, at_us))
        by_price[(price.entry, price.rate_quanta) if price else None].append(row)
    return [
        (*charge.usage, price[0] if price else None, charge.cost_quanta, charge.active_cost_quanta)
        for price, same in by_price.items()
        for charge in rate_device_hour(same, price[1] if price else None)
    ]
