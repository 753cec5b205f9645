"""Budgets as arithmetic: stages in order and once, sums of children, forecasts, and who may start."""

from __future__ import annotations

from datetime import UTC
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.admitting import Admission, Limit, Standing, may_start
from gpuledger.accounting.budgets import (
    ACTIONS,
    MEASURES,
    Budget,
    Observed,
    Position,
    Spend,
    Stage,
    exhausted_at,
    newly_reached,
    period_at,
    reached,
    run_rate,
    spent,
)
from gpuledger.accounting.intervals import Interval
from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.quiet import QuietHours, quiet_until
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.zones import find_zone

HOUR = US_PER_HOUR
STAGES = st.lists(
    st.builds(
        Stage,
        percent_millis=st.integers(1, 300_000),
        measure=st.sampled_from(MEASURES),
        action=st.sampled_from(ACTIONS),
    ),
    max_size=6,
    unique_by=lambda each: each.key,
)
AMOUNTS = st.none() | st.integers(-(10**6), 10**7)
POSITIONS = st.builds(Position, st.integers(0, 10**6), st.integers(0, 10**5), AMOUNTS, AMOUNTS, AMOUNTS)
PATHS = st.lists(st.sampled_from("abc"), min_size=0, max_size=3).map("/".join)
SPENDS = st.builds(
    Spend, st.integers(-(10**12), 10**15), st.integers(-(10**12), 10**12), st.integers(0, 10**15), st.integers(0, 9)
)


@given(STAGES, st.lists(POSITIONS, max_size=8))
def test_stages_fire_once_and_in_order_however_spending_moves(stages: list[Stage], seen: list[Position]) -> None:
    """Late data, credits and raises move a position anywhere: what fired is what any of them reached, each once."""
    fired: list[str] = []
    for position in seen:
        new = newly_reached(position, stages, frozenset(fired))
        assert [each.percent_millis for each in new] == sorted(each.percent_millis for each in new)
        fired += [each.key for each in new]
        assert not newly_reached(position, stages, frozenset(fired))
    assert len(fired) == len(set(fired))
    assert set(fired) == {each.key for position in seen for each in reached(position, stages)}


@given(POSITIONS, STAGES)
def test_a_higher_stage_is_never_reached_before_a_lower_one_of_the_same_measure(
    position: Position, stages: list[Stage]
) -> None:
    """So none is skipped."""
    got = {each.key for each in reached(position, stages)}
    for low in stages:
        for high in stages:
            if low.measure == high.measure and low.percent_millis <= high.percent_millis and high.key in got:
                assert low.key in got


@given(st.integers(1, 10**15), st.integers(1, 10**15), st.integers(1, 1_000_000))
def test_a_stage_is_reached_at_exactly_its_share_of_the_limit(limit: int, actual: int, millis: int) -> None:
    """To the quantum, as fractions say."""
    position = Position(limit, 0, actual, None, None)
    assert position.reaches(Stage(millis)) == (Fraction(actual, limit) >= Fraction(millis, 100_000))


def test_what_is_not_known_reaches_nothing_and_nothing_may_be_spent_of_nothing() -> None:
    """Unknown is not zero, and a limit of zero is passed by the first quantum."""
    assert not Position(0, 0, None, None, None).reaches(Stage(1))
    assert not Position(0, 0, 0, 0, 0).reaches(Stage(100_000))
    assert Position(0, 0, 1, None, None).reaches(Stage(1_000_000))
    assert not Position(100, 0, 200, None, None).reaches(Stage(50_000, "forecast"))
    assert Position(100, 0, None, None, None).percent_millis() is None


@given(st.lists(st.tuples(PATHS, SPENDS), max_size=12))
def test_what_children_spend_is_what_their_parent_does(parts: list[tuple[str, Spend]]) -> None:
    """Each charge once, at every level; all of it, the platform's part too, is everything's."""
    for node in {"/".join(path.split("/")[:depth]) for path, _ in parts for depth in (1, 2, 3)} - {""}:
        own = [spend for path, spend in parts if path == node]
        children = {
            "/".join(path.split("/")[: node.count("/") + 2]) for path, _ in parts if path.startswith(f"{node}/")
        }
        total = Spend()
        for each in [*own, *(spent(child, parts) for child in children)]:
            total = total.plus(each)
        assert total == spent(node, parts)
    assert spent("*", parts).actual_quanta == sum(spend.actual_quanta for _, spend in parts)
    assert spent("a", [("ab", Spend(5)), ("a", Spend(3)), ("a/b", Spend(4))]).actual_quanta == 7


