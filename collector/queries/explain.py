"""Why did I pay this? One charge down to its usage records, price entry, owner rule, batches and corrections."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closed import ClosedPeriod, closed_periods, period_of
from collector.pricing.attributes import holder_attributes
from collector.pricing.stored import owners_of_version, prices_of_version
from collector.queries.charge_id import ChargeId, charge_id_of
from collector.queries.figures import money
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.periods import iso
from gpuledger.accounting.pricebook import PriceEntry
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import ConfigError
from gpuledger.model import Confidence

_ASKED: Final = frozenset({
    "cluster", "pool", "kind", "namespace", "pod", "slurm_account", "slurm_partition", "user_name", "labels",
    "workload_system", "workload_name", "team_claim",
})  # fmt: skip  # what owner rules look at


class PriceProof(msgspec.Struct, frozen=True):
    """The price entry that a charge pins: of which version of the book, from which file, and what it says."""

    version: int
    currency: str
    source: str
    imported_at: str
    digest: str
    entry: int
    applies_to: str
    rate: str | None  # of the entry, for a whole GPU or an instance of its profile
    list_rate: str | None  # the same before the discount
    built: list[str]  # what the rate follows from, in words
    device_rate: str | None


class OwnerProof(msgspec.Struct, frozen=True):
    """The rule that says who pays: of which version of the mapping, from which file, and why it matches."""

    version: int
    source: str
    imported_at: str
    digest: str
    because: str


class EvidenceRow(msgspec.Struct, frozen=True):
    """A usage record behind the charge, how it was found, and the batch that brought it."""

    start: str
    end: str
    held_us: int
    active_us: int | None
    energy_mj: int | None
    holder_method: str
    activity_method: str
    energy_method: str
    split_rule: str
    confidence: str
    agent: str
    boot: str
    sequence: int
    received_at: str
    batch_digest: str


class CorrectionRow(msgspec.Struct, frozen=True):
    """What a later bill corrected."""

    period: str
    closed_at: str
    held_us: int
    cost: str | None


class DisputeNote(msgspec.Struct, frozen=True):
    """A dispute that is about the charge, and what became of it."""

    dispute: int
    state: str  # open, withdrawn, upheld, partly or rejected
    opened_by: str
    why: str
    decided_by: str


class AdjustmentNote(msgspec.Struct, frozen=True):
    """A line on a closed bill of the same owner that is about the charge's time among other."""

    period: str
    kind: str
    because: str
    reference: str
    cost: str | None  # of the whole line


class HourShare(msgspec.Struct, frozen=True):
    """One charge of the device's hour beside the one that is explained: together they are all of it."""

    charge: str
    held_us: int
    cost: str | None


class Explanation(msgspec.Struct, frozen=True):
    """A charge explained. `rows` are its usage records; `steps` say in words how its cost follows from them."""

    charge: str
    currency: str | None
    cost: str | None
    held_us: int
    period: str | None  # the closed period that it is final in; None: it is provisional
    period_digest: str
    team: str | None
    steps: list[str]
    price: PriceProof | None
    owner: OwnerProof | None
    hour: list[HourShare]
    corrections: list[CorrectionRow]
    disputes: list[DisputeNote]
    adjustments: list[AdjustmentNote]
    rows: list[EvidenceRow]


