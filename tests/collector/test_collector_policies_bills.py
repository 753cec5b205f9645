"""Policies on bills: imported in versions, applied at closing, pinned, moved and never made, on whole invoices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from shutil import copytree

import pytest

from collector.ledger.store import Ledger
from collector.periods.closing import close_period
from collector.policies.imports import import_policies
from collector.pricing.imports import ImportReport, import_owners, import_prices
from collector.queries.adjustments import adjustments
from collector.queries.billing import invoices, periods
from collector.queries.book_trials import try_book
from collector.queries.chargeback import chargeback
from collector.queries.gap import gap
from collector.queries.policies import policies
from collector.queries.reconcile import reconcile
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.errors import PolicyBookError
from gpuledger.model import Event, State
from tests.collector.ask import contents
from tests.collector.batches import START_US, frame, records
from tests.collector.fleet import NOW_US, open_ledger, owners, prices

END_US = START_US + 2 * US_PER_HOUR
FIRST = Period(START_US, END_US, "first")
LOST_US = START_US + 90 * US_PER_MINUTE
PRICES = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "3.00"\n'
OWNERS = '[[owner]]\norganisation = "acme"\nteam = "{namespace}"\nmatch.namespace = "team-*"\n'
GPU = "GPU-0002"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a ledger with two hours of four GPUs at 3.00 in a month of 744 hours.

    One is held by team-1, a third active; one by team-2, and lost after an hour and a half; one by nobody; one by
    team-2 while nobody could see whether it worked.
    """
    usage = [
        *records("GPU-0001", START_US, END_US, "pod:uid-1/c"),
        *records(GPU, START_US, LOST_US, "pod:uid-2/c"),
        *records(GPU, LOST_US, END_US, state=State.UNAVAILABLE, reason="gpu_lost"),
        *records("GPU-0003", START_US, END_US),
        *records("GPU-0004", START_US, END_US, "pod:uid-2/c", state=State.HELD_UNOBSERVED, active_us=None),
    ]
    own = {"xid": "13", "class": "application"}
    events = [
        Event(LOST_US - 20_000_000, "xid", "XID 79", "error", GPU, details={"xid": "79", "class": "bus"}),
        Event(LOST_US, "gpu_lost", "device is not usable", "error", GPU, details={"reason": "gpu_lost"}),
        Event(START_US + US_PER_HOUR, "xid", "XID 13", "warning", "GPU-0001", details=own),
    ]
    folder = tmp_path_factory.mktemp("filled")
    with open_ledger(folder) as found:
        assert found.ingest([frame(0, usage, events=events)])[0].taken
        prices(found, PRICES)
        owners(found, OWNERS)
        rate_dirty(found)
    return folder


@pytest.fixture
def ledger(filled: Path, tmp_path: Path) -> Iterator[Ledger]:
    """Give a copy of that ledger."""
    copytree(filled, tmp_path, dirs_exist_ok=True)
    with open_ledger(tmp_path) as found:
        yield found


def policy(ledger: Ledger, text: str) -> ImportReport:
    """Import a policy book."""
    return import_policies(ledger, text.encode(), "toml", source="policies.toml", imported_us=NOW_US)


