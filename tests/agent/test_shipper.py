"""Delivery keeps the order, keeps what was not delivered, and never lets one bad batch stand in the way of the rest."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.shipper import BackOff, Shipper
from agent.spool import Spool
from gpuledger.client import CollectorClient
from tests.agent.scripted_server import Answer, Request, closed_port, problem, receipt, serving
from tests.waiting import until


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path) as opened:
        yield opened


def seal(spool: Spool, *frames: bytes) -> None:
    for frame in frames:
        spool.append(frame, b"", 1)


def longest(_: float, high: float) -> float:
    """Stand for a random source that always waits as long as allowed."""
    return high


def by_body(request: Request) -> Answer:
    """Acknowledge frames that are named after their sequence."""
    return receipt(int(request.body))


def shipper_for(spool: Spool, url: str, **settings: object) -> Shipper:
    return Shipper(spool, CollectorClient(url, timeout_s=2), **{"uniform": longest, **settings})  # type: ignore[arg-type]


def test_batches_are_delivered_in_order_and_forgotten(spool: Spool) -> None:
    """Each step delivers the oldest batch; when nothing waits there is nothing to do."""
    seal(spool, b"0", b"1", b"2")
    with serving(by_body) as server:
        shipper = shipper_for(spool, server.url)
        assert [shipper.ship_oldest() for _ in range(4)] == [0.0, 0.0, 0.0, None]
    assert [request.body for request in server.requests] == [b"0", b"1", b"2"]
    assert shipper.stats.delivered == 3
    assert spool.stats().batches == 0


def test_a_duplicate_counts_as_delivered(spool: Spool) -> None:
    """A batch that arrived before (its answer was lost) is done, and counted as such."""
    seal(spool, b"0")
    with serving(lambda _: receipt(0, duplicate=True)) as server:
        shipper = shipper_for(spool, server.url)
        shipper.ship_oldest()
    assert (shipper.stats.delivered, shipper.stats.duplicates) == (1, 1)
    assert spool.stats().batches == 0


def test_failures_wait_longer_and_longer_and_keep_the_batch(spool: Spool) -> None:
    """Without a collector the batch stays, and the waits double up to the limit."""
    seal(spool, b"0")
    shipper = shipper_for(spool, f"http://127.0.0.1:{closed_port()}", back_off=BackOff(first_s=1, most_s=5))
    assert [shipper.ship_oldest() for _ in range(5)] == [1, 2, 4, 5, 5]
    assert spool.stats().batches == 1
    assert shipper.stats.failures_in_a_row == 5
    assert "does not answer" in shipper.stats.last_error


def test_after_a_success_the_back_off_starts_again(spool: Spool) -> None:
    """One delivery ends a row of failures."""
    seal(spool, b"0", b"1")
    answers = iter([problem(503, "busy"), receipt(0), problem(503, "busy")])
    with serving(lambda _: next(answers)) as server:
        shipper = shipper_for(spool, server.url)
        assert [shipper.ship_oldest() for _ in range(3)] == [1, 0.0, 1]


@pytest.mark.parametrize(("asked", "expected"), [("30", 30.0), ("0", 1.0), ("99999", 600.0)])
def test_the_collector_may_ask_for_more_time_within_reason(spool: Spool, asked: str, expected: float) -> None:
    """Retry-After is honoured where it is longer than our own wait, up to ten minutes."""
    seal(spool, b"0")
    with serving(lambda _: problem(429, "slow down", Retry_After=asked)) as server:
        assert shipper_for(spool, server.url).ship_oldest() == expected
    assert spool.stats().batches == 1


@pytest.mark.parametrize("status", [400, 409, 413, 415, 422])
def test_a_batch_refused_for_good_is_set_aside_and_the_next_goes_on(spool: Spool, tmp_path: Path, status: int) -> None:
    """A bad batch is kept with its reason and counted; the batches behind it are delivered."""
    seal(spool, b"0", b"1")
    with serving(lambda r: problem(status, "overlaps what is stored") if r.body == b"0" else by_body(r)) as server:
        shipper = shipper_for(spool, server.url)
        assert [shipper.ship_oldest() for _ in range(3)] == [0.0, 0.0, None]
    assert (shipper.stats.refused, shipper.stats.delivered) == (1, 1)
    (kept,) = (tmp_path / "refused").glob("*.frame")
    assert kept.read_bytes() == b"0"
    assert "overlaps" in kept.with_suffix(".txt").read_text()


@pytest.mark.parametrize("status", [301, 401, 403, 404, 405])
def test_a_refusal_that_is_not_about_the_batch_keeps_it(spool: Spool, tmp_path: Path, status: int) -> None:
    """A wrong address or a revoked token must not push a node's whole history into the refused folder."""
    seal(spool, b"0")
    with serving(lambda _: problem(status, "who are you?")) as server:
        shipper = shipper_for(spool, server.url)
        assert shipper.ship_oldest() == 1
    assert spool.stats().batches == 1
    assert not list((tmp_path / "refused").iterdir())
    assert "who are you?" in shipper.stats.last_error


def test_the_receipt_of_another_batch_acknowledges_nothing(spool: Spool) -> None:
    """An answer about a different sequence is not a delivery."""
    seal(spool, b"0")
    with serving(lambda _: receipt(5)) as server:
        assert shipper_for(spool, server.url).ship_oldest() == 1
    assert spool.stats().batches == 1


