"""Facts as stored, with names in the place of keys: devices, events, usage, charges and what is in quarantine."""

from __future__ import annotations

import msgspec

from collector.ledger.store import Ledger
from collector.queries.charge_id import charge_id_of
from collector.queries.figures import Span, cost_of, hours, instant, integers, money, span
from collector.queries.scope import scope_params
from collector.queries.standing import standing_in
from gpuledger.accounting.periods import Period, iso
from gpuledger.model import Confidence, State
from gpuledger.within import EVERYTHING, Within

DEFAULT_LIMIT = 1000


class DeviceRow(msgspec.Struct, frozen=True):
    """One device. `until` is None while it can be held."""

    key: str
    cluster: str
    node: str
    kind: str
    model: str
    parts: int
    units: int | None
    board: str
    mig_profile: str
    memory_bytes: int | None
    pci_bus_id: str
    pool: str
    first_seen: str | None
    until: str | None


class EventRow(msgspec.Struct, frozen=True):
    """Something that happened to a device, a holder or an agent."""

    at: str
    cluster: str
    node: str
    kind: str
    severity: str
    device: str
    holder: str
    message: str
    details: dict[str, str]


class UsageRow(msgspec.Struct, frozen=True):
    """One usage record, and how it was found."""

    cluster: str
    node: str
    device: str
    holder: str | None
    start: str
    end: str
    state: str
    reason: str
    held_us: int
    active_us: int | None
    energy_mj: int | None
    memory_mean_bytes: int | None
    memory_max_bytes: int | None
    holder_method: str
    activity_method: str
    energy_method: str
    split_rule: str
    confidence: str


class ChargeRow(msgspec.Struct, frozen=True):
    """One charge: a device's hour that one holder (or none) spent in one state, and the versions that priced it."""

    charge: str  # its name, which gpuledger explain takes
    hour: str
    offset_us: int  # how far into the hour its segment begins: more than 0 only where a price turned in it
    cluster: str
    node: str
    device: str
    model: str
    mig_profile: str
    parts: int
    holder: str | None
    user_name: str | None
    workload_system: str | None
    workload: str | None  # what the holder runs, by the best name there is
    state: str
    reason: str
    organisation: str | None
    department: str | None
    team: str | None
    project: str | None
    held_us: int
    active_us: int
    active_unknown_us: int
    energy_mj: int
    energy_unknown_us: int
    price_version: int | None
    price_entry: int | None
    owner_version: int | None
    rate: str | None
    cost: str | None
    active_cost: str | None


class QuarantineRow(msgspec.Struct, frozen=True):
    """A frame that could not be taken, and why."""

    received: str
    code: str
    detail: str
    agent: str
    digest: str
    size_bytes: int


class Devices(msgspec.Struct, frozen=True):
    """All devices that the ledger has seen."""

    rows: list[DeviceRow]


class Events(msgspec.Struct, frozen=True):
    """Events, the newest first. `more` says that older ones were left out."""

    rows: list[EventRow]
    more: bool


class Usage(msgspec.Struct, frozen=True):
    """Usage records in the order of time. `more` says that later ones were left out."""

    period: Span
    rows: list[UsageRow]
    more: bool


class Charges(msgspec.Struct, frozen=True):
    """Charges in the order of time. `more` says that later ones were left out.

    `count`, `gpu_hours` and `cost` are of all that fit the question, whatever rows were asked for.
    """

    currency: str | None
    period: Span
    within: str
    count: int
    gpu_hours: float
    cost: str | None
    rows: list[ChargeRow]
    more: bool


class Quarantined(msgspec.Struct, frozen=True):
    """Refused frames, the newest first. `more` says that older ones were left out."""

    rows: list[QuarantineRow]
    more: bool


def devices(ledger: Ledger) -> Devices:
    """Return all devices by cluster, node and key."""
    rows = ledger.execute("query_devices").to_pylist()
    for row in rows:
        row["key"] = row.pop("device_key")
        row["first_seen"], row["until"] = instant(row.pop("from_us")), instant(row.pop("to_us"))
    return Devices([DeviceRow(**row) for row in rows])


def events(ledger: Ledger, period: Period | None = None, *, limit: int = DEFAULT_LIMIT) -> Events:
    """Return what happened in `period`, or ever."""
    from_us, to_us = (period.start_us, period.end_us) if period else (0, 2**62)
    params = {"from_us": from_us, "to_us": to_us, "max_rows": limit + 1}
    rows = ledger.execute("query_events", params).to_pylist()
    for row in rows:
        row["at"] = iso(row.pop("at_us"))
        row["details"] = msgspec.json.decode(row["details"], type=dict[str, str])
    return Events([EventRow(**row) for row in rows[:limit]], more=len(rows) > limit)


def usage(ledger: Ledger, period: Period, *, device: str = "", limit: int = DEFAULT_LIMIT) -> Usage:
    """Return the usage records of one device, or of all, that start in `period`."""
    params = {"from_us": period.start_us, "to_us": period.end_us, "device": device, "max_rows": limit + 1}
    rows = ledger.execute("query_usage", params).to_pylist()
    for row in rows:
        row["start"], row["end"] = iso(row.pop("start_us")), iso(row.pop("end_us"))
        row["state"] = State(row["state"]).label
        row["confidence"] = Confidence(row["confidence"]).name.lower()
    return Usage(span(period), [UsageRow(**row) for row in rows[:limit]], more=len(rows) > limit)


def charges(
    ledger: Ledger,
    period: Period,
    *,
    device: str = "",
    within: Within = EVERYTHING,
    limit: int = DEFAULT_LIMIT,
    offset: int = 0,
) -> Charges:
    """Return the charges of one device, or of all, in a part of the ledger, whose hour starts in `period`."""
    params = {"from_us": period.start_us, "to_us": period.end_us, "device": device, **scope_params(within)}
    with ledger.snapshot() as session:
        now = standing_in(session, period)
        [found] = session.execute("count_charges", params).to_pylist()
        rows = session.execute("query_charges", {**params, "max_rows": limit + 1, "skipped_rows": offset}).to_pylist()
    total = integers(found)
    for row in rows:
        row["charge"] = str(charge_id_of(row))
        row["hour"] = iso(row.pop("hour_us"))
        row["state"] = State(row["state"]).label
        for name in ("rate", "cost", "active_cost"):
            row[name] = money(row.pop(f"{name}_quanta"))
    return Charges(
        currency=now.currency,
        period=span(period),
        within=str(within),
        count=total["charge_count"],
        gpu_hours=hours(total["part_us"]),
        cost=money(cost_of(total["part_us"], total["unpriced_part_us"], total["cost_quanta"])),
        rows=[ChargeRow(**row) for row in rows[:limit]],
        more=len(rows) > limit,
    )


def quarantine(ledger: Ledger, *, limit: int = DEFAULT_LIMIT) -> Quarantined:
    """Return which frames were refused and kept."""
    rows = [integers(row) for row in ledger.execute("query_quarantine", {"max_rows": limit + 1}).to_pylist()]
    for row in rows:
        row["received"], row["digest"] = iso(row.pop("received_us")), row["digest"].hex()
    return Quarantined([QuarantineRow(**row) for row in rows[:limit]], more=len(rows) > limit)
