"""What policies move: by hand where a reader can add up, and never a quantum made or lost."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.adjustments import BASIS, FREE_TIER, IDLE_SHARE, Adjustment, require_conserved
from gpuledger.accounting.basis import basis_moves, shifts
from gpuledger.accounting.free_tier import allowed, free_moves
from gpuledger.accounting.gap import gaps_of
from gpuledger.accounting.held import Sums, Team
from gpuledger.accounting.idle_share import share_moves
from gpuledger.accounting.moves import lines_of
from gpuledger.accounting.periods import Period, parse_period
from gpuledger.accounting.policies import FreeTier, Payer, Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyEntry
from gpuledger.accounting.units import US_PER_DAY
from gpuledger.accounting.validity import Validity
from gpuledger.model import State
from tests.gpuledger.policy_sums import HOUR, books, ledgers, sums

MONTH = parse_period("2026-11")
UNIT = 1_000_000_000
ALWAYS = Validity()


def bill(rows: list[Sums], book: PolicyBook, period: Period = MONTH) -> list[Adjustment]:
    """Return all adjustments of these, in their order."""
    shifted = shifts(rows, book)
    return [
        *lines_of(basis_moves(shifted, period.interval), BASIS, "policy 1"),
        *lines_of(free_moves(rows, shifted, book, period), FREE_TIER, "policy 1"),
        *lines_of(share_moves(rows, shifted, book, period.interval), IDLE_SHARE, "policy 1"),
    ]


def by_team(lines: list[Adjustment], kind: str = "") -> dict[str, int]:
    """Return what each team's lines come to."""
    found: defaultdict[str, int] = defaultdict(int)
    for line in lines:
        if not kind or line.kind == kind:
            found[line.team] += line.cost_quanta
    return dict(found)


def book_of(*settings: Settings, **scope: str) -> PolicyBook:
    """Return a book of entries for everybody, the last of them for `scope`."""
    entries = [PolicyEntry(each) for each in settings[:-1]]
    return PolicyBook([*entries, PolicyEntry(settings[-1], **scope)])