def explain(ledger: Ledger, *, charge: ChargeId) -> Explanation:
    """Return why a charge is what it is. Raises ConfigError where there is no such charge."""
    with ledger.snapshot() as session:
        hour = session.execute("explain_charges", _place(charge)).to_pylist()
        mine = [row for row in hour if charge_id_of(row) == charge]
        closed = period_of(closed_periods(session), charge.hour_us)
        keys = {**_place(charge), "holder_key": charge.holder, "reason_text": charge.reason, "state": int(charge.state)}
        offset = {"offset_us": charge.offset_us}
        corrections = [_correction(row) for row in session.execute("explain_corrections", keys | offset).to_pylist()]
        if not mine and not corrections:
            raise ConfigError(f"there is no charge {charge}", hint="is its hour rated, and its device spelled right?")
        price, owners = (_price(session, mine[0]) if mine else None), [_owner(session, row) for row in mine]
        segment = _segment(charge, hour)
        bounds = {"begin_us": segment.start_us, "until_us": segment.end_us}
        usage = session.execute("explain_usage", keys | bounds).to_pylist()
        disputed = [_dispute(row) for row in session.execute("explain_disputes", keys).to_pylist()]
        adjusted = _adjustments(session, keys, mine)
        books = session.execute("price_newest").to_pylist()
    cost = None if mine and mine[0]["cost_quanta"] is None else sum(row["cost_quanta"] for row in mine)
    return Explanation(
        charge=str(charge),
        currency=_currency(price, closed, books),
        cost=money(cost),
        held_us=sum(row["held_us"] for row in mine),
        period=closed.label if closed else None,
        period_digest=closed.digest.decode() if closed else "",
        team=" and ".join(sorted({row["team"] for row in mine if row["team"]})) or None,
        steps=[
            *_which_segment(charge, segment, usage),
            *_who_had_what(charge, hour, mine),
            *_who_pays(mine, owners),
            *_what_it_costs(hour, mine, price),
            *_how_final(closed, usage, billed=bool(mine)),
        ],
        price=price,
        owner=next(filter(None, owners), None),
        hour=[HourShare(str(charge_id_of(row)), row["held_us"], money(row["cost_quanta"])) for row in hour],
        corrections=corrections,
        disputes=disputed,
        adjustments=adjusted,
        rows=[_evidence(row) for row in usage],
    )


def _place(charge: ChargeId) -> dict[str, Any]:
    return {
        "hour_us": charge.hour_us,
        "cluster": charge.cluster,
        "node": charge.node,
        "device": charge.device,
    }


def _segment(charge: ChargeId, hour: list[dict[str, Any]]) -> Interval:
    """Return the part of the hour that the charge is in: all of it, unless a price turned there."""
    later = [row["offset_us"] for row in hour if row["offset_us"] > charge.offset_us]
    return Interval(charge.hour_us + charge.offset_us, charge.hour_us + min(later, default=US_PER_HOUR))


def _price(session: Session, row: dict[str, Any]) -> PriceProof | None:
    if row["price_entry"] is None:
        return None
    stored = prices_of_version(session, row["price_version"])
    entry: PriceEntry = stored.book.entries[row["price_entry"]]
    return PriceProof(
        version=stored.version.number,
        currency=stored.book.currency,
        source=stored.version.source,
        imported_at=iso(stored.version.imported_us),
        digest=stored.version.digest.hex(),
        entry=row["price_entry"] + 1,
        applies_to=entry.describe(),
        rate=money(entry.rate_quanta),
        list_rate=money(entry.list_quanta),
        built=entry.terms.explain() if entry.terms else [],
        device_rate=money(row["rate_quanta"]),
    )


def _currency(price: PriceProof | None, closed: ClosedPeriod | None, books: list[dict[str, Any]]) -> str | None:
    """Return the currency of the book that the charge pins; without one that of its bill, else of the newest book."""
    if price:
        return price.currency
    newest: str | None = books[0]["currency"] if books else None
    return closed.currency if closed else newest


def _owner(session: Session, row: dict[str, Any]) -> OwnerProof | None:
    if row["owner_version"] is None or row["holder_id"] is None:
        return None
    stored = owners_of_version(session, row["owner_version"])
    attributes = holder_attributes({name: value for name, value in row.items() if name in _ASKED})
    found = stored.rules.resolve(attributes, row["hour_us"])
    return OwnerProof(
        version=stored.version.number,
        source=stored.version.source,
        imported_at=iso(stored.version.imported_us),
        digest=stored.version.digest.hex(),
        because=found.explain() if found else "no rule matches: unattributed",
    )


def _evidence(row: dict[str, Any]) -> EvidenceRow:
    return EvidenceRow(
        start=iso(row["start_us"]),
        end=iso(row["end_us"]),
        held_us=row["held_us"],
        active_us=row["active_us"],
        energy_mj=row["energy_mj"],
        holder_method=row["holder_method"],
        activity_method=row["activity_method"],
        energy_method=row["energy_method"],
        split_rule=row["split_rule"],
        confidence=Confidence(row["confidence"]).name.lower(),
        agent=row["agent"],
        boot=row["boot"],
        sequence=row["sequence"],
        received_at=iso(row["received_us"]),
        batch_digest=row["digest"].hex(),
    )


def _correction(row: dict[str, Any]) -> CorrectionRow:
    return CorrectionRow(row["label"], iso(row["closed_us"]), row["held_us"], money(row["cost_quanta"]))


