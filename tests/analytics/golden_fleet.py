"""A small fleet with a planned history, closed by a real collector: what the golden invoices are made of.

`HISTORY` is what happens, in order. To cover another kind of line, add a step where it belongs (or something to a step),
write the files anew with `pytest tests/analytics/test_golden_invoices.py --update-golden`, and read the difference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from collector.app import running
from collector.config import BillingSettings, CollectorSettings, LedgerSettings, ServerSettings
from gpuledger.accounting.periods import parse_instant, parse_period
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.cli.sources import HttpSource
from gpuledger.client import CollectorClient
from gpuledger.clock import VirtualClock
from gpuledger.model import Device, Event, Holder, State, UsageRecord
from gpuledger.tokens import find_token
from gpuledger.zones import find_zone
from tests.collector.batches import device, holder, records
from tests.collector.fleet import usage_frame

ZONE: Final = "Europe/Berlin"
W42, W43, W44, W45 = (
    parse_period(f"2026-W{week}", find_zone(ZONE)) for week in (42, 43, 44, 45)
)  # clocks go back in W43
ALL: Final = "2026-10-12..2026-11-09"
HOUR: Final = US_PER_HOUR
SILENT_AFTER: Final = 60 * HOUR

H100: Final = {"model": "NVIDIA H100 80GB HBM3"}
DEVICES: Final = (
    device(1, **H100),
    device(2, **H100),
    device(3, model="NVIDIA L40S"),
    device(4, model="NVIDIA B300 (loan)"),
    device(10, key="MIG-1", kind="mig", parts=120, mig_profile="1g.10gb", board="GPU-0010", **H100),
    device(10, key="MIG-2", kind="mig", parts=240, mig_profile="2g.20gb", board="GPU-0010", **H100),
    device(10, key="GPU-0010/rest", kind="remainder", parts=GPU_PARTS - 360, board="GPU-0010", **H100),
)
VISION, SPEECH, NOBODY = "pod:uid-1/c", "pod:uid-2/c", "pod:uid-3/c"
HOLDERS: Final = (holder(1, namespace="vision"), holder(2, namespace="speech"), holder(3, namespace="scratch"))

PRICES: Final = """currency = "EUR"
[[price]]
model = "NVIDIA H100 80GB HBM3"
rate = "2.491500007"
[[price]]
model = "NVIDIA L40S"
rate = "0.85"
"""
PRICED_LOAN: Final = f"""{PRICES}[[price]]
model = "NVIDIA B300 (loan)"
rate = "6.10"
from = "2026-10-25T23:00Z"
"""
OWNERS: Final = """[[owner]]
organisation = "acme"
department = "research"
team = "vision"
project = "=captions"
match.namespace = "vision"
[[owner]]
organisation = "Ünïcode & \\"Söhne\\", <b>GmbH</b>"
team = "speech; drop table, 語"
match.namespace = "speech"
"""
LEASED: Final = f"""{PRICED_LOAN}[[contract]]
name = "lease 7"
vendor = "Example Cloud"
cluster = "c1"
model = "NVIDIA L40S"
gpus = 2
rate = "0.60"
from = "2026-11-01T23:00Z"
"""
SHARES: Final = """loan_percent = "25"
[[share]]
organisation = "acme"
department = "research"
team = "vision"
model = "NVIDIA H100*"
gpus = 1
[[share]]
organisation = "Ünïcode & \\"Söhne\\", <b>GmbH</b>"
team = "speech; drop table, 語"
model = "NVIDIA H100*"
gpus = 2
"""
POLICIES: Final = """[[policy]]
fault_credit = { minutes = 60 }
"""
RENAMED: Final = OWNERS.replace('"=captions"', '"captions-2"')


class Site:
    """A collector of its own with its clock, and what people and agents do to it."""

    def __init__(self, url: str, clock: VirtualClock, folder: Path) -> None:
        self.url, self.clock, self._folder = url, clock, folder
        self.source, self._client = HttpSource(url), CollectorClient(url, token=find_token(url))
        self._sequence = 0

    def at(self, instant: str) -> None:
        """Let the time be what `instant` says."""
        self.clock.advance_to(parse_instant(instant))

    def report(
        self,
        usage: Sequence[UsageRecord],
        devices: Sequence[Device] = (),
        holders: Sequence[Holder] = HOLDERS,
        events: Sequence[Event] = (),
    ) -> None:
        """Deliver what an agent saw."""
        named = {record.device for record in usage}
        chosen = devices or [each for each in DEVICES if each.key in named]
        self._client.post_batch(usage_frame(self._sequence, usage, chosen, holders, events=events))
        self._sequence += 1

    def book(self, kind: str, text: str) -> None:
        """Import a book of a kind: prices, owners, ..."""
        path = self._folder / f"{kind}.toml"
        path.write_text(text, encoding="utf-8")
        self.source.import_book(kind, path)

    def close(self, period: str, exception: str = "") -> None:
        """Close a billing period."""
        self.source.close_period(period, by="Ann Example", exception=exception)

    def change(self, path: str, **asked: str) -> None:
        """Dispute, decide or adjust."""
        self.source.change(path, {"by": "Ann Example", "why": "agreed in OPS-7", **asked})

    def verify(self) -> None:
        """Have every closed bill made again."""
        for row in self.source.query("periods", {})["rows"]:
            if row["state"] == "closed":
                found = self.source.query("verification", {"period": f"{row['from']}..{row['to']}"})
                assert found["ok"], found["differences"]

    def files(self) -> dict[str, str]:
        """Return every invoice as answer and page, and what exports say of invoices, by the name of the file."""
        found: dict[str, str] = {}
        for row in self.source.query("invoices", {})["rows"]:
            number, name = str(row["number"]), f"{row['number']:02d}-{row['period']}-{row['kind']}"
            for ending, show in (("json", ("show", "--format", "json")), ("html", ("print", "--format", "html"))):
                path = self._folder / f"{name}.{ending}"
                self._run("invoice", show[0], number, *show[1:], "--output", str(path))
                found[path.name] = path.read_text("utf-8")
        for kind, names in EXPORTED.items():
            self._run("export", kind, "--period", ALL, "--out", str(self._folder / kind), *EXTRA.get(kind, ()))
            found |= {name: (self._folder / kind / name).read_text("utf-8") for name in names}
        return found

    def _run(self, *command: str) -> None:
        assert main([*command, "--url", self.url]) == 0


EXPORTED: Final = {
    "csv": ("invoices.csv", "invoice_lines.csv"),
    "focus": ("focus_1_4_invoice_detail.csv", "focus_1_4_billing_period.csv"),
}
EXTRA: Final = {"focus": ("--allow-unpriced",)}


def hours(key: str, start_us: int, end_us: int, who: str | None, **changes: object) -> list[UsageRecord]:
    """Return one record an hour of a device."""
    return records(key, start_us, end_us, who, step_us=HOUR, **changes)


def idling(key: str, start_us: int, end_us: int, who: str) -> list[UsageRecord]:
    """Return hours in which somebody held a device and did nothing with it."""
    return hours(key, start_us, end_us, who, state=State.HELD_IDLE, reason="memory_held", active_us=0)


def books(site: Site) -> None:
    """Import the first price book, in which nobody priced the cards on loan, and the first mapping."""
    site.at("2026-10-12T08:00Z")
    site.book("prices", PRICES)
    site.book("owners", OWNERS)


def first_week(site: Site) -> None:
    """Show work, waste, slices, an L40S that no rule gives to anybody, and a GPU that falls silent on Wednesday."""
    start, end = W42.interval
    noon = start + 84 * HOUR
    site.at("2026-10-19T00:30Z")
    site.report([
        *hours("GPU-0001", start, noon, VISION),
        *idling("GPU-0001", noon, end, VISION),
        *hours("GPU-0002", start, start + SILENT_AFTER, None),
        *hours("GPU-0003", start, end - HOUR, NOBODY),
        *hours("GPU-0003", end - HOUR, end, None),
        *hours("MIG-1", start, end, SPEECH),
        *hours("MIG-2", start, noon, VISION),
        *hours("MIG-2", noon, end, None),
        *hours("GPU-0010/rest", start, end, None, reason="stranded"),
    ])  # fmt: skip


def close_first(site: Site) -> None:
    """Close it clean."""
    site.at("2026-10-20T09:00Z")
    site.close(W42.label)


def second_week(site: Site) -> None:
    """Show every GPU held, cards on loan without a price among them; clocks go back, so the week has 169 hours."""
    start, end = W43.interval
    site.at("2026-10-26T00:30Z")
    site.report([
        *hours("GPU-0001", start, end, VISION),
        *hours("GPU-0002", start, end, VISION),
        *hours("GPU-0003", start, end, SPEECH),
        *hours("GPU-0004", start + 100 * HOUR, end, SPEECH),
        *hours("MIG-1", start, end, SPEECH),
        *hours("MIG-2", start, end, VISION),
        *hours("GPU-0010/rest", start, end, None, reason="stranded"),
    ])  # fmt: skip


def late_news(site: Site) -> None:
    """Deliver what the silent GPU did: its hours go from the platform to those who held it."""
    start, end = W42.start_us + SILENT_AFTER, W42.end_us
    site.at("2026-10-26T10:00Z")
    site.report([*hours("GPU-0002", start, end - 24 * HOUR, VISION), *idling("GPU-0002", end - 24 * HOUR, end, SPEECH)])


def close_second(site: Site) -> None:
    """Close it in spite of the cards without a price; what the platform gets back is a credit note."""
    site.at("2026-10-27T09:00Z")
    site.close(W43.label, "cards on loan until November, agreed with Ann (PROC-17)")


def third_week(site: Site) -> None:
    """Price the loan and rename a project; neither touches what is closed."""
    start, end = W44.interval
    site.at("2026-11-02T00:30Z")
    site.book("prices", PRICED_LOAN)
    site.book("owners", RENAMED)
    site.report([
        *hours("GPU-0001", start, end, VISION),
        *hours("GPU-0002", start, end, None),
        *hours("GPU-0003", start, end, SPEECH),
        *hours("GPU-0004", start, end, SPEECH),
        *hours("MIG-1", start, end, SPEECH),
        *hours("MIG-2", start, end, VISION),
        *hours("GPU-0010/rest", start, end, None, reason="stranded"),
    ])  # fmt: skip


def close_third(site: Site) -> None:
    """Close it clean."""
    site.at("2026-11-03T09:00Z")
    site.close(W44.label)


def fourth_week(site: Site) -> None:
    """Show a GPU that is lost under its holder, one more H100 than vision's share, and a lease of two L40S of one."""
    start, end = W45.interval
    lost = start + 50 * HOUR
    details = {"reason": "gpu_lost"}
    site.at("2026-11-09T00:30Z")
    site.book("prices", LEASED)
    site.book("shares", SHARES)
    site.book("policies", POLICIES)
    site.report(
        [
            *hours("GPU-0001", start, end, VISION),
            *hours("GPU-0002", start, lost, VISION),
            *hours("GPU-0002", lost, end, None, state=State.UNAVAILABLE, reason="gpu_lost"),
            *hours("GPU-0003", start, end, SPEECH),
            *hours("GPU-0004", start, end, None),
            *hours("MIG-1", start, end, SPEECH),
            *hours("MIG-2", start, end, None),
            *hours("GPU-0010/rest", start, end, None, reason="stranded"),
        ],
        events=[Event(lost, "gpu_lost", "device is not usable", "error", "GPU-0002", details=details)],
    )


