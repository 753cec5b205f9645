"""The loop meters a node without a seam: whatever stops, restarts, fills up or fails, time is accounted for once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.devices.base import DriverEvent, NodeReading
from agent.loop import AgentLoop, LoopSettings, next_on_grid
from agent.observe import Observer
from agent.sampling import Sampling
from agent.sealer import Origin, Sealer, read_checkpoint
from agent.spool import Spool
from gpuledger import wire
from gpuledger.clock import VirtualClock
from gpuledger.errors import DeviceError, SpoolError
from gpuledger.model import Event, State, UsageRecord
from tests.agent.nodes import MINUTE, POD_KEY, T0, GivenSource, board, mig_board, node, process, resolver

STEP = 10_000_000
NEVER = threading.Event()


class Rig:
    """An agent over one spool that can be abandoned at any moment and started again."""

    def __init__(
        self,
        directory: Path,
        reading: Callable[[int], NodeReading | DeviceError],
        *,
        interval_us: int = STEP,
        max_bytes: int = 10**9,
        max_rows: int = 10**6,
        seal_interval_us: int = MINUTE,
        start_us: int = T0,
    ) -> None:
        self.clock = VirtualClock(start_us)
        self.spool = Spool(directory, max_bytes=max_bytes)
        self.source = GivenSource(lambda: reading(self.clock.now_us()))
        checkpoint = read_checkpoint(self.spool)
        self.sealer = Sealer(
            self.spool,
            Origin("agent-a", "node-a", "c", "test"),
            seal_interval_us=seal_interval_us,
            max_rows=max_rows,
            known=checkpoint.devices if checkpoint else (),
        )
        self.loop = AgentLoop(
            Sampling(self.source),
            Observer(resolver(process(1), process(2, "0::/\n", uid=5)), node="node-a"),
            self.sealer,
            self.clock,
            LoopSettings(interval_us, 3 * interval_us),
            checkpoint=checkpoint.meter if checkpoint else None,
        )

    def run(self, from_us: int, until_us: int) -> Rig:
        self.loop.run(NEVER, from_us=from_us, until_us=until_us)
        return self

    def abandon(self) -> None:
        """Leave the files as they are, as kill -9 does."""
        self.spool.close()

    def batches(self) -> list[wire.Batch]:
        found = []
        while (record := self.spool.oldest()) is not None:
            batch = wire.decode(record.frame)
            wire.check(batch, now_us=batch.until_us)
            found.append(batch)
            self.spool.acknowledge(record.sequence)
        return found


def busy(at_us: int) -> NodeReading:
    """Two boards; a pod is on the first for the first half of each three minutes, a user on the second all the time."""
    pids = (1,) if (at_us - T0) % (3 * MINUTE) < 90_000_000 else ()
    elapsed_s = (at_us - T0) // 1_000_000
    return node(
        board(0, *pids, energy_mj=elapsed_s * 300_001, utilization_ppm=700_001 if pids else 0),
        board(1, 2, energy_mj=elapsed_s * 90_000, utilization_ppm=elapsed_s * 7919 % 1_000_001),
    )


def records_of(batches: list[wire.Batch]) -> list[UsageRecord]:
    return [record for batch in batches for record in wire.unpack_usage(batch)]


def totals(batches: list[wire.Batch]) -> dict[tuple[str, str | None, State], tuple[int, int, int]]:
    sums: dict[tuple[str, str | None, State], tuple[int, int, int]] = {}
    for record in records_of(batches):
        key = (record.device, record.holder, record.state)
        held, active, energy = sums.get(key, (0, 0, 0))
        sums[key] = (held + record.held_us, active + (record.active_us or 0), energy + (record.energy_mj or 0))
    return sums


def assert_contiguous(batches: list[wire.Batch], from_us: int, until_us: int) -> None:
    """Batches follow each other without gap, overlap or missing number, from the first instant to the last."""
    assert [batch.sequence for batch in batches] == list(range(len(batches)))
    assert len({batch.boot for batch in batches}) == 1
    edges = [from_us, *(batch.until_us for batch in batches)]
    assert [batch.from_us for batch in batches] == edges[:-1]
    assert edges[-1] == until_us


def test_the_grid_meets_every_minute() -> None:
    """Samples fall on multiples of the interval, so every minute boundary is a sample."""
    assert next_on_grid(T0, STEP) == T0 + STEP
    assert next_on_grid(T0 - 1, STEP) == T0
    assert next_on_grid(T0 + 5 * STEP + 1, STEP) == T0 + MINUTE


def test_every_minute_is_sealed_as_it_ends(tmp_path: Path) -> None:
    """With a batch a minute, five minutes are five batches, complete and contiguous."""
    rig = Rig(tmp_path, busy).run(T0, T0 + 5 * MINUTE)
    batches = rig.batches()
    assert len(batches) == 5
    assert_contiguous(batches, T0, T0 + 5 * MINUTE)
    held = sum(record.held_us for record in records_of(batches))
    assert held == 2 * 5 * MINUTE


def test_batches_wait_for_their_time_or_their_rows(tmp_path: Path) -> None:
    """A batch is sealed when it covers enough time, or earlier when it has enough rows."""
    slow = Rig(tmp_path / "a", busy, seal_interval_us=3 * MINUTE).run(T0, T0 + 7 * MINUTE)
    assert [batch.until_us - batch.from_us for batch in slow.batches()] == [3 * MINUTE, 3 * MINUTE]
    full = Rig(tmp_path / "b", busy, seal_interval_us=60 * MINUTE, max_rows=4).run(T0, T0 + 4 * MINUTE)
    assert len(full.batches()) == 2


def test_a_batch_describes_whatever_its_rows_name(tmp_path: Path) -> None:
    """Devices and holders travel with the rows, holders that have already left among them."""
    batch = Rig(tmp_path, busy, seal_interval_us=3 * MINUTE).run(T0, T0 + 3 * MINUTE).batches()[0]
    assert {device.key: device.node for device in batch.devices} == {"GPU-0": "node-a", "GPU-1": "node-a"}
    assert {holder.key: holder.pod for holder in batch.holders} == {POD_KEY: "trainer", "user:5": ""}
    assert (batch.agent, batch.node, batch.cluster) == ("agent-a", "node-a", "c")


def test_finishing_seals_up_to_the_last_sample(tmp_path: Path) -> None:
    """A clean stop in the middle of a minute leaves nothing behind, and the next start continues there."""
    rig = Rig(tmp_path, busy).run(T0, T0 + MINUTE + 2 * STEP)
    assert rig.loop.finish()
    first = rig.batches()
    assert_contiguous(first, T0, T0 + MINUTE + 2 * STEP)
    rig.abandon()
    again = Rig(tmp_path, busy).run(T0 + MINUTE + 2 * STEP, T0 + 3 * MINUTE)
    assert_contiguous([*first, *again.batches()], T0, T0 + 3 * MINUTE)


def test_finishing_before_any_sample_is_nothing(tmp_path: Path) -> None:
    """An agent that is stopped at once has nothing to seal."""
    rig = Rig(tmp_path, lambda _: DeviceError("not there"))
    assert rig.loop.finish()
    assert rig.batches() == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.sampled_from([MINUTE, 2 * MINUTE]))
def test_killed_at_any_sample_and_replayed_from_the_checkpoint_nothing_differs(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], seal_interval_us: int
) -> None:
    """An agent that is killed again and again and replays from its spool reports what an undisturbed one does."""
    until_us = T0 + 6 * MINUTE
    undisturbed = Rig(tmp_path_factory.mktemp("a"), busy, seal_interval_us=seal_interval_us).run(T0, until_us)
    directory = tmp_path_factory.mktemp("b")
    delivered: list[wire.Batch] = []
    for samples in kills:
        rig = Rig(directory, busy, seal_interval_us=seal_interval_us)
        checkpoint = read_checkpoint(rig.spool)
        resume_us = checkpoint.meter.at_us if checkpoint else T0
        rig.run(resume_us, min(until_us, resume_us + samples * STEP))
        delivered += rig.batches()
        rig.abandon()
    rig = Rig(directory, busy, seal_interval_us=seal_interval_us)
    checkpoint = read_checkpoint(rig.spool)
    rig.run(checkpoint.meter.at_us if checkpoint else T0, until_us)
    delivered += rig.batches()
    expected = undisturbed.batches()
    assert records_of(delivered) == records_of(expected)
    assert totals(delivered) == totals(expected)
    assert_contiguous(delivered, T0, until_us)


def test_time_without_an_agent_is_unobserved(tmp_path: Path) -> None:
    """After a restart the time between the checkpoint and the first sample is nobody's, and said to be the agent's."""
    rig = Rig(tmp_path, busy).run(T0, T0 + MINUTE)
    rig.abandon()
    again = Rig(tmp_path, busy).run(T0 + 4 * MINUTE, T0 + 5 * MINUTE)
    away = [record for record in records_of(again.batches()) if record.state is State.UNOBSERVED]
    assert {record.reason for record in away} == {"agent_down"}
    assert sum(record.held_us for record in away) == 2 * 3 * MINUTE


def test_devices_that_went_while_the_agent_was_away_are_still_described(tmp_path: Path) -> None:
    """Rows about the time away may name devices that are gone now: the checkpoint remembers them."""
    rig = Rig(tmp_path, lambda _: node(mig_board(0), board(1))).run(T0, T0 + MINUTE)
    rig.abandon()
    again = Rig(tmp_path, lambda _: node(board(1))).run(T0 + 3 * MINUTE, T0 + 4 * MINUTE)
    batches = again.batches()
    assert {device.key for batch in batches for device in batch.devices} >= {"MIG-0a", "MIG-0b", "GPU-0/remainder"}


def test_a_driver_that_does_not_answer_leaves_unobserved_time(tmp_path: Path) -> None:
    """While the driver fails nothing is made up, and it is left alone for longer and longer; the gap is unobserved."""
    asked: list[int] = []

    def failing(at_us: int) -> NodeReading | DeviceError:
        asked.append(at_us)
        return DeviceError("driver gone") if T0 + MINUTE < at_us < T0 + 4 * MINUTE else busy(at_us)

    rig = Rig(tmp_path, failing).run(T0, T0 + 6 * MINUTE)
    batches = rig.batches()
    assert_contiguous(batches, T0, T0 + 6 * MINUTE)
    gap = [record for record in records_of(batches) if record.state is State.UNOBSERVED]
    assert {record.reason for record in gap} == {"no_samples"}
    assert min(record.start_us for record in gap) == T0 + MINUTE
    assert len([at for at in asked if T0 + MINUTE < at < T0 + 4 * MINUTE]) < 10


def test_a_full_spool_pauses_metering_and_loses_nothing_that_was_metered(tmp_path: Path) -> None:
    """What was metered before the spool filled up is delivered; the pause is unobserved; an event says why."""
    rig = Rig(tmp_path, busy, max_bytes=3_000).run(T0, T0 + 5 * MINUTE)
    assert rig.loop.blocked
    before = rig.batches()
    batches = before
    for minute in range(5, 9):
        rig.run(T0 + minute * MINUTE + STEP, T0 + (minute + 1) * MINUTE)
        batches += rig.batches()
    assert not rig.loop.blocked
    assert_contiguous(batches, T0, batches[-1].until_us)
    pause = [record for record in records_of(batches) if record.state is State.UNOBSERVED]
    assert {record.reason for record in pause} == {"no_samples"}
    assert "spool_full" in {event.kind for batch in batches for event in batch.events}


def test_finishing_with_a_full_spool_says_so(tmp_path: Path) -> None:
    """A stop that cannot seal is not reported as clean."""
    rig = Rig(tmp_path, busy, max_bytes=1_000).run(T0, T0 + 5 * MINUTE)
    assert rig.loop.finish() is False


def test_a_gap_that_is_too_long_for_records_is_left_open(tmp_path: Path) -> None:
    """After months away the agent does not write millions of rows about nothing: metering starts anew, and is said."""
    rig = Rig(tmp_path, busy).run(T0, T0 + MINUTE)
    rig.abandon()
    later = T0 + 200_001 * 60 * MINUTE
    again = Rig(tmp_path, busy, start_us=later).run(later, later + MINUTE)
    (batch,) = again.batches()[-1:]
    assert batch.from_us == later
    assert "gap_not_metered" in {event.kind for event in batch.events}


def test_events_travel_with_the_batch_that_covers_them(tmp_path: Path) -> None:
    """An XID goes out once, in the batch of its minute; notes of the agent likewise."""

    def with_xid(at_us: int) -> NodeReading:
        events = (DriverEvent("xid", "GPU-0", 31, "memory page fault"),) if at_us == T0 + MINUTE + STEP else ()
        return busy(at_us)._replace(events=events)

    rig = Rig(tmp_path, with_xid)
    rig.loop.note(Event(T0, "agent_started", "hello"))
    batches = rig.run(T0, T0 + 3 * MINUTE).batches()
    found = [(number, event.kind) for number, batch in enumerate(batches) for event in batch.events]
    assert [entry for entry in found if entry[1] in ("xid", "agent_started")] == [(0, "agent_started"), (1, "xid")]


def test_a_clock_that_was_set_back_meters_nothing_twice(tmp_path: Path) -> None:
    """Samples of time that was metered already are ignored until the clock has caught up, with an event."""
    rig = Rig(tmp_path, busy).run(T0, T0 + 2 * MINUTE)
    rig.clock.advance_to(T0 + MINUTE)
    rig.run(T0 + MINUTE, T0 + 4 * MINUTE)
    batches = rig.batches()
    assert_contiguous(batches, T0, T0 + 4 * MINUTE)
    assert "clock_jump" in {event.kind for batch in batches for event in batch.events}


def test_a_stop_ends_the_loop_before_the_next_sample(tmp_path: Path) -> None:
    """Told to stop, the loop reads nothing more."""
    stop = threading.Event()

    def stopping(at_us: int) -> NodeReading:
        stop.set()
        return busy(at_us)

    rig = Rig(tmp_path, stopping)
    rig.loop.run(stop)
    assert rig.loop.samples == 1


def test_samples_that_were_missed_are_skipped(tmp_path: Path) -> None:
    """A sample that took longer than the interval is followed by the next instant of the grid, not by a burst."""
    rig: Rig

    def slow(at_us: int) -> NodeReading:
        seen.append(at_us)
        rig.clock.advance_to(at_us + 25_000_000)
        return busy(at_us)

    seen: list[int] = []
    rig = Rig(tmp_path, slow)
    rig.run(T0, T0 + MINUTE)
    assert [at - T0 for at in seen] == [0, 3 * STEP, 6 * STEP]


def test_a_checkpoint_of_another_version_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    """A spool that was written by a version we cannot read is not silently started over."""
    spool = Spool(tmp_path)
    spool.append(b"frame", b"\xc1 not a checkpoint", 1)
    with pytest.raises(SpoolError, match="checkpoint") as raised:
        read_checkpoint(spool)
    assert "new spool" in raised.value.hint
    spool.close()


def test_a_driver_that_cannot_be_released_is_no_reason_to_fail() -> None:
    """Shutting down goes on where closing the driver fails."""

    class Stuck(GivenSource):
        def close(self) -> None:
            raise DeviceError("stuck")

    sampling = Sampling(Stuck(lambda: busy(T0)))
    assert sampling.read(T0) is not None
    sampling.close()
    assert sampling.stats.readings == 1


def test_a_pause_is_unobserved_however_short(tmp_path: Path) -> None:
    """A sample that a full spool did not let be metered is a gap, also where the next one comes before a gap is due."""
    rig = Rig(tmp_path, busy, max_bytes=2_000).run(T0, T0 + 2 * MINUTE)
    while not rig.loop.blocked:
        rig.run(rig.clock.now_us() + 1, rig.clock.now_us() + STEP)
    stopped_us = rig.clock.now_us()
    rig.run(stopped_us + 1, stopped_us + STEP)
    batches = rig.batches()
    batches += rig.run(stopped_us + STEP + 1, stopped_us + 2 * STEP).batches()
    rig.loop.finish()
    batches += rig.batches()
    assert_contiguous(batches, T0, stopped_us + 2 * STEP)
    pause = [record for record in records_of(batches) if record.end_us > stopped_us]
    assert {(record.state, record.reason) for record in pause} == {(State.UNOBSERVED, "no_samples")}


def test_what_the_driver_reports_while_metering_waits_is_kept(tmp_path: Path) -> None:
    """An XID during a pause goes out with the first batch after it."""

    def with_xid(at_us: int) -> NodeReading:
        events = (DriverEvent("xid", "GPU-0", 79, "fell off"),) if at_us == T0 + 4 * MINUTE else ()
        return busy(at_us)._replace(events=events)

    rig = Rig(tmp_path, with_xid, max_bytes=2_000).run(T0, T0 + 4 * MINUTE)
    assert rig.loop.blocked
    batches = rig.batches()
    batches += rig.run(T0 + 4 * MINUTE + STEP, T0 + 5 * MINUTE).batches()
    batches += rig.run(T0 + 5 * MINUTE + STEP, T0 + 6 * MINUTE).batches()
    assert [event.kind for batch in batches for event in batch.events].count("xid") == 1


def test_a_clock_that_was_ahead_does_not_stop_metering_for_good(tmp_path: Path) -> None:
    """Set right after an hour ahead, the clock is waited for as if it were wrong now; then metering begins anew."""
    rig = Rig(tmp_path, busy).run(T0, T0 + 2 * MINUTE)
    ahead_us = T0 + 62 * MINUTE
    rig.run(ahead_us, ahead_us + MINUTE)
    rig.clock.advance_to(T0 + 3 * MINUTE)
    rig.run(T0 + 3 * MINUTE, T0 + 12 * MINUTE)
    again = [batch for batch in rig.batches() if batch.sealed_at_us < ahead_us]
    assert [(batch.from_us - T0) // MINUTE for batch in again] == [0, 1, 8, 9, 10, 11]
    jumps = [event.severity for event in again[2].events if event.kind == "clock_jump"]
    assert jumps == ["warning", "error"]


def test_a_clock_that_was_ahead_before_a_restart_does_not_stop_metering_either(tmp_path: Path) -> None:
    """The checkpoint of a wrong clock lies in the future: after a while metering begins anew at the present."""
    Rig(tmp_path, busy, start_us=T0 + 600 * MINUTE).run(T0 + 600 * MINUTE, T0 + 601 * MINUTE).abandon()
    again = Rig(tmp_path, busy).run(T0, T0 + 7 * MINUTE)
    assert again.batches()[-1].until_us == T0 + 7 * MINUTE


def test_a_gap_is_as_long_as_the_devices_that_were_there_are_many(tmp_path: Path) -> None:
    """Rows of a gap are about the devices before it: a node that comes back with fewer writes no more of them."""
    many = node(*(board(number) for number in range(40)))
    Rig(tmp_path, lambda _: many).run(T0, T0 + MINUTE).abandon()
    later = T0 + 10_000 * 60 * MINUTE
    again = Rig(tmp_path, lambda _: node(), start_us=later).run(later, later + MINUTE)
    assert [batch.rows for batch in again.batches()][1:] == [0]


def test_finishing_seals_what_is_metered_also_where_no_gpu_is_left(tmp_path: Path) -> None:
    """A node that lost its last device is told to stop: what was metered before goes out."""
    rig = Rig(tmp_path, lambda at_us: busy(at_us) if at_us < T0 + 30_000_000 else node()).run(T0, T0 + 50_000_000)
    assert rig.loop.finish() is True
    assert_contiguous(rig.batches(), T0, T0 + 50_000_000)


def test_a_holder_of_the_sample_that_ends_a_pause_is_not_forgotten(tmp_path: Path) -> None:
    """That sample seals twice, what waited and the pause; who was there at it alone is still named afterwards."""
    there_us = T0 + 6 * MINUTE + STEP

    def passing(at_us: int) -> NodeReading:
        return node(board(0, *((2,) if at_us == there_us else ()), energy_mj=0, utilization_ppm=0))

    rig = Rig(tmp_path, passing, max_bytes=2_500).run(T0, T0 + 6 * MINUTE)
    assert rig.loop.blocked
    batches = rig.batches() + rig.run(there_us, there_us + MINUTE).batches()
    batches += rig.run(there_us + MINUTE + 1, there_us + 2 * MINUTE).batches()
    held = [record.held_us for record in records_of(batches) if record.holder == "user:5"]
    assert held == [STEP]
