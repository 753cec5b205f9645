"""Credits for faults: the held work before a hardware fault, of who held the device then; never an application's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gpuledger.accounting.adjustments import FAULT_CREDIT, require_conserved
from gpuledger.accounting.fault_credit import (
    Fault,
    HeldPiece,
    HolderHour,
    Struck,
    credit_moves,
    without_applications,
)
from gpuledger.accounting.held import Team
from gpuledger.accounting.moves import Move, lines_of
from gpuledger.accounting.policies import FaultCredit, Settings
from gpuledger.accounting.policybook import PolicyBook, PolicyEntry, PolicyScope
from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR, US_PER_MINUTE

VISION: Team = ("acme", "research", "vision")
RATE = 6_000_000_000  # an hour: 0.10 a minute
PLENTY = {VISION: 10**15}
BOOK = PolicyBook([PolicyEntry(Settings(fault_credit=FaultCredit(minutes=30)))])


def minute(number: int, device: int = 1, holder: int = 7) -> HeldPiece:
    """Return the usage record of a whole minute."""
    start_us = number * US_PER_MINUTE
    return HeldPiece(device, holder, start_us, start_us + US_PER_MINUTE, US_PER_MINUTE)


def hour(held_minutes: int, **changes: object) -> HolderHour:
    """Return what a holder's hour was charged, of which half was used."""
    cost = RATE * held_minutes // 60
    fields: dict[str, object] = {
        "scope": PolicyScope(*VISION, "", "H100"), "project": "p", "mig_profile": "", "parts": GPU_PARTS,
        "held_us": held_minutes * US_PER_MINUTE, "cost_quanta": cost, "used_quanta": cost // 2, "unpriced": False,
    }  # fmt: skip
    return HolderHour(**{**fields, **changes})  # type: ignore[arg-type]


def lost(at_minute: int, **changes: object) -> Fault:
    """Return the loss of device 1."""
    return Fault(**{"device": 1, "at_us": at_minute * US_PER_MINUTE, "name": "GPU-1", "reason": "gpu_lost", **changes})  # type: ignore[arg-type]


def xid(at_minute: int, code: str, kind: str) -> Fault:
    """Return an XID of device 1."""
    return lost(at_minute, reason="", xid=code, xid_class=kind)


HELD = [minute(number) for number in range(50)]
HOURS = {(1, 7, 0): hour(50)}


def credits_of(faults: list[Fault], book: PolicyBook = BOOK, left: dict[Team, int] | None = None) -> list[Move]:
    """Return the credits where device 1 was held for the first fifty minutes."""
    return credit_moves(Struck(faults, HELD, HOURS), book, PLENTY if left is None else left)


def test_the_work_before_a_loss_is_credited_up_to_the_cap() -> None:
    """Thirty of fifty minutes at 0.10 each; the reason has device, instant and what was lost."""
    [move] = credits_of([lost(50)])
    assert (move.owner, move.quanta, move.part_us) == (VISION, -3_000_000_000, 30 * US_PER_MINUTE * GPU_PARTS)
    assert (
        move.because
        == "hardware fault (gpu_lost) of GPU-1 at 1970-01-01T00:50:00Z: 0.5 GPU-hours of work before it lost"
    )
    assert move.during == (20 * US_PER_MINUTE, 50 * US_PER_MINUTE)


def test_only_what_was_held_is_lost() -> None:
    """A job that began ten minutes before lost ten; one that had left before the fault lost nothing."""
    [move] = credits_of([lost(10)])
    assert move.quanta == -1_000_000_000
    assert credits_of([lost(52)]) == []


def test_a_credit_is_of_what_was_billed() -> None:
    """Half of it by usage; a share in percent; of an unpriced hour nothing, and it says so."""
    usage = PolicyBook([PolicyEntry(Settings(basis="usage", fault_credit=FaultCredit(minutes=30)))])
    assert credits_of([lost(50)], usage)[0].quanta == -1_500_000_000
    part = PolicyBook([PolicyEntry(Settings(fault_credit=FaultCredit(minutes=30, percent_millis=12_500)))])
    [move] = credits_of([lost(50)], part)
    assert move.quanta == -375_000_000
    assert "of which 12.5 % are credited" in move.because
    unpriced = {(1, 7, 0): hour(50, cost_quanta=0, used_quanta=0, unpriced=True)}
    [move] = credit_moves(Struck([lost(50)], HELD, unpriced), BOOK, PLENTY)
    assert move.quanta == 0
    assert "have no price" in move.because


def test_no_team_gets_more_than_it_pays() -> None:
    """Free time is not paid back: together credits end where the bill does."""
    assert [move.quanta for move in credits_of([lost(20), lost(50)], left={VISION: 2_500_000_000})] == [
        -2_000_000_000,
        -500_000_000,
    ]
    [none_left] = credits_of([lost(50)], left={})
    assert (none_left.quanta, none_left.because.endswith("; no more than is left to pay")) == (0, True)


