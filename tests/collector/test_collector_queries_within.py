"""A part of the ledger: its figures are those of everything below it, and its parts sum to it, down to the charges."""

from __future__ import annotations

import tempfile
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from collector.ledger.store import Ledger
from collector.queries.chargeback import ChargebackRow, chargeback
from collector.queries.facts import charges
from collector.queries.utilization import utilization
from collector.queries.workloads import workloads
from collector.rating import rate_dirty
from gpuledger.accounting.periods import Period, iso
from gpuledger.errors import ConfigError
from gpuledger.model import Device, State, UsageRecord, Workload
from gpuledger.within import EVERYTHING, LEVELS, NOBODYS, UNATTRIBUTED, Within, parse_within
from tests.collector.batches import START_US, device, holder, records
from tests.collector.fleet import open_ledger, owners, prices, usage_frame
from tests.collector.random_fleets import HOLDERS, HOUR, MODEL, fleets

PERIOD = Period(START_US, START_US + 3 * HOUR, "three hours")
BOOK = f'currency = "EUR"\n[[price]]\nmodel = "{MODEL}"\nrate = "2.710000007"\n'
OWNERS = (
    '[[owner]]\norganisation = "acme"\nteam = "t0"\nproject = "p/1 *100%*"\nmatch.slurm_account = "acct0"\n'
    f'[[owner]]\nteam = "t1"\nmatch.slurm_account = "acct1"\nto = {iso(START_US + HOUR)}\n'
)
CASES = [
    ("/acme/research/vision", Within("owner", ("acme", "research", "vision"))),
    ("/*/*/vision/*/lena", Within("owner", (None, None, "vision", None, "lena"))),
    ("//", Within("owner", ("", ""))),
    ("/a%2Fb/%2A/%25", Within("owner", ("a/b", "*", "%"))),
    ("unattributed", Within(UNATTRIBUTED)),
    ("unattributed/lena", Within(UNATTRIBUTED, ("lena",))),
    ("idle", Within("idle")),
    ("", EVERYTHING),
]


@pytest.mark.parametrize(("text", "part"), CASES)
def test_a_path_reads_back_as_it_was_written(text: str, part: Within) -> None:
    """Names with the path's own signs in them too."""
    assert parse_within(text) == part
    assert str(part) == text


@pytest.mark.parametrize("text", ["acme", "owner/a", "idle/x", "/1/2/3/4/5/6/7", "unattributed/a/b/c"])
def test_a_path_that_names_nothing_is_refused_with_how_to_write_one(text: str) -> None:
    """Never taken for everything."""
    with pytest.raises(ConfigError) as error:
        parse_within(text)
    assert "/ORGANISATION/" in error.value.hint


def test_a_part_below_jumps_over_levels() -> None:
    """The users of a team, whatever the project, and back up again."""
    team = parse_within("/acme/research/vision")
    lena = team.below("user", "lena")
    assert str(lena) == "/acme/research/vision/*/lena"
    assert lena.until("team") == team
    assert str(parse_within("").below("organisation", "acme")) == "/acme"
    assert [lena.name(level) for level in LEVELS] == ["acme", "research", "vision", None, "lena", None]


def part_of(row: ChargebackRow, parent: Within, level: str) -> Within:
    """Return the part of the ledger that a row of the parent's breakdown is, as the pages find it."""
    if row.kind in NOBODYS:
        return Within(row.kind)
    if row.kind == UNATTRIBUTED and parent.kind != UNATTRIBUTED:
        return Within(UNATTRIBUTED)
    return parent.below(level, row.key if row.kind == "owner" else "")