def bills(ledger: Ledger) -> dict[str, Decimal]:
    """Close the period, hold its proof, and return what each team is billed."""
    report = close_period(ledger, FIRST, closed_by="ann")
    assert reconcile(ledger, FIRST).ok
    found = {row.team: Decimal(row.cost or 0) for row in invoices(ledger).rows}
    assert sum(found.values()) == Decimal("24.00") == Decimal(report.cost or 0), "policies move cost, they make none"
    return found


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('basis = "allocation"', ("6.00", "10.50", "7.50")),
        ('basis = "usage"', ("2.00", "7.50", "14.50")),
        ('basis = "usage"\nteam = "team-1"', ("2.00", "10.50", "11.50")),
        ('basis = "max"', ("6.00", "10.50", "7.50")),
        ('idle = "even"', ("9.00", "13.50", "1.50")),
        ('idle = "proportional"\nunavailable = "proportional"', ("8.727272727", "15.272727273", None)),
        ('unavailable = "even"', ("6.75", "11.25", "6.00")),
        ('idle = { organisation = "acme", team = "team-2" }', ("6.00", "16.50", "1.50")),
        ('basis = "usage"\nidle = { organisation = "acme", team = "team-2" }', ("2.00", "20.50", "1.50")),
        ('basis = "usage"\nidle = "even"', ("8.50", "14.00", "1.50")),
        ('free = { gpu_hours = "372" }\nteam = "team-1"', ("3.00", "10.50", "10.50")),
        ('free = { amount = "2604.00" }', (None, "3.50", "20.50")),
        ("fault_credit = { minutes = 30 }", ("6.00", "9.00", "9.00")),
        ('fault_credit = { minutes = 60, percent = "50" }\nbasis = "usage"', ("2.00", "7.00", "15.00")),
    ],
)  # fmt: skip
def test_each_policy_on_the_bill(ledger: Ledger, text: str, expected: tuple[str | None, ...]) -> None:
    """Charges are 6.00, 10.50 and (idle and lost) 7.50; each line is on an invoice, and the proof holds."""
    assert policy(ledger, f"[[policy]]\n{text}\n").changed
    found = bills(ledger)
    assert [found.get(team, Decimal(0)) for team in ("team-1", "team-2", "")] == [
        Decimal(each or 0) for each in expected
    ]


def test_a_payer_whom_nobody_knows_is_told(ledger: Ledger) -> None:
    """Without its organisation it is another owner, with an invoice of its own: the import says so; the list names both."""
    text = '[[policy]]\nidle = { team = "team-2" }\nstranded = { organisation = "acme", team = "team-1" }\n'
    assert policy(ledger, text).warnings == [
        "policy entry 1: nothing was charged to team-2, who is to pay for idle: did you mean acme > team-2?"
    ]
    assert policies(ledger).rows[0].settings == {"idle": "team-2", "stranded": "acme > team-1"}


def test_a_closed_period_pins_its_policies(ledger: Ledger) -> None:
    """A later book changes no bill that is closed; each line names the version that made it."""
    policy(ledger, '[[policy]]\nidle = "even"\n')
    [open_row] = [row for row in periods(ledger).rows if row.state != "closed"]
    assert (open_row.adjustments, open_row.adjustment_cost, open_row.policy_version) == (3, "0.00", None)
    close_period(ledger, FIRST, closed_by="ann")
    before = contents(ledger), adjustments(ledger, FIRST)
    assert {row.reference for row in before[1].rows} == {"policy 1"}
    policy(ledger, '[[policy]]\nbasis = "usage"\n')
    [row] = [row for row in periods(ledger).rows if row.state == "closed"]
    assert row.policy_version == 1
    assert (contents(ledger), adjustments(ledger, FIRST)) == before


def test_a_policy_that_holds_for_a_while_moves_what_is_of_then(ledger: Ledger) -> None:
    """From the second hour on by usage: the first stays as it was held."""
    policy(ledger, f'[[policy]]\nbasis = "usage"\nfrom = "{iso(START_US + US_PER_HOUR)}"\n')
    assert bills(ledger)["team-1"] == Decimal("4.00")


def test_the_evidence_of_a_credit_is_on_the_line(ledger: Ledger) -> None:
    """Which device, when, and what was lost; an application's XID gives nothing."""
    policy(ledger, "[[policy]]\nfault_credit = true\n")
    credits_ = [row for row in adjustments(ledger, Period(0, NOW_US, "all")).rows if row.team]
    assert [(row.team, row.kind, row.cost) for row in credits_] == [("team-2", "fault_credit", "-3.00")]
    assert credits_[0].because.startswith(f"hardware fault (XID 79, bus) of {GPU} at ")


def test_books_come_in_versions(ledger: Ledger) -> None:
    """The same file again is no new version; a bad one changes nothing; whom nobody has heard of is warned of."""
    first = policy(ledger, '[[policy]]\nbasis = "usage"\n')
    assert (first.version, first.changed) == (1, True)
    assert not policy(ledger, '[[policy]]\nbasis = "usage"\n').changed
    with pytest.raises(PolicyBookError):
        policy(ledger, '[[policy]]\nbasis = "none"\n')
    report = policy(
        ledger, '[[policy]]\nbasis = "usage"\nteam = "sales"\n[[policy]]\nmodel = "NVIDIA*"\nidle = "even"\n'
    )
    assert report.version == 2
    assert report.warnings == ['policy entry 1 (team "sales") applies to nothing that the ledger has charged']
    listed = policies(ledger)
    assert (listed.version, [row.settings for row in listed.rows]) == (2, [{"basis": "usage"}, {"idle": "even"}])


