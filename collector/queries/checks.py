"""The comparisons that reconciliation is made of, each on the same snapshot of the ledger.

Nothing here reads one stage to explain the same stage: lives, raw usage, the hourly roll-up, charges, price entries and
metered boards are held against each other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
import pyarrow as pa

from collector.ledger.database import Session
from collector.ledger.slices import slices
from collector.periods.closed import closed_periods, digest_of
from collector.pricing.stored import StoredPrices, newest_prices, prices_of_version
from collector.queries.figures import money
from collector.rated_prices import machines_of
from gpuledger.accounting.commitments import cover
from gpuledger.accounting.currencies import smallest_cents
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.pricebook import Priced, PriceEntry, applies, device_rate_quanta
from gpuledger.accounting.units import GPU_PARTS, US_PER_DAY, US_PER_HOUR
from gpuledger.accounting.validity import segments
from gpuledger.model import State

EXAMPLES: Final = 10  # of each kind of violation; the rest is counted

_RANGE = [("from_us", pa.int64()), ("to_us", pa.int64())]
STAGES: Final = {  # what statements of the proof read beside the ledger's tables
    "proof_spans": pa.schema([
        ("device_id", pa.int32()), ("cluster", pa.string()), ("units", pa.int32()), ("pooled", pa.bool_()),
        ("start_us", pa.int64()), ("end_us", pa.int64()),
    ]),
    "proof_waiting": pa.schema([("cluster", pa.string()), ("hour_us", pa.int64())]),
    "proof_asked": pa.schema([("device_id", pa.int32()), ("asked", pa.int32())]),
    "proof_rates": pa.schema([
        ("asked", pa.int32()), ("price_version", pa.int32()), ("price_entry", pa.int32()), ("rate_quanta", pa.int64()),
        *_RANGE,
    ]),
    "proof_priced": pa.schema([("asked", pa.int32()), *_RANGE]),
    "proof_covered": pa.schema([
        ("price_version", pa.int32()), ("contract", pa.string()), ("device_id", pa.int32()), *_RANGE,
    ]),
}  # fmt: skip


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
        self._more: Counter[str] = Counter()

    def add(self, code: str, detail: str) -> None:
        """Keep one finding, or count it where there are enough of its kind."""
        if len(self._found[code]) < EXAMPLES:
            self._found[code].append(detail)
        else:
            self.count(code, 1)

    def count(self, code: str, more: int) -> None:
        """Count findings that nobody put into words."""
        self._more[code] += more

    def violations(self) -> list[Violation]:
        """Return what was found, code by code."""
        found: list[Violation] = []
        for code, details in self._found.items():
            found += [Violation(code, detail) for detail in details]
            if self._more[code]:
                found.append(Violation(code, f"and {self._more[code]} more"))
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
        self._asked = sorted({_priced(device) for device in self._devices.values()})  # what devices are priced as
        self._tables: dict[str, pa.Table] = {name: schema.empty_table() for name, schema in STAGES.items()}
        self._lives = self._read_lives()
        self._stage_devices()
        self._books: dict[int, StoredPrices] = {}
        self._newest = newest_prices(session)
        self._closed = closed_periods(session)

    def pending(self, *, read_only: bool) -> int:
        """Return how many hours wait, whose charges cannot be compared because they are about to be replaced."""
        self._tables["proof_waiting"] = self._session.execute("reconcile_pending", self._bounds)
        count: int = self._tables["proof_waiting"].num_rows
        if count and read_only:
            self._found.add("pending", f"{count} hours wait to be rated: run gpuledger rate --apply")
        return count

    def time(self) -> TimeProof:
        """Hold raw usage and the time that it leaves uncovered against the life of each device."""
        held: defaultdict[int, int] = defaultdict(int)
        states: defaultdict[int, int] = defaultdict(int)
        energy_mj = 0
        for row in self._rows("reconcile_states"):
            held[row["device_id"]] += row["held_us"]
            states[row["state"]] += row["held_us"]
            energy_mj += row["energy_mj"]
        uncovered = self._uncovered()
        elapsed_us, imbalance_us = 0, 0
        for device_id in self._lives.keys() | held.keys():
            rest_us, expected_us = self._rest(device_id, held[device_id], uncovered[device_id])
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
        for row in self._sliced("reconcile_rollup"):
            self._differs("roll_up", row, "raw usage and its hourly roll-up differ")

    def charges(self) -> None:
        """Hold the charges against the hourly roll-up."""
        for row in self._sliced("reconcile_charged"):
            self._differs("charges", row, "hourly usage and its charges differ")

    def days(self) -> None:
        """Hold the sums of days in the period against their charges."""
        summed = self._session.execute("query_summed_days", {**self._bounds, "day_us": US_PER_DAY, "by_hour": False})
        for day_us in summed["day_us"].to_pylist():
            for row in self._session.execute(
                "reconcile_days", {"from_us": day_us, "to_us": day_us + US_PER_DAY}
            ).to_pylist():
                what = f"its charges and their sum differ by {row['held_us']} us and {money(row['cost_quanta'])}"
                self._found.add("days", f"{self._label(row['device_id'])} on the day of {iso(day_us)}: {what}")

    def money(self) -> MoneyProof:
        """Hold what each device-hour of capacity costs against its charges, and their rates against price entries."""
        charged, imbalance, priced, unpriced = 0, 0, 0, 0
        self._stage_prices()
        newest = self._newest.version.number if self._newest else None
        for part in self._slices():
            rows = self._rows("reconcile_money", part, examples=EXAMPLES)
            charged += int(rows[0]["charged_quanta"])
            imbalance += int(rows[0]["imbalance_quanta"])
            unpriced += int(rows[0]["unpriced_part_us"])
            priced += rows[0]["priced_count"]
            for row in rows:
                if row["code"]:
                    where = self._where(row["device_id"], row["hour_us"])
                    self._found.add(row["code"], f"{where}{_money_words(row, newest)}")
            for code, shown, count in _counts(rows):
                self._found.count(code, count - shown)
        return MoneyProof(charged if priced or not unpriced else None, imbalance, unpriced)

    def scopes(self) -> None:
        """Hold charges at the price of an owner or a contract against who owns the time and what is covered."""
        self._stage_covered()
        for row in self._sliced("reconcile_scopes"):
            where = self._where(row["device_id"], row["hour_us"])
            what = f"{row['charge_count']} charges are not what price entry {row['price_entry'] + 1} is for"
            self._found.add("price", f"{where}: {what}")

    def shares(self) -> None:
        """Hold each charge against its share of the cost of its device's hour."""
        for row in self._sliced("reconcile_shares"):
            where = self._where(row["device_id"], row["hour_us"])
            if row["uneven_count"]:
                self._found.add("money", f"{where}: {row['uneven_count']} charges are not their share of the hour")
            if row["misjudged_count"]:
                self._found.add("money", f"{where}: {row['misjudged_count']} active costs do not follow from the rate")

    def boards(self) -> None:
        """Hold the slices of a board against the one GPU that they are."""
        for row in self._sliced("reconcile_boards"):
            where, gpus = self._where(row["device_id"], row["hour_us"]), int(row["part_us"]) / GPU_PARTS / US_PER_HOUR
            self._found.add("overbooked", f"{where}: its board is charged as {gpus:.3f} GPUs at once")

    def energy(self) -> int:
        """Hold what boards were metered against what the records of their devices say; return how far they are off."""
        off_mj = 0
        for row in self._sliced("reconcile_energy", since_us=self._period.start_us):
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
            bounds = {
                "period_id": period.period_id,
                "from_us": period.from_us,
                "to_us": period.to_us,
                "smallest": smallest_cents(period.currency),
            }
            for row in self._session.execute("reconcile_invoices", bounds).to_pylist():
                owner = "/".join(filter(None, row.values())) or "the platform"
                self._found.add("invoice", f"{period.label}: the invoice of {owner} is not what its charges sum to")

    def _read_lives(self) -> dict[int, _Life]:
        lives: dict[int, _Life] = {}
        spans = self._session.execute("reconcile_lives", self._bounds)
        self._tables["proof_spans"] = spans
        for row in spans.to_pylist():
            device_id = row["device_id"]
            life = lives.setdefault(device_id, _Life(device_id, row["pooled"], row["units"], []))
            life.spans.append(Interval(row["start_us"], row["end_us"]))
        return lives

    def _stage_devices(self) -> None:
        numbers = {asked: number for number, asked in enumerate(self._asked)}
        rows = [
            {"device_id": device_id, "asked": numbers[_priced(device)]} for device_id, device in self._devices.items()
        ]
        self._tables["proof_asked"] = pa.Table.from_pylist(rows, schema=STAGES["proof_asked"])

    @property
    def _bounds(self) -> dict[str, int]:
        return {"from_us": self._period.start_us, "to_us": self._period.end_us}

    def _uncovered(self) -> defaultdict[int, int]:
        """Return the time that no record covers, by device."""
        uncovered: defaultdict[int, int] = defaultdict(int)
        for row in self._sliced("reconcile_covered"):
            uncovered[row["device_id"]] += row["uncovered_us"]
            if row["start_us"] is None:
                continue
            label, since = self._label(row["device_id"]), iso(row["start_us"])
            if row["overlap_count"]:
                self._found.add("overlap", f"{label}: {row['overlap_count']} intervals overlap from {since} on")
            if row["uneven_count"]:
                detail = f"{label}: the shares of {row['uneven_count']} intervals from {since} on do not sum"
                self._found.add("shares", detail)
        return uncovered

    def _rest(self, device_id: int, held_us: int, uncovered_us: int) -> tuple[int, int]:
        """Return the time that no record covers, and all the time that has to be accounted for."""
        life = self._lives.get(device_id)
        if life is None or life.elapsed_us is None:
            if life is None:
                self._found.add("outside_life", f"{self._label(device_id)}: usage outside of its life")
            return 0, 0 if life is None else held_us
        if life.pooled:
            return max(0, life.elapsed_us - held_us), life.elapsed_us
        return uncovered_us, life.elapsed_us

    def _rest_state(self, device_id: int) -> State:
        return State.IDLE if self._devices[device_id]["kind"] == "pool" else State.UNOBSERVED

    def _stage_prices(self) -> None:
        """Work out which rates follow from the entries that charges pin, and where what is unpriced has a price now."""
        right: list[dict[str, int | None]] = []
        unpriced: set[int] = set()
        for row in self._rows("reconcile_rates"):
            if row["rate_quanta"] is None:
                unpriced.add(row["asked"])
            elif row["price_version"] is not None:
                entry, rate_quanta = self._pinned(self._asked[row["asked"]], row["price_version"], row["price_entry"])
                if rate_quanta == row["rate_quanta"]:
                    right.append({**row, "from_us": entry.from_us, "to_us": entry.to_us})
        self._tables["proof_rates"] = pa.Table.from_pylist(right, schema=STAGES["proof_rates"])
        newest = self._newest.book if self._newest else None
        known = [
            {"asked": number, "from_us": part.start_us, "to_us": part.end_us}
            for number in sorted(unpriced)
            for part in (segments(self._period.interval, newest.entries) if newest else ())
            if newest and newest.price(self._asked[number], part.start_us) is not None
        ]
        self._tables["proof_priced"] = pa.Table.from_pylist(known, schema=STAGES["proof_priced"])

    def _stage_covered(self) -> None:
        """Work out which devices the contracts of the books that charges pin cover."""
        rows = [
            {"price_version": version, "contract": spell.contract, "device_id": device, "from_us": spell.start_us,
             "to_us": spell.end_us}
            for version, prices in sorted(self._books.items())
            if prices.book.contracts
            for device, spells in cover(
                prices.book.contracts, machines_of(self._session, self._period.interval), self._period.interval
            ).spells.items()
            for spell in spells
        ]  # fmt: skip
        self._tables["proof_covered"] = pa.Table.from_pylist(rows, schema=STAGES["proof_covered"])

    def _pinned(self, asked: Priced, version: int, number: int) -> tuple[PriceEntry, int | None]:
        """Return a price entry and the rate of devices under it; None where it does not speak of them."""
        if version not in self._books:
            self._books[version] = prices_of_version(self._session, version)
        entry = self._books[version].book.entries[number]
        speaks = applies(entry, asked) and entry.follows  # its rate is worked out again from the costs it is kept with
        return entry, device_rate_quanta(entry, asked.parts) if speaks else None

    def _differs(self, code: str, row: dict[str, Any], what: str) -> None:
        where = self._where(row["device_id"], row["hour_us"])
        self._found.add(code, f"{where}: {what} by {row['held_us']} us and {row['energy_mj']} mJ")

    def _where(self, device_id: int, hour_us: int) -> str:
        return f"{self._label(device_id)} at {iso(hour_us)}"

    def _label(self, device_id: int) -> str:
        return str(self._devices[device_id]["device_label"])

    def _slices(self) -> Iterator[Interval]:
        return slices(self._session, *self._period.interval)

    def _sliced(self, name: str, **params: int) -> Iterator[dict[str, Any]]:
        for part in self._slices():
            yield from self._rows(name, part, **params)

    def _rows(self, name: str, within: Interval | None = None, **params: int) -> list[dict[str, Any]]:
        start_us, end_us = within or self._period.interval
        bounds = {"from_us": start_us, "to_us": end_us, **params}
        rows: list[dict[str, Any]] = self._session.execute(name, bounds, self._tables).to_pylist()
        return rows


def _priced(device: dict[str, Any]) -> Priced:
    return Priced(**{name: device[name] for name in Priced._fields})


def _money_words(row: dict[str, Any], newest: int | None) -> str:
    """Return what is wrong with a device-hour, as reconcile_money found it; `newest`: the version of prices."""
    match row["code"], row["cause"]:
        case "unrated", _:
            return ": no charges"
        case "money", _:
            return f": off by {money(int(row['off_quanta']))}"
        case "price", "unmatched":
            return ": charges have a cost without a price, or a price without a cost"
        case "price", "rate":
            return f": its rate does not follow from price entry {row['price_entry'] + 1}"
        case "price", _:
            return f": no price, and version {newest} has one"
        case _, cause:
            between = " between two turns of its price" if cause == "segment" else ""
            return f": charged for {row['held_us']} us of {row['due_us']} us{between}"


def _counts(rows: list[dict[str, Any]]) -> Iterator[tuple[str, int, int]]:
    """Yield each code, how many of its findings are among `rows`, and how many there are."""
    shown = Counter(row["code"] for row in rows if row["code"])
    counts = {row["code"]: row["code_count"] for row in rows if row["code"]}
    for code, count in counts.items():
        yield code, shown[code], count