def walk(ledger: Ledger, parent: Within, cost: Decimal, hours: float) -> int:
    """Check that the groups of `parent`, its charges and its workloads are what it is said to be; return how many charges have time."""
    found = charges(ledger, PERIOD, within=parent, limit=1000)
    assert found.count == len(found.rows)
    assert sum(Decimal(row.cost or 0) for row in found.rows) == cost
    assert Decimal(found.cost or 0) == cost
    assert found.gpu_hours == hours
    timed = sum(row.held_us > 0 for row in found.rows)  # a charge without time is in no group
    if parent.kind in NOBODYS:
        return timed
    levels = parent.levels if parent.kind else LEVELS
    if len(parent.names) == len(levels):
        return timed
    level = levels[len(parent.names)]
    below = chargeback(ledger, PERIOD, by=level, within=parent)
    assert Decimal(below.total.cost or 0) == cost
    assert below.total.gpu_hours == hours
    assert utilization(ledger, PERIOD, by=level, within=parent).total.gpu_hours == hours
    parts = [part_of(row, parent, level) for row in below.rows]
    assert len(set(parts)) == len(parts)
    counts = [
        walk(ledger, part, Decimal(row.cost or 0), row.gpu_hours) for part, row in zip(parts, below.rows, strict=True)
    ]
    assert sum(counts) == timed
    return timed


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(fleets())
def test_the_parts_of_a_part_sum_to_it_down_to_the_last_charge(fleet: list[tuple[Device, list[UsageRecord]]]) -> None:
    """From everything over organisation, department, team, project and user to workloads; nothing twice, none lost."""
    with tempfile.TemporaryDirectory() as folder, open_ledger(Path(folder)) as ledger:
        prices(ledger, BOOK)
        owners(ledger, OWNERS)
        for sequence, (each, usage) in enumerate(fleet):
            if usage:
                assert ledger.ingest([usage_frame(sequence, usage, [each], HOLDERS)])[0].taken
        rate_dirty(ledger)
        whole = chargeback(ledger, PERIOD)
        count = walk(ledger, EVERYTHING, Decimal(whole.total.cost or 0), whole.total.gpu_hours)
        assert count == sum(row.held_us > 0 for row in charges(ledger, PERIOD, limit=100_000).rows)
        held = [row for row in charges(ledger, PERIOD, limit=1000).rows if row.holder]
        found = workloads(ledger, PERIOD)
        states = {"active", "held_idle", "ungranted", "held_unobserved"}
        assert Decimal(found.cost or 0) == sum(Decimal(row.cost or 0) for row in held if row.state in states)
        for row in found.rows:
            assert charges(ledger, PERIOD, within=parse_within(row.within)).cost == row.cost


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Give an hour and a half of an endpoint with two replicas of one user, and a run of another."""
    at = START_US
    serve = Workload("kserve", "", "isvc-1", "chat")
    run = Workload("mlflow", "exp-1", "0af3", "tune lr")
    held = [
        holder(1, user="lena", workload=serve),
        holder(4, user="lena", workload=serve),
        holder(2, user="omar", workload=run),
    ]
    usage = [
        *records("GPU-0001", at, at + HOUR + HOUR // 2, "pod:uid-1/c"),
        *records("GPU-0002", at, at + HOUR, "pod:uid-4/c"),
        *records(
            "GPU-0003", at, at + HOUR // 4, "pod:uid-2/c", state=State.HELD_IDLE, reason="starved", active_us=0
        ),
    ]  # fmt: skip
    opened = open_ledger(tmp_path)
    assert opened.ingest([usage_frame(0, usage, [device(1), device(2), device(3)], held)])[0].taken
    prices(opened, 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2"\n')
    owners(opened, '[[owner]]\nteam = "vision"\nmatch.namespace = "team-1"\n')
    rate_dirty(opened)
    return opened


def test_an_endpoint_is_one_row_with_its_cost_an_hour(ledger: Ledger) -> None:
    """Two replicas on two devices for an hour, one for another half: five half hours, in one and a half of running."""
    found = workloads(ledger, PERIOD)
    chat, run = found.rows
    assert (chat.system, chat.workload, chat.team, chat.runs, chat.devices) == ("kserve", "chat", "vision", 2, 2)
    assert (chat.gpu_hours, chat.running_hours, chat.cost) == (2.5, 1.5, "5.00")
    assert Decimal(chat.cost_per_hour or 0) == Decimal("3.333333333")
    assert (run.system, run.scope, run.cost, run.idle_cost, run.team) == ("mlflow", "exp-1", "0.50", "0.50", None)
    assert [(each.system, each.workloads, each.cost) for each in found.systems] == [
        ("kserve", 1, "5.00"),
        ("mlflow", 1, "0.50"),
    ]
    assert [row.workload for row in workloads(ledger, PERIOD, system="mlflow").rows] == ["tune lr"]
    second = workloads(ledger, PERIOD, limit=1, offset=1)
    assert ([row.workload for row in second.rows], second.count) == (["tune lr"], 2)


def test_rows_come_in_pages_and_their_number_is_told(ledger: Ledger) -> None:
    """Pages side by side are the whole; totals are of all of it on each."""
    whole = chargeback(ledger, PERIOD, by="user")
    pages = [chargeback(ledger, PERIOD, by="user", limit=2, offset=offset) for offset in (0, 2, 4)]
    assert [row for page in pages for row in page.rows] == whole.rows
    assert {page.groups for page in pages} == {len(whole.rows)}
    assert {page.total.cost for page in pages} == {whole.total.cost}
    everything = charges(ledger, PERIOD)
    pieces = [charges(ledger, PERIOD, limit=2, offset=offset) for offset in range(0, everything.count, 2)]
    assert [row for piece in pieces for row in piece.rows] == everything.rows
    assert [piece.more for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_an_idle_policy_is_for_the_whole_ledger(ledger: Ledger) -> None:
    """It moves cost between owners: of a part alone it would not conserve."""
    with pytest.raises(ConfigError):
        chargeback(ledger, PERIOD, within=parse_within("/*"), idle_policy="proportional")