def test_by_usage_a_holder_pays_for_its_active_time() -> None:
    """What was held and not used goes to the platform; what nobody watched stays as it was charged."""
    rows = [
        sums(),
        sums("language", State.HELD_UNOBSERVED, used_quanta=0, active_part_us=0, unseen_quanta=2 * UNIT),
        sums("language", State.HELD_IDLE, reason="starved", used_quanta=0, active_part_us=0),
    ]
    lines = bill(rows, book_of(Settings(basis="usage")))
    assert by_team(lines) == {"vision": -UNIT, "language": -2 * UNIT, "": 3 * UNIT}
    [active] = [line for line in lines if line.team == "vision"]
    assert active.because == "billed by usage: 0.5 GPU-hours active of 1.0 GPU-hours held"
    assert (active.state, active.part_us) == (State.ACTIVE, HOUR // 2)
    assert all(line.state != State.HELD_UNOBSERVED for line in lines), "unknown is not idle"


def test_by_the_larger_a_holder_pays_for_what_it_used_beyond_its_share() -> None:
    """Only there; where it used less it pays for what it held. The platform gets the difference."""
    beyond = sums(used_quanta=3 * UNIT, beyond_quanta=UNIT)
    rows = [
        beyond,
        beyond._replace(state=0, part_us=0, cost_quanta=0, used_quanta=0, beyond_quanta=0, excess_quanta=UNIT),
        sums("language"),
    ]
    assert by_team(bill(rows, book_of(Settings(basis="max")))) == {"vision": UNIT, "": -UNIT}


def test_a_basis_may_be_one_teams_or_one_models_alone() -> None:
    """Scopes of owners and of devices both."""
    rows = [sums(), sums("language"), sums(model="T4")]
    assert by_team(bill(rows, book_of(Settings(basis="usage"), team="vision"))) == {"vision": -2 * UNIT, "": 2 * UNIT}
    assert by_team(bill(rows, book_of(Settings(basis="usage"), model="T4"))) == {"vision": -UNIT, "": UNIT}


def test_free_hours_are_at_the_mean_cost_and_never_more_than_there_were() -> None:
    """One hour of three at 6.00 together is 2.00 off, wherever it was; ten hours of three are all three."""
    rows = [sums(), sums(model="T4", part_us=2 * HOUR, cost_quanta=4 * UNIT)]
    lines = bill(rows, book_of(Settings(free=FreeTier(part_us=HOUR))))
    assert by_team(lines) == {"vision": -2 * UNIT, "": 2 * UNIT}
    assert {line.because for line in lines if line.team} == {"1.0 GPU-hours free of 3.0 GPU-hours"}
    assert by_team(bill(rows, book_of(Settings(free=FreeTier(part_us=10 * HOUR))))) == {
        "vision": -6 * UNIT,
        "": 6 * UNIT,
    }


def test_a_models_free_tier_is_apart_from_the_general_one() -> None:
    """The hours of a model with a tier of its own use up that one only; each team has its own."""
    book = PolicyBook(
        [
            PolicyEntry(Settings(free=FreeTier(quanta=UNIT))),
            PolicyEntry(Settings(free=FreeTier(quanta=UNIT // 2)), model="T4"),
        ]
    )
    rows = [sums(), sums(model="T4"), sums("language")]
    assert by_team(bill(rows, book)) == {"vision": -UNIT - UNIT // 2, "language": -UNIT, "": 2 * UNIT + UNIT // 2}


def test_free_time_is_of_what_is_billed() -> None:
    """By usage half of the hour is billed already: a free hour takes off the other half, and no more."""
    lines = bill([sums()], book_of(Settings(basis="usage", free=FreeTier(part_us=HOUR))))
    assert by_team(lines) == {"vision": -2 * UNIT, "": 2 * UNIT}
    assert by_team(lines, FREE_TIER) == {"vision": -UNIT, "": UNIT}


def test_a_part_of_a_month_has_that_part_of_the_allowance() -> None:
    """Ten of thirty days, by the period or by the entry; a month that is cut in a zone is a whole one."""

    def whole(period: Period, validity: Validity = ALWAYS) -> int:
        over, under = allowed(period, validity)
        return 30 * over // under

    tenth = MONTH.start_us + 10 * US_PER_DAY
    assert whole(MONTH) == 30
    assert whole(parse_period("2026-11-01..2026-11-11")) == 10
    assert whole(MONTH, Validity(to_us=tenth)) == 10
    assert whole(MONTH, Validity(from_us=tenth)) == 20
    assert whole(parse_period("2026-11-01..2027-01-01")) == 60, "two months have two allowances"
    assert whole(Period(MONTH.start_us - 3_600_000_000, MONTH.end_us - 3_600_000_000, "2026-11")) == 30
    assert whole(MONTH, Validity(from_us=MONTH.end_us)) == 0


def test_time_that_nobody_held_is_shared_by_who_held_such_devices() -> None:
    """In proportion or evenly; each kind by its own policy; of a pool of its own, by its own users."""
    idle = sums("", State.IDLE, reason="free")
    rows = [
        sums(), sums("language", cost_quanta=6 * UNIT), idle, sums("", State.UNAVAILABLE),
        idle._replace(reason="stranded"), idle._replace(pool="own", cost_quanta=5 * UNIT), sums("speech", pool="own"),
    ]  # fmt: skip
    one = bill(rows, PolicyBook([PolicyEntry(Settings(idle="proportional"), pool="own")]))
    assert by_team(one) == {"speech": 5 * UNIT, "": -5 * UNIT}
    lines = bill(
        rows,
        PolicyBook(
            [
                PolicyEntry(Settings(idle="proportional", unavailable="even")),
                PolicyEntry(Settings(idle="platform"), pool="own"),
            ]
        ),
    )
    assert by_team([line for line in lines if line.state == State.IDLE]) == {
        "vision": UNIT // 2,
        "language": 3 * UNIT // 2,
        "": -2 * UNIT,
    }
    assert by_team([line for line in lines if line.state == State.UNAVAILABLE])[""] == -2 * UNIT
    assert bill([idle], book_of(Settings(idle="even"))) == [], "where no team held anything the platform pays"


def test_the_owner_of_a_queue_pays_for_it_alone() -> None:
    """Whoever held devices of it; of other queues, and of other kinds of time, it pays nothing."""
    rows = [
        sums("language", pool="own"),
        *(sums("", State.IDLE, pool=pool) for pool in ("own", "shared")),
        sums("", State.UNAVAILABLE, pool="own"),
    ]
    lines = bill(rows, book_of(Settings(idle=Payer("vision", organisation="acme")), pool="own"))
    assert [(line.owner, line.cost_quanta, line.because) for line in lines] == [
        (("acme", "", "vision"), 2 * UNIT, "idle capacity of its own (1.0 GPU-hours)"),
        (("", "", ""), -2 * UNIT, "idle capacity (1.0 GPU-hours) paid by vision, whose it is"),
    ]
    nobody_else = [row for row in rows if not row.held]
    assert by_team(bill(nobody_else, book_of(Settings(unavailable=Payer("vision")), pool="own"))) == {
        "vision": 2 * UNIT,
        "": -2 * UNIT,
    }


def test_what_usage_left_goes_the_way_of_idle_capacity() -> None:
    """Held and not used comes back as a share, where idle is shared; free time does not."""
    book = book_of(Settings(basis="usage", idle="proportional", free=FreeTier(quanta=UNIT // 4)), team="")
    lines = bill([sums(), sums("language", used_quanta=2 * UNIT, active_part_us=HOUR)], book)
    assert by_team(lines, IDLE_SHARE) == {"vision": 333_333_333, "language": 666_666_667, "": -UNIT}
    assert by_team(lines, FREE_TIER)[""] == UNIT // 2


def test_time_without_a_price_is_named_and_moves_nothing() -> None:
    """It is no zero: whoever reads the line sees how much it is not about."""
    unpriced = {"unpriced_part_us": HOUR, "cost_quanta": 0, "used_quanta": 0, "active_part_us": 0}
    idle = sums("", State.IDLE, unpriced_part_us=HOUR, cost_quanta=0)
    lines = bill(
        [sums(**unpriced), idle], book_of(Settings(basis="usage", idle="even", free=FreeTier(part_us=HOUR)), team="")
    )
    assert {line.kind for line in lines} == {BASIS, FREE_TIER, IDLE_SHARE}
    assert all("1.0 GPU-hours of it have no price" in line.because and not line.cost_quanta for line in lines)


@given(rows=ledgers(), book=books())
def test_policies_only_move_cost(rows: list[Sums], book: PolicyBook) -> None:
    """Whatever the policies: all lines sum to zero, and no basis or free tier makes a team pay less than nothing."""
    lines = bill(rows, book)
    require_conserved(lines)
    assert sum(line.cost_quanta for line in lines) == 0
    own: defaultdict[Team, int] = defaultdict(int)
    for row in rows:
        own[row.owner] += row.cost_quanta
    for line in lines:
        if line.kind in {BASIS, FREE_TIER}:
            own[line.owner] += line.cost_quanta
    assert all(quanta >= 0 for team, quanta in own.items() if any(team))


@given(rows=ledgers(), policy=st.sampled_from(("proportional", "even")))
def test_a_shared_kind_is_shared_whole(rows: list[Sums], policy: str) -> None:
    """Where all four kinds are shared and a team held something, the platform keeps no quantum of them."""
    book = book_of(Settings(idle=policy, stranded=policy, unavailable=policy, unobserved=policy), team="")
    unheld = sum(row.cost_quanta for row in rows if not row.held)
    payers = any(row.owned and row.held for row in rows)
    assert by_team(bill(rows, book)).get("", 0) == (-unheld if payers else 0)


@given(rows=ledgers())
def test_a_gap_is_the_sum_of_its_causes(rows: list[Sums]) -> None:
    """Held = used + causes for each team, and all teams together are all that was held."""
    found = gaps_of(rows)
    held = [row for row in rows if row.held and row.state]
    assert sum(each.allocation_quanta for each in found.values()) == sum(row.cost_quanta for row in held)
    for each in found.values():
        assert each.allocation_quanta == each.usage_quanta + sum(each.parts.values())


def test_the_causes_of_a_gap() -> None:
    """Idle by reason, pauses between work, unobserved, ungranted, and beyond the share."""
    [found] = gaps_of(
        [
            sums(),
            sums("vision", State.HELD_IDLE, reason="starved", used_quanta=0),
            sums("vision", State.HELD_UNOBSERVED, used_quanta=0, unseen_quanta=2 * UNIT),
            sums("vision", State.UNGRANTED),
            sums("vision", used_quanta=3 * UNIT, beyond_quanta=UNIT),
        ]
    ).values()
    assert dict(found.parts) == {
        "partly_active": UNIT,
        "held_idle: starved": 2 * UNIT,
        "unobserved": 2 * UNIT,
        "ungranted": UNIT,
        "beyond_share": -UNIT,
    }
    assert (found.allocation_quanta, found.usage_quanta, found.gap_quanta) == (10 * UNIT, 5 * UNIT, 5 * UNIT)
