"""Running totals for `/metrics`: bounded, and right in sum whatever gives way."""

from __future__ import annotations

from agent.metrics.ceiling import OTHER
from agent.tallies import MAX_XIDS, RETENTION_US, XID_WINDOW_US, Tallies, Xids
from gpuledger.model import Event, Evidence, State, UsageRecord
from tests.agent.nodes import T0


def usage(device: str, holder: str | None, end_us: int, held_us: int = 10) -> UsageRecord:
    state = State.ACTIVE if holder else State.IDLE
    return UsageRecord(device, holder, end_us - held_us, end_us, state, "", held_us, held_us, 7, None, None, Evidence())


def test_holders_beyond_the_ceiling_are_counted_together() -> None:
    """The number of series is bounded; the totals of those that gave way stay in the sums, and giving way is counted."""
    tallies = Tallies(max_pairs=3)
    tallies.add([usage("d", f"h{n}", T0 + n) for n in range(10)], T0)
    kept = {holder: tally.held_us for (_, holder), tally in tallies.pairs()}
    assert kept == {"h8": 10, "h9": 10, OTHER: 80}  # who left first gave way first
    assert tallies.dropped == 8


def test_holders_that_left_long_ago_disappear() -> None:
    """A counter of a holder that is gone is shown for an hour, so that it can be scraped, and then forgotten."""
    tallies = Tallies()
    tallies.add([usage("d", "gone", T0), usage("d", "here", T0 + RETENTION_US), usage("d", None, T0)], T0)
    tallies.add([], T0 + RETENTION_US)
    assert len(tallies.pairs()) == 2
    tallies.add([], T0 + RETENTION_US + 1)
    assert [holder for (_, holder), _ in tallies.pairs()] == ["here"]


def test_who_is_present_keeps_its_series() -> None:
    """Who came first stays: a newcomer beyond the ceiling is counted under `other`, minute by minute."""
    tallies = Tallies(max_pairs=3)
    for minute in range(3):
        tallies.add([usage("d", f"h{n}", T0 + minute) for n in range(5)], T0)
    kept = {holder: tally.held_us for (_, holder), tally in tallies.pairs()}
    assert kept == {"h0": 30, "h1": 30, OTHER: 90}


def test_sums_stay_right_whatever_gives_way() -> None:
    """What all holders had of a device is the same with and without a ceiling."""
    narrow, wide = Tallies(max_pairs=4), Tallies()
    for minute in range(20):
        records = [usage(f"d{n % 2}", f"h{(n * 7 + minute * 3) % 11}", T0 + minute) for n in range(6)]
        narrow.add(records, T0)
        wide.add(records, T0)
    for device in ("d0", "d1"):
        sums = [
            sum(tally.energy_mj or 0 for (key, _), tally in tallies.pairs() if key == device)
            for tallies in (narrow, wide)
        ]
        assert sums[0] == sums[1]
    assert len(narrow.pairs()) <= 4


def test_what_is_counted_together_is_forgotten_with_its_device() -> None:
    """Devices come and go where boards are cut anew: `other` of one that is gone does not stay for ever."""
    tallies = Tallies(max_pairs=1)
    tallies.add([usage("gone", f"h{n}", T0) for n in range(3)], T0)
    tallies.add([], T0 + RETENTION_US + 1)
    assert not tallies.pairs()


def xid(board: str, code: str, at_us: int = T0) -> Event:
    return Event(at_us, "xid", "", device=board, details={"xid": code, "class": "bus"})


def test_xids_are_counted_by_board_and_code_and_know_their_class() -> None:
    """Whose fault a code is stands beside it; other events are none."""
    xids = Xids()
    xids.add([xid("GPU-0", "79"), xid("GPU-0", "79"), Event(T0, "xid", "", device="GPU-1", details={"xid": "13"})])
    xids.add([Event(T0, "device_added", "", device="GPU-0")])
    assert dict(xids.counts) == {("GPU-0", "79"): 2, ("GPU-1", "13"): 1}
    assert xids.classes == {"79": "bus", "13": ""}


def test_a_driver_that_invents_codes_is_bounded() -> None:
    """Beyond a thousand boards and codes XIDs are counted together."""
    xids = Xids()
    xids.add([xid("GPU-0", str(code)) for code in range(MAX_XIDS + 50)])
    assert len(xids.counts) == MAX_XIDS + 1
    assert xids.counts["GPU-0", OTHER] == 50


def test_recent_xids_leave_the_window() -> None:
    """The last code stays known; what happened longer ago than the window is not recent."""
    xids = Xids()
    xids.add([xid("GPU-0", "31"), xid("GPU-0", "79", T0 + XID_WINDOW_US)])
    assert xids.recent(T0 + XID_WINDOW_US) == {("GPU-0", "31"): 1, ("GPU-0", "79"): 1}
    assert xids.recent(T0 + XID_WINDOW_US + 1) == {("GPU-0", "79"): 1}
    assert xids.last == {"GPU-0": "79"}