def said_about_bills(site: Site) -> None:
    """Dispute the dearest line of the second week, which somebody else upholds, and enter an amount."""
    site.at("2026-11-09T10:00Z")
    bills = [row for row in site.source.query("invoices", {})["rows"] if row["period"] == W43.label]
    number = max(bills, key=lambda row: float(row["cost"]))["number"]
    site.change("/v1/disputes", on=f"{number}-1", why="a wrong label")
    site.at("2026-11-09T11:00Z")
    site.change(
        "/v1/disputes/1/resolution", decision="partly", percent="12.5", by="Bob Example", why="its label was wrong"
    )
    site.change("/v1/adjustments", owner="vision", amount="-120.50", currency="EUR")


def close_fourth(site: Site) -> None:
    """Close it: every kind of line but those of other policies is on a bill now."""
    site.at("2026-11-10T09:00Z")
    site.close(W45.label)


HISTORY: Final[tuple[Callable[[Site], None], ...]] = (
    books,
    first_week,
    close_first,
    second_week,
    late_news,
    close_second,
    third_week,
    close_third,
    fourth_week,
    said_about_bills,
    close_fourth,
)


def golden_files(folder: Path) -> dict[str, str]:
    """Let the whole history happen in a collector; return the files of its invoices by name.

    Raises AssertionError where a bill that is closed cannot be made again from raw.
    """
    clock = VirtualClock(W42.start_us)
    settings = CollectorSettings(
        server=ServerSettings(port=0),
        ledger=LedgerSettings(directory=folder / "ledger"),
        billing=BillingSettings(ZONE, 24),
    )
    with running(settings, clock=clock) as url:
        site = Site(url, clock, folder)
        for step in HISTORY:
            step(site)
        site.verify()
        return site.files()
