"""Sums of charges for tests of policies, by hand and at random."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from gpuledger.accounting.held import Sums
from gpuledger.accounting.policies import BASES, FaultCredit, FreeTier, Payer, Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyEntry
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR
from gpuledger.errors import PolicyBookError
from gpuledger.model import HELD_STATES, State

HOUR = GPU_PARTS * US_PER_HOUR  # one GPU-hour
TEAMS = ("", "vision", "language", "speech")
MODELS = ("H100", "T4")
POOLS = ("", "shared", "own")
PAYERS = ("platform", "proportional", "even", Payer("speech", organisation="acme"))


def sums(team: str = "vision", state: State = State.ACTIVE, **changes: object) -> Sums:
    """Return a row of one GPU-hour at 2.00 of which half an hour was active."""
    fields: dict[str, object] = {
        "spell_us": 0, "organisation": "acme" if team else "", "department": "", "team": team, "project": "",
        "pool": "", "model": "H100", "mig_profile": "", "state": state, "reason": "", "part_us": HOUR,
        "cost_quanta": 2_000_000_000,
    }  # fmt: skip
    if state in HELD_STATES:
        fields |= {"active_part_us": HOUR // 2, "used_quanta": 1_000_000_000}
    return Sums(**{**fields, **changes})  # type: ignore[arg-type]


@st.composite
def rows(draw: st.DrawFn) -> Sums:
    """Draw a row that a ledger could have."""
    state = draw(st.sampled_from(State))
    team = draw(st.sampled_from(TEAMS)) if state in HELD_STATES else ""
    cost, part_us = draw(st.integers(0, 10**13)), draw(st.integers(1, 1000 * HOUR))
    used = draw(st.integers(0, 2 * cost)) if state in HELD_STATES else 0
    unseen = draw(st.integers(0, cost)) if state in HELD_STATES else 0
    active_us = draw(st.integers(0, part_us)) if state in HELD_STATES else 0
    unpriced = draw(st.booleans())
    return sums(
        team, state, project=draw(st.sampled_from(("", "p"))), pool=draw(st.sampled_from(POOLS)),
        model=draw(st.sampled_from(MODELS)), reason=draw(st.sampled_from(("", "stranded", "starved"))),
        part_us=part_us, unpriced_part_us=part_us if unpriced else 0,
        active_part_us=0 if unpriced else active_us,
        unseen_part_us=0 if unpriced or state not in HELD_STATES else part_us - active_us,
        cost_quanta=0 if unpriced else cost, used_quanta=0 if unpriced else used,
        unseen_quanta=0 if unpriced else unseen,
        beyond_quanta=0 if unpriced else max(0, used + unseen - cost),
    )  # fmt: skip


def ledgers() -> st.SearchStrategy[list[Sums]]:
    """Draw rows whose keys differ, and what some holders' hours had beyond their share."""
    key = lambda row: (row.team, row.project, row.pool, row.model, row.state, row.reason)  # noqa: E731
    return st.lists(rows(), max_size=25, unique_by=key).map(lambda found: [*found, *_excess(found)])


def _excess(found: list[Sums]) -> list[Sums]:
    return [
        row._replace(
            state=0, reason=f"{row.state}{row.reason}", part_us=0, active_part_us=0, unseen_part_us=0,
            unpriced_part_us=0, cost_quanta=0, used_quanta=0, unseen_quanta=0, beyond_quanta=0,
            excess_quanta=row.beyond_quanta,
        )
        for row in found
        if row.beyond_quanta and row.team
    ]  # fmt: skip


@st.composite
def books(
    draw: st.DrawFn,
    teams: Sequence[str] = TEAMS[:2],
    pools: Sequence[str] = POOLS,
    models: Sequence[str] = ("", *MODELS),
    begins: Sequence[int | None] = (None,),
) -> PolicyBook:
    """Draw a policy book; an entry that contradicts others is left out."""
    entries: list[PolicyEntry] = []
    for _ in range(draw(st.integers(0, 5))):
        team = draw(st.sampled_from(teams))
        payer = st.none() if team else st.none() | st.sampled_from(PAYERS)
        free = st.builds(FreeTier, part_us=st.integers(0, 100 * HOUR)) | st.builds(
            FreeTier, quanta=st.integers(0, 10**12)
        )
        settings = Settings(
            basis=draw(st.none() | st.sampled_from(BASES)), idle=draw(payer), stranded=draw(payer),
            unavailable=draw(payer), unobserved=draw(payer), free=draw(st.none() | free),
            fault_credit=draw(st.none() | st.builds(FaultCredit, minutes=st.integers(0, 120))),
        )  # fmt: skip
        pool, model, from_us = (draw(st.sampled_from(each)) for each in (pools, models, begins))
        entry = PolicyEntry(settings, team=team, pool=pool, model=model, from_us=from_us)
        try:
            PolicyBook([*entries, entry])
        except PolicyBookError:
            continue
        entries.append(entry)
    return PolicyBook(entries)
