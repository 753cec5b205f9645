"""Ledgers whose bills are exported in tests, and the export itself through the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from collector.ledger.database import Session
from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from gpuledger.accounting.adjustments import COMMITMENT, DISPUTE, MANUAL, MOVES, Adjustment
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.main import main
from gpuledger.model import State
from tests.collector.batches import START_US, device, frame, holder, records
from tests.collector.fleet import open_ledger, owners, prices, usage_frame

HOUR = US_PER_HOUR
BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.491500007"\ncarbon_g_per_kwh = "118"\n'
OWNERS = (
    '[[owner]]\norganisation = "acme"\ndepartment = "research"\nteam = "vision"\nproject = "=captions"\n'
    'match.namespace = "team-1"\n[[owner]]\nteam = "speech"\nmatch.namespace = "team-2"\n'
)


def hours(first: int, last: int) -> Period:
    """Return a period of whole hours of the test's time."""
    start_us, end_us = START_US + first * HOUR, START_US + last * HOUR
    return Period(start_us, end_us, f"{iso(start_us)}..{iso(end_us)}")


def fill(ledger: Ledger) -> None:
    """Write six hours of two teams on three GPUs: shared, idle, unobserved, held idle, one half of MIG."""
    at = START_US
    third = HOUR // 3
    usage = [
        *records("GPU-0001", at, at + third, "pod:uid-1/c"),
        *records("GPU-0001", at + third, at + 2 * third, "pod:uid-1/c", state=State.HELD_IDLE, reason="starved", active_us=0),
        *records("GPU-0001", at + 2 * third, at + HOUR, "pod:uid-2/c"),
        *records("GPU-0001", at + HOUR, at + 6 * HOUR, "pod:uid-3/c"),
        *records("GPU-0002", at, at + HOUR),
        *records("GPU-0002", at + 2 * HOUR, at + 6 * HOUR),
        *records("GPU-0003", at, at + 6 * HOUR, "pod:uid-2/c"),
    ]  # fmt: skip
    devices = [device(1), device(2), device(3, kind="mig", parts=120, mig_profile="1g.10gb", board="GPU-9")]
    holders = [holder(number, pod="-train") for number in (1, 2, 3)]
    assert ledger.ingest([usage_frame(0, usage, devices, holders)])[0].taken
    prices(ledger, BOOK)
    owners(ledger, OWNERS)


def close(ledger: Ledger, period: Period) -> None:
    """Close a period."""
    close_period(ledger, period, closed_by="ann")


def late(ledger: Ledger) -> None:
    """Deliver a part of the hour that was missing on the second GPU, which was closed as unobserved."""
    usage = records("GPU-0002", START_US + HOUR, START_US + HOUR + HOUR // 7, "pod:uid-1/c")
    assert ledger.ingest([frame(1, usage, holders=[holder(1, pod="-train")])])[0].taken


def billed_ledger(folder: Path) -> Path:
    """Make a ledger with two closed periods, the second with corrections of the first, and an open one."""
    with open_ledger(folder) as ledger:
        fill(ledger)
        close(ledger, hours(0, 2))
        late(ledger)
        close(ledger, hours(2, 4))
    return folder


def adjusted_ledger(folder: Path) -> Path:
    """Make a ledger with two closed periods, whose bills have adjustments of every kind beside charges."""
    with open_ledger(folder) as ledger:
        fill(ledger)
        close(ledger, hours(0, 2))
        late(ledger)
        close_period(ledger, hours(2, 4), closed_by="ann", adjusters=[every_kind])
    return folder


def every_kind(_session: Session, period: Period, _before: Sequence[Adjustment]) -> list[Adjustment]:
    """Return adjustments of every kind: those that move cost from the platform to vision, two of one reason among them."""
    vision = {"organisation": "acme", "department": "research", "team": "vision", "project": "captions"}
    found = []
    for number, kind in enumerate(MOVES, start=1):
        for owner, sign in ((vision, -1), ({}, 1)):
            made = Adjustment(
                kind, f'because of {kind}, "1"', f"policy {number}", *period[:2], sign * (10**9 + number), **owner
            )
            found += [made, made]
    before = hours(0, 1)
    dispute = Adjustment(
        DISPUTE, "hours counted twice", "dispute 4", *before[:2], -333_333_333, **vision, corrects=hours(0, 2).label
    )
    manual = Adjustment(MANUAL, "=HYPERLINK", "ann", *period[:2], 7, team="speech")
    commitment = Adjustment(COMMITMENT, "2 GPUs short", 'contract lease "a"', *period[:2], 5_000_000_001)
    return [*found, dispute, manual, commitment]


def export(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Run `gpuledger export ...` and return its summary."""
    capsys.readouterr()
    assert main(["export", *arguments, "--format", "json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found