def test_the_gap_is_between_both_views(ledger: Ledger) -> None:
    """What a team held is its allocation cost, what it used its usage cost, and the causes are all of the rest."""
    found = gap(ledger, FIRST)
    costs = {
        view: {row.key: row.cost for row in chargeback(ledger, FIRST, view=view).rows}
        for view in ("allocation", "usage")
    }
    assert [(row.team, row.gap, row.parts) for row in found.rows] == [
        ("team-2", "9.00", {"unobserved": "6.00", "partly_active": "3.00"}),
        ("team-1", "4.00", {"partly_active": "4.00"}),
    ]
    for row in found.rows:
        assert row.allocation_cost == costs["allocation"][row.team]
        assert row.usage_cost == costs["usage"][row.team]
    assert (found.total.allocation_cost, found.total.usage_cost, found.total.gap) == ("16.50", "3.50", "13.00")


def test_a_dry_run_says_what_changes_and_changes_nothing(ledger: Ledger) -> None:
    """Policies, prices and owners alike: each team's open bill now and then, and a ledger as it was."""
    before = contents(ledger)
    tried = try_book(ledger, import_policies, b'[[policy]]\nbasis = "usage"\n', "toml", source="p.toml")
    assert {row.team: (row.cost_before, row.cost_after, row.change) for row in tried.rows} == {
        "": ("7.50", "14.50", "7.00"),
        "team-1": ("6.00", "2.00", "-4.00"),
        "team-2": ("10.50", "7.50", "-3.00"),
    }
    tried = try_book(ledger, import_prices, PRICES.replace("3.00", "4.00").encode(), "toml", source="p.toml")
    assert {row.team: row.change for row in tried.rows} == {"": "2.50", "team-1": "2.00", "team-2": "3.50"}
    moved = OWNERS.replace("{namespace}", "everybody")
    tried = try_book(ledger, import_owners, moved.encode(), "toml", source="o.toml")
    assert {row.team: row.cost_after for row in tried.rows} == {
        "everybody": "16.50",
        "team-1": "0.00",
        "team-2": "0.00",
    }
    assert (tried.version, tried.bills, tried.changed) == (2, 4, True)
    assert contents(ledger) == before
    assert policies(ledger).version is None
    rate_dirty(ledger)
    assert contents(ledger) == before, "nothing waits to be rated either"


def test_what_a_dry_run_refuses_leaves_nothing_behind(ledger: Ledger) -> None:
    """A file that cannot be used is refused as its import would; the same book changes nothing."""
    with pytest.raises(PolicyBookError):
        try_book(ledger, import_policies, b'[[policy]]\nidle = "no"\n', "toml", source="p.toml")
    same = try_book(ledger, import_prices, PRICES.encode(), "toml", source="prices.toml")
    assert (same.changed, same.rows) == (False, [])
    with ledger.transaction():
        pass  # the ledger goes on


def test_a_dry_run_has_no_part_in_closed_periods(ledger: Ledger) -> None:
    """What is closed does not change whatever the book."""
    close_period(ledger, FIRST, closed_by="ann")
    assert try_book(ledger, import_policies, b'[[policy]]\nbasis = "usage"\n', "toml", source="p.toml").rows == []


def test_unpriced_time_is_named_on_the_bill(ledger: Ledger) -> None:
    """It moves nothing, and the line says how much it is not about."""
    prices(ledger, PRICES.replace('model = "*"', 'model = "A100"'))
    policy(ledger, '[[policy]]\nidle = "even"\n')
    rate_dirty(ledger)
    rows = adjustments(ledger, Period(0, NOW_US, "all")).rows
    assert {row.cost for row in rows} == {"0.00"}
    assert all("2.0 GPU-hours of it have no price" in row.because for row in rows)