def test_no_minute_is_credited_twice() -> None:
    """A second fault credits the work since the first; an XID and the loss of its board are one fault."""
    assert [move.quanta for move in credits_of([lost(20), lost(40)])] == [-2_000_000_000, -2_000_000_000]
    assert [move.quanta for move in credits_of([xid(45, "79", "bus"), lost(46)])] == [-3_000_000_000]


def test_what_an_application_did_is_not_credited() -> None:
    """Neither its XID nor a loss that only such an XID came before; a hardware XID beside it settles it."""
    own = xid(45, "13", "application")
    assert credits_of([own]) == []
    assert credits_of([own, lost(46)]) == []
    assert len(credits_of([own, xid(45, "79", "bus"), lost(46)])) == 1
    assert without_applications([own, lost(56)]) == [lost(56)], "ten minutes later it is another matter"


def test_an_xid_that_stops_nothing_is_not_credited() -> None:
    """Memory errors that were corrected, a link that should be looked at: whoever ran goes on."""
    assert credits_of([xid(50, "121", "link")._replace(harmless=True)]) == []


def test_a_loss_at_the_instant_of_an_applications_xid_is_the_applications() -> None:
    """Whichever is listed first."""
    assert credits_of([lost(46), xid(46, "13", "application")]) == []


def test_a_policy_names_the_faults_that_count() -> None:
    """Reasons and classes of XIDs; an engine's error may be the application's, so it is not among the usual ones."""
    only = PolicyBook(
        [PolicyEntry(Settings(fault_credit=FaultCredit(30, faults=("row_remap_failure",), xid_classes=("memory",))))]
    )
    assert credits_of([lost(50)], only) == []
    assert len(credits_of([xid(50, "95", "memory")], only)) == 1
    assert credits_of([xid(50, "8", "engine")]) == []
    assert credits_of([lost(50)], PolicyBook()) == []


def test_what_no_team_owns_gets_no_credit() -> None:
    """The platform would pay itself."""
    nobody = {(1, 7, 0): hour(50, scope=PolicyScope(model="H100"))}
    assert credit_moves(Struck([lost(50)], HELD, nobody), BOOK, {}) == []


def test_each_sharer_of_a_device_gets_its_own() -> None:
    """Half a minute of each minute is each one's, and each hour is charged for what it was."""
    halves = [piece._replace(holder=holder, held_us=US_PER_MINUTE // 2) for piece in HELD for holder in (7, 8)]
    shared = {(1, holder, 0): hour(25) for holder in (7, 8)}
    moves = credit_moves(Struck([lost(50)], halves, shared), BOOK, PLENTY)
    assert [move.quanta for move in moves] == [-1_500_000_000, -1_500_000_000]


@given(
    at=st.lists(st.tuples(st.integers(0, 120), st.sampled_from(("gpu_lost", "79", "13"))), max_size=8),
    minutes=st.integers(1, 90),
    cut_us=st.integers(0, US_PER_MINUTE),
)
def test_credits_are_never_more_than_the_work_cost(at: list[tuple[int, str]], minutes: int, cut_us: int) -> None:
    """However many faults: both sides sum to zero, and no more than the device's hours cost is given back."""
    classes = {"79": "bus", "13": "application"}
    faults = [
        lost(number)._replace(at_us=max(0, number * US_PER_MINUTE - cut_us))
        if what == "gpu_lost"
        else xid(number, what, classes[what])
        for number, what in at
    ]
    held = [minute(number) for number in range(120)]
    hours = {(1, 7, 0): hour(60), (1, 7, US_PER_HOUR): hour(60)}
    book = PolicyBook([PolicyEntry(Settings(fault_credit=FaultCredit(minutes=minutes)))])
    moves = credit_moves(Struck(faults, held, hours), book, PLENTY)
    assert 0 <= -sum(move.quanta for move in moves) <= 2 * RATE
    require_conserved(lines_of(moves, FAULT_CREDIT, "policy 1"))


def test_work_before_a_turn_of_the_price_is_credited_at_what_it_was_billed() -> None:
    """Ten minutes at 0.20 and twenty at 0.10, not thirty at the mean of the hour; a piece across the turn is cut."""
    dear = RATE * 2
    hours = {
        (1, 7, 0): hour(30, cost_quanta=dear * 30 // 60),
        (1, 7, 30 * US_PER_MINUTE): hour(20),
    }
    whole = [HeldPiece(1, 7, 0, 50 * US_PER_MINUTE, 50 * US_PER_MINUTE)]
    for held in (HELD, whole):
        [move] = credit_moves(Struck([lost(50)], held, hours), BOOK, PLENTY)
        assert (move.quanta, move.part_us) == (-(10 * 200_000_000 + 20 * 100_000_000), 30 * US_PER_MINUTE * GPU_PARTS)