def test_the_thread_delivers_what_is_sealed_later(spool: Spool) -> None:
    """Once started, batches go out as they are sealed, without being asked for."""
    with serving(by_body) as server:
        shipper = shipper_for(spool, server.url)
        shipper.start()
        seal(spool, b"0")
        shipper.notify()
        assert shipper.wait_until_empty(threading.Event())
        seal(spool, b"1")
        shipper.notify()
        assert shipper.wait_until_empty(threading.Event())
        shipper.finish(1)
    assert shipper.stats.delivered == 2


def test_the_thread_outlives_an_outage(spool: Spool) -> None:
    """A collector that comes back gets everything that waited, in order and once."""
    seal(spool, b"0", b"1", b"2")
    down = threading.Event()
    down.set()
    with serving(lambda r: problem(503, "down") if down.is_set() else by_body(r)) as server:
        shipper = shipper_for(spool, server.url, back_off=BackOff(first_s=0.001, most_s=0.01))
        shipper.start()
        while shipper.stats.failures < 3:
            pass
        down.clear()
        assert shipper.wait_until_empty(threading.Event())
        shipper.finish(1)
    assert [r.body for r in server.requests if r.body != b"0"] == [b"1", b"2"]


def test_finishing_gives_up_when_its_time_is_over(spool: Spool) -> None:
    """Shutting down without a collector ends on time, and the batches wait for the next start."""
    seal(spool, b"0")
    shipper = shipper_for(spool, f"http://127.0.0.1:{closed_port()}")
    shipper.start()
    shipper.finish(within_s=0.05)
    assert not shipper._thread.is_alive()
    assert spool.stats().batches == 1


def test_finishing_delivers_what_waits_first(spool: Spool) -> None:
    """Shutting down with a collector there leaves nothing behind, even in the middle of a back-off."""
    failing = threading.Event()
    failing.set()
    seal(spool, b"0", b"1")
    with serving(lambda r: problem(503, "down") if failing.is_set() else by_body(r)) as server:
        shipper = shipper_for(spool, server.url, back_off=BackOff(first_s=1000, most_s=1000))
        shipper.start()
        until(lambda: shipper.stats.failures)
        failing.clear()
        shipper.finish(within_s=30)  # it returns as soon as nothing waits
    assert spool.stats().batches == 0


def test_finishing_while_an_attempt_fails_tries_once_more(spool: Spool) -> None:
    """The instant between a failure and the wait after it is no exception."""
    failing = threading.Event()
    failing.set()
    seal(spool, b"0")

    def finish_first(_low: float, high: float) -> float:
        """Let somebody finish after the attempt has failed, and before the wait begins."""
        failing.clear()
        finisher.start()
        until(shipper._finishing.is_set)
        return high

    with serving(lambda r: problem(503, "down") if failing.is_set() else by_body(r)) as server:
        shipper = shipper_for(spool, server.url, back_off=BackOff(first_s=1000, most_s=1000), uniform=finish_first)
        finisher = threading.Thread(target=shipper.finish, args=(5,))
        shipper.start()
        until(lambda: finisher.ident)
        finisher.join()
    assert spool.stats().batches == 0


def test_waiting_for_an_empty_spool_ends_when_stopped(spool: Spool) -> None:
    """An agent that is told to stop does not wait for a collector that is away."""
    seal(spool, b"0")
    stop = threading.Event()
    stop.set()
    assert shipper_for(spool, "http://127.0.0.1:1").wait_until_empty(stop) is False


@given(st.integers(1, 10_000), st.floats(0, 1))
def test_the_wait_is_a_random_part_of_a_growing_ceiling(failures: int, part: float) -> None:
    """Full jitter: anything from nothing to the ceiling, which doubles and never passes its limit."""
    delay_s = BackOff(first_s=0.5, most_s=60).delay_s(failures, lambda low, high: low + (high - low) * part)
    assert 0 <= delay_s <= min(60, 0.5 * 2 ** min(failures, 20))


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refusal_by_somebody_else_keeps_the_batch(spool: Spool, tmp_path: Path, status: int) -> None:
    """A proxy's error page, without a code of the collector's, says nothing about the batch."""
    seal(spool, b"0")
    with serving(lambda _: Answer(status, b"<html>plain HTTP sent to HTTPS port</html>")) as server:
        assert shipper_for(spool, server.url).ship_oldest() == 1
    assert spool.stats().batches == 1
    assert not list((tmp_path / "refused").iterdir())


def test_damage_that_cannot_be_kept_aside_is_tried_again(spool: Spool, tmp_path: Path) -> None:
    """Where the disk takes no copy of a damaged record, delivery waits for room; its thread lives on."""
    seal(spool, b"0", b"1")
    (segment,) = tmp_path.glob("*.seg")
    segment.write_bytes(segment.read_bytes().replace(b"GPSR", b"XXXX", 1))
    in_the_way = segment.with_suffix(".0.bad.tmp")
    in_the_way.mkdir()
    with serving(by_body) as server:
        shipper = shipper_for(spool, server.url)
        assert shipper.ship_oldest() == 1
        assert "could not be written" in shipper.stats.last_error
        in_the_way.rmdir()
        assert [shipper.ship_oldest() for _ in range(2)] == [0.0, None]
    assert spool.stats().corrupt == 1