def _which_segment(charge: ChargeId, segment: Interval, usage: list[dict[str, Any]]) -> Iterator[str]:
    if segment.length_us == US_PER_HOUR:
        return
    across = sum(row["start_us"] < segment.start_us or row["end_us"] > segment.end_us for row in usage)
    part = f"; {across} of its records lie across that, and the part inside counts" if across else ""
    yield (
        f"a price of {charge.device} turned in that hour, which is cut there: this is from {iso(segment.start_us)}"
        f" until {iso(segment.end_us)}{part}"
    )


def _dispute(row: dict[str, Any]) -> DisputeNote:
    state = row["decision"] or row["ended"]
    return DisputeNote(row["dispute_id"], state, row["opened_by"], row["why"], row["ended_by"])


def _adjustments(session: Session, keys: dict[str, Any], mine: list[dict[str, Any]]) -> list[AdjustmentNote]:
    owners = {tuple(row[name] or "" for name in ("organisation", "department", "team")) for row in mine}
    place = {name: value for name, value in keys.items() if name not in ("holder_key", "reason_text")}
    return [
        AdjustmentNote(row["label"], row["kind"], row["because"], row["reference"], money(row["cost_quanta"]))
        for organisation, department, team in sorted(owners)
        for row in session.execute(
            "explain_adjustments", {**place, "organisation": organisation, "department": department, "team": team}
        ).to_pylist()
    ]


def _who_had_what(charge: ChargeId, hour: list[dict[str, Any]], mine: list[dict[str, Any]]) -> Iterator[str]:
    if mine:
        held_us = sum(row["held_us"] for row in mine)
        all_us = sum(row["held_us"] for row in hour if row["offset_us"] == charge.offset_us)
        who, minutes = charge.holder or "nobody", f"{held_us / 6e7:,.3f} of {all_us / 6e7:,.3f} minutes"
        yield f"{who} had {charge.device} {charge.state.label} for {minutes}"


def _who_pays(mine: list[dict[str, Any]], owners: list[OwnerProof | None]) -> Iterator[str]:
    """Say by which rule; a holder whose labels changed within the hour may have several owners, each with its part."""
    held: dict[tuple[str, str], int] = {}
    for row, owner in zip(mine, owners, strict=True):
        if owner:
            by = f"{owner.because} (version {owner.version} of the owner mapping, {owner.source})"
            key = (row["team"] or "nobody", by)
            held[key] = held.get(key, 0) + row["held_us"]
    for (team, by), held_us in held.items():
        part = f" for {held_us / 6e7:,.3f} minutes" if len(held) > 1 else ""
        yield f"{team} pays{part} by {by}"


def _what_it_costs(hour: list[dict[str, Any]], mine: list[dict[str, Any]], price: PriceProof | None) -> Iterator[str]:
    if not mine:
        return
    if price is None:
        yield "no price entry applied to the device in that hour: the time is unpriced, not free"
        return
    parts = mine[0]["parts"]
    share = "" if parts == GPU_PARTS else f", of which the device is {parts}/{GPU_PARTS}"
    yield (
        f"price entry {price.entry} ({price.applies_to}) of version {price.version} ({price.source}) says {price.rate}"
        f" an hour{share}: {price.device_rate}"
    )
    if price.built:
        yield f"that rate follows from {'; '.join(price.built)}"
    at_one_price = [row for row in hour if _price_key(row) == _price_key(mine[0])]
    whole = cost_quanta(mine[0]["rate_quanta"], sum(row["held_us"] for row in at_one_price))
    share_quanta = sum(row["cost_quanta"] for row in mine)
    what = "the device's hour" if len(at_one_price) == len(hour) else "what was at that price of the device's hour"
    yield f"{what} cost {money(whole)}, rounded once; this charge's share by time is {money(share_quanta)}"


def _price_key(row: dict[str, Any]) -> tuple[int, int | None]:
    return row["offset_us"], row["price_entry"]


def _how_final(closed: ClosedPeriod | None, usage: list[dict[str, Any]], *, billed: bool) -> Iterator[str]:
    if closed is None:
        yield "provisional: its period is open"
        return
    when = f"{closed.label} was closed on {iso(closed.closed_us)} by {closed.closed_by}"
    yield f"final: {when}" if billed else f"not on its bill: {when} without it; it came by correction"
    late = sum(row["received_us"] > closed.closed_us for row in usage)
    if late:
        yield f"{late} of its {len(usage)} records came after that: what they change is a correction on a later bill"
