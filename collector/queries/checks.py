"""The comparisons that reconciliation is made of, each on the same snapshot of the ledger.

Nothing here reads one stage to explain the same stage: lives, raw usage, the hourly roll-up, charges, price entries and
metered boards are held against each other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from typing import Any, Final, NamedTuple

import msgspec

from collector.ledger.database import Session
from collector.periods.closed import closed_periods, digest_of, period_of
from collector.pricing.stored import StoredPrices, newest_prices, prices_of_version
from collector.queries.figures import money
from gpuledger.accounting.intervals import Interval, cut, gaps
from gpuledger.accounting.money import cost_quanta
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.pricebook import Priced, PriceEntry, applies, device_rate_quanta
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.model import State

EXAMPLES: Final = 10  # of each kind of violation; the rest is counted
SLICE_US: Final = 24 * US_PER_HOUR  # device-hours are compared day by day, so that memory does not grow with the period


class Violation(msgspec.Struct, frozen=True):
    """One thing that does not add up. `code` is countable."""

    # overlap, shares, outside_life, imbalance, roll_up, charges, unrated, pending, overbooked, money, price, energy,
    # closed, invoice
    code: str
    detail: str


class _Life(NamedTuple):
    """A device's part in the period; `units` is None in a pool that nobody gave a size."""

    device_id: int
    pooled: bool
    units: int | None
    spans: list[Interval]

    @property
    def elapsed_us(self) -> int | None:
        return None if self.units is None else self.units * sum(part.length_us for part in self.spans)


class Findings:
    """Violations by code: a few in words, the others counted."""

    def __init__(self) -> None:
        self._found: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, code: str, detail: str) -> None:
        """Keep one finding."""
        self._found[code].append(detail)

    def violations(self) -> list[Violation]:
        """Return what was found, code by code."""
        found: list[Violation] = []
        for code, details in self._found.items():
            found += [Violation(code, detail) for detail in details[:EXAMPLES]]
            if len(details) > EXAMPLES:
                found.append(Violation(code, f"and {len(details) - EXAMPLES} more"))
        return found


class TimeProof(NamedTuple):
    """Device time of the period, and how far it is off."""

    devices: int
    elapsed_us: int
    states_us: dict[int, int]
    imbalance_us: int
    energy_mj: int


class MoneyProof(NamedTuple):
    """Charges of the period, and how far they are off what its capacity cost."""

    charged_quanta: int | None  # None where there was time and none of it has a price
    imbalance_quanta: int
    unpriced_part_us: int