@given(st.integers(0, 10**18), st.integers(-(10**15), 10**15), st.integers(1, 700), st.integers(0, 700))
def test_the_run_rate_goes_on_as_it_went(running: int, once: int, elapsed: int, left: int) -> None:
    """To half a quantum of the exact proportion; what does not come with time is not multiplied."""
    seen = Observed(Interval(0, (elapsed + left) * HOUR), 0, elapsed * HOUR)
    found = run_rate(Spend(running, once), seen)
    assert found is not None
    assert abs(Fraction(found) - (running + once + Fraction(running * left, elapsed))) <= Fraction(1, 2)


def test_too_little_is_no_forecast() -> None:
    """Less than an hour says nothing, unless nothing more is to come."""
    assert run_rate(Spend(5), Observed(Interval(0, 10 * HOUR), 0, HOUR - 1)) is None
    assert run_rate(Spend(5, 2), Observed(Interval(0, 10 * HOUR), 10 * HOUR - 1, 10 * HOUR)) == 7
    assert run_rate(Spend(6), Observed(Interval(0, 10 * HOUR), 4 * HOUR, 6 * HOUR)) == 18


@given(st.integers(1, 10**12), st.integers(1, 10**13), st.integers(1, 100), st.integers(1, 100))
def test_a_limit_is_used_up_when_the_run_rate_says_so(running: int, limit: int, elapsed: int, left: int) -> None:
    """At that instant spending has reached the limit, and a microsecond before it had not."""
    seen = Observed(Interval(0, (elapsed + left) * HOUR), 0, elapsed * HOUR)
    at_us = exhausted_at(Spend(running), limit, seen)
    whole = Fraction(running, elapsed * HOUR)
    if at_us is None:
        assert running >= limit or whole * seen.period.end_us <= limit
    else:
        assert whole * at_us >= limit > whole * (at_us - 1)
        assert elapsed * HOUR <= at_us < seen.period.end_us


@pytest.mark.parametrize(
    ("kind", "label", "start", "end"),
    [
        ("month", "2026-03", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
        ("quarter", "2026-Q1", "2025-12-31T23:00:00Z", "2026-03-31T22:00:00Z"),
        ("year", "2026", "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z"),
        ("2026-02-01..2026-03-01", "2026-02-01..2026-03-01", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z"),
    ],
)
def test_periods_are_those_of_the_billing_zone(kind: str, label: str, start: str, end: str) -> None:
    """A month in Berlin begins at its midnight, and the hour that clocks skip is missing from it."""
    at_us = parse_instant("2026-02-28T23:30:00Z")
    found = period_at(Budget("a", kind, "EUR", 1), at_us, find_zone("Europe/Berlin"))
    assert (found.label, iso(found.start_us), iso(found.end_us)) == (label, start, end)


def test_the_strictest_budget_of_an_owner_or_of_what_it_is_in_decides() -> None:
    """Only the reasons for what was decided are given; others' budgets are none of its."""
    standing = Standing(
        1,
        (
            Limit("acme/research", "hold", "research is over"),
            Limit("acme/research/vision", "block", "vision is far over"),
            Limit("acme/researchers", "block", "somebody else"),
        ),
    )
    assert may_start(standing, "acme/research/language") == (Admission.HOLD, ("research is over",))
    assert may_start(standing, "acme/research/vision") == (Admission.BLOCK, ("vision is far over",))
    assert may_start(standing, "acme").admission is Admission.ALLOW
    assert may_start(standing, "").admission is Admission.ALLOW
    assert may_start(standing, "acme/research/vision", gpus=0).admission is Admission.ALLOW
    everything = Standing(1, (Limit("*", "hold", "all is spent"),))
    assert may_start(everything, "").reasons == ("all is spent",)


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-11-25T18:59:59Z", None),
        ("2026-11-25T19:00:00Z", "2026-11-26T06:00:00Z"),
        ("2026-11-26T05:59:59Z", "2026-11-26T06:00:00Z"),
        ("2026-11-26T06:00:00Z", None),
        ("2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z"),  # clocks go forward in that night
    ],
)
def test_quiet_hours_pass_midnight_by_the_clocks_of_their_zone(at: str, until: str | None) -> None:
    """From eight in the evening until seven in the morning."""
    quiet = QuietHours(20 * 60, 7 * 60, "Europe/Berlin")
    found = quiet_until(quiet, parse_instant(at), find_zone(quiet.zone))
    assert (found and iso(found)) == until


def test_quiet_hours_within_a_day() -> None:
    """Lunch."""
    quiet, at_us = QuietHours(12 * 60, 13 * 60), parse_instant("2026-11-25T12:30:00Z")
    assert quiet_until(quiet, at_us, UTC) == at_us + HOUR // 2
    assert quiet_until(quiet, at_us + HOUR, UTC) is None