class Checks:
    """The comparisons, each on the same snapshot of the ledger."""

    def __init__(self, session: Session, period: Period, found: Findings) -> None:
        self._session = session
        self._period = period
        self._found = found
        self._devices = {row["device_id"]: row for row in session.execute("reconcile_devices").to_pylist()}
        self._lives = self._read_lives()
        self._books: dict[int, StoredPrices] = {}
        self._rates: dict[tuple[int, int, int], tuple[PriceEntry, int | None]] = {}
        self._newest = newest_prices(session)
        self._closed = closed_periods(session)
        entries = self._newest.book.entries if self._newest else ()
        self._turns = sorted({at_us for entry in entries for at_us in entry.validity if at_us is not None})
        self._answers: dict[tuple[Priced, int], bool] = {}  # whether a price applies, between two turns of the book

    def pending(self, *, read_only: bool) -> set[tuple[str, int]]:
        """Return the hours whose charges cannot be compared because they are about to be replaced."""
        pending = {(row["cluster"], row["hour_us"]) for row in self._rows("reconcile_pending")}
        if pending and read_only:
            self._found.add("pending", f"{len(pending)} hours wait to be rated: run gpuledger rate --apply")
        return pending

    def time(self) -> TimeProof:
        """Hold raw usage and the time that it leaves uncovered against the life of each device."""
        held: defaultdict[int, int] = defaultdict(int)
        states: defaultdict[int, int] = defaultdict(int)
        energy_mj = 0
        for row in self._rows("reconcile_states"):
            held[row["device_id"]] += row["held_us"]
            states[row["state"]] += row["held_us"]
            energy_mj += row["energy_mj"]
        covered = self._covered()
        elapsed_us, imbalance_us = 0, 0
        for device_id in self._lives.keys() | held.keys():
            rest_us, expected_us = self._rest(device_id, held[device_id], covered[device_id])
            states[self._rest_state(device_id)] += rest_us
            elapsed_us += expected_us
            off_us = expected_us - held[device_id] - rest_us
            imbalance_us += abs(off_us)
            if off_us:
                self._found.add("imbalance", f"{self._label(device_id)}: {off_us} us of its life are not accounted for")
        present = {state: amount for state, amount in states.items() if amount}
        return TimeProof(len(self._lives.keys() | held.keys()), elapsed_us, present, imbalance_us, energy_mj)

    def roll_up(self) -> None:
        """Hold the hourly roll-up against raw usage."""
        for row in self._rows("reconcile_rollup"):
            self._differs("roll_up", row, "raw usage and its hourly roll-up differ")

    def charges(self) -> None:
        """Hold the charges against the hourly roll-up."""
        for row in self._rows("reconcile_charged"):
            self._differs("charges", row, "hourly usage and its charges differ")

    def money(self, pending: set[tuple[str, int]]) -> MoneyProof:
        """Hold what each device-hour of capacity costs against its charges."""
        charged, imbalance, priced, unpriced = 0, 0, 0, 0
        for part in cut(*self._period.interval, SLICE_US):
            capacity = self._capacity(part, pending)
            for row in self._rows("reconcile_money", part):
                key = (row["device_id"], row["hour_us"])
                capacity_us = capacity.pop(key, None)
                held_us = row["held_us"] if capacity_us is None else capacity_us
                if row["held_us"] != held_us:
                    code = "overbooked" if row["held_us"] > held_us else "charges"
                    self._found.add(code, f"{self._where(*key)}: charged for {row['held_us']} us of {held_us} us")
                charged += row["cost_quanta"]
                if row["rate_quanta"] is None:
                    unpriced += row["held_us"] * self._devices[row["device_id"]]["parts"]
                    self._check_unpriced(*key)
                    continue
                priced += 1
                expected = cost_quanta(row["rate_quanta"], held_us)
                imbalance += abs(expected - row["cost_quanta"])
                if expected != row["cost_quanta"]:
                    self._found.add("money", f"{self._where(*key)}: off by {money(expected - row['cost_quanta'])}")
                self._check_rate(row)
            for key in sorted(capacity):
                self._found.add("unrated", f"{self._where(*key)}: no charges")
        return MoneyProof(charged if priced or not unpriced else None, imbalance, unpriced)

    def shares(self) -> None:
        """Hold each charge against its share of the cost of its device's hour."""
        for row in self._rows("reconcile_shares"):
            where = self._where(row["device_id"], row["hour_us"])
            if row["uneven_count"]:
                self._found.add("money", f"{where}: {row['uneven_count']} charges are not their share of the hour")
            if row["misjudged_count"]:
                self._found.add("money", f"{where}: {row['misjudged_count']} active costs do not follow from the rate")

    def boards(self) -> None:
        """Hold the slices of a board against the one GPU that they are."""
        for row in self._rows("reconcile_boards"):
            where, gpus = self._where(row["device_id"], row["hour_us"]), int(row["part_us"]) / GPU_PARTS / US_PER_HOUR
            self._found.add("overbooked", f"{where}: its board is charged as {gpus:.3f} GPUs at once")

    def energy(self) -> int:
        """Hold what boards were metered against what the records of their devices say; return how far they are off."""
        off_mj = 0
        for row in self._rows("reconcile_energy"):
            off_mj += abs(row["difference_mj"])
            where = f"batch {row['sequence']} of {row['agent']}, board {row['board']}"
            self._found.add("energy", f"{where}: metered {row['difference_mj']} mJ more than its records say")
        return off_mj

    def closed(self) -> None:
        """Hold bills of closed periods against the digests that they were closed with, and their invoices to them."""
        for period in self._closed:
            if period.from_us >= self._period.end_us or period.to_us <= self._period.start_us:
                continue
            if digest_of(self._session, period.period_id, period.from_us, period.to_us) != period.digest:
                self._found.add("closed", f"the bill of {period.label} is not what it was closed with")
            bounds = {"period_id": period.period_id, "from_us": period.from_us, "to_us": period.to_us}
            for row in self._session.execute("reconcile_invoices", bounds).to_pylist():
                owner = "/".join(filter(None, row.values())) or "the platform"
                self._found.add("invoice", f"{period.label}: the invoice of {owner} is not what its charges sum to")

    def _read_lives(self) -> dict[int, _Life]:
        lives: dict[int, _Life] = {}
        for row in self._rows("reconcile_lives"):
            device_id = row["device_id"]
            life = lives.setdefault(device_id, _Life(device_id, row["kind"] == "pool", row["capacity_units"], []))
            life.spans.append(Interval(row["start_us"], row["end_us"]))
        return lives

    def _covered(self) -> defaultdict[int, list[Interval]]:
        covered: defaultdict[int, list[Interval]] = defaultdict(list)
        for row in self._rows("reconcile_covered"):
            part = Interval(row["start_us"], row["end_us"])
            covered[row["device_id"]].append(part)
            label = self._label(row["device_id"])
            if row["overlap_count"]:
                self._found.add(
                    "overlap", f"{label}: {row['overlap_count']} intervals overlap from {iso(part.start_us)} on"
                )
            if row["uneven_count"]:
                detail = (
                    f"{label}: the shares of {row['uneven_count']} intervals from {iso(part.start_us)} on do not sum"
                )
                self._found.add("shares", detail)
        return covered

    def _rest(self, device_id: int, held_us: int, covered: list[Interval]) -> tuple[int, int]:
        """Return the time that no record covers, and all the time that has to be accounted for."""
        life = self._lives.get(device_id)
        if life is None or life.elapsed_us is None:
            if life is None:
                self._found.add("outside_life", f"{self._label(device_id)}: usage outside of its life")
            return 0, 0 if life is None else held_us
        if life.pooled:
            return max(0, life.elapsed_us - held_us), life.elapsed_us
        return sum(hole.length_us for part in life.spans for hole in gaps(covered, part)), life.elapsed_us

    def _rest_state(self, device_id: int) -> State:
        return State.IDLE if self._devices[device_id]["kind"] == "pool" else State.UNOBSERVED

    def _capacity(self, within: Interval, pending: set[tuple[str, int]]) -> dict[tuple[int, int], int]:
        """Return the capacity of each device-hour in a part of the period that has to have charges."""
        capacity: defaultdict[tuple[int, int], int] = defaultdict(int)
        for device_id, life in self._lives.items():
            if life.units is None:
                continue
            cluster = self._devices[device_id]["cluster"]
            for span in life.spans:
                if span.end_us <= within.start_us or within.end_us <= span.start_us:
                    continue
                part = Interval(max(span.start_us, within.start_us), min(span.end_us, within.end_us))
                for start_us, end_us in cut(*part, US_PER_HOUR):
                    hour_us = start_us // US_PER_HOUR * US_PER_HOUR
                    if (cluster, hour_us) not in pending:
                        capacity[device_id, hour_us] += life.units * (end_us - start_us)
        return capacity

    def _check_unpriced(self, device_id: int, hour_us: int) -> None:
        """Say where a device's open hour has no price, and the newest price book has one for it."""
        if self._newest is None or period_of(self._closed, hour_us):
            return
        asked = self._asked(device_id)
        key = (asked, bisect_right(self._turns, hour_us))
        if key not in self._answers:
            self._answers[key] = self._newest.book.price(asked, hour_us) is not None
        if self._answers[key]:
            where = self._where(device_id, hour_us)
            self._found.add("price", f"{where}: no price, and version {self._newest.version.number} has one")

    def _check_rate(self, row: dict[str, Any]) -> None:
        """Say where a charge's rate does not follow from the price entry that it pins."""
        device_id, hour_us, version, number = (
            row[name] for name in ("device_id", "hour_us", "price_version", "price_entry")
        )
        if row["rates"] != 1 or row["unmatched"] or version is None:
            self._found.add("price", f"{self._where(device_id, hour_us)}: charges of one hour do not have one rate")
            return
        key = (device_id, version, number)
        if key not in self._rates:
            self._rates[key] = self._pinned(device_id, version, number)
        entry, rate_quanta = self._rates[key]
        if rate_quanta != row["rate_quanta"] or not entry.validity.holds_at(hour_us):
            where = self._where(device_id, hour_us)
            self._found.add("price", f"{where}: its rate does not follow from price entry {number + 1}")

    def _pinned(self, device_id: int, version: int, number: int) -> tuple[PriceEntry, int | None]:
        """Return a price entry and the rate of a device under it; None where it does not speak of the device."""
        if version not in self._books:
            self._books[version] = prices_of_version(self._session, version)
        entry = self._books[version].book.entries[number]
        asked = self._asked(device_id)
        speaks = applies(entry, asked) and entry.follows  # its rate is worked out again from the costs it is kept with
        return entry, device_rate_quanta(entry, asked.parts) if speaks else None

    def _asked(self, device_id: int) -> Priced:
        device = self._devices[device_id]
        return Priced(**{name: device[name] for name in Priced._fields})

    def _differs(self, code: str, row: dict[str, Any], what: str) -> None:
        where = self._where(row["device_id"], row["hour_us"])
        self._found.add(code, f"{where}: {what} by {row['held_us']} us and {row['energy_mj']} mJ")

    def _where(self, device_id: int, hour_us: int) -> str:
        return f"{self._label(device_id)} at {iso(hour_us)}"

    def _label(self, device_id: int) -> str:
        return str(self._devices[device_id]["device_label"])

    def _rows(self, name: str, within: Interval | None = None) -> list[dict[str, Any]]:
        start_us, end_us = within or self._period.interval
        params = {"from_us": start_us, "to_us": end_us}
        rows: list[dict[str, Any]] = self._session.execute(name, params).to_pylist()
        return rows
