"""The ledger takes each batch once, whole or not at all, and keeps its sums exact."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.ledger.database import Session
from collector.ledger.quarantine import QuarantineLimits
from collector.ledger.store import Ledger, LedgerOptions
from gpuledger import wire
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.clock import VirtualClock
from gpuledger.errors import LedgerError
from gpuledger.model import Event, State
from tests.collector.ask import RAW_HOURLY, ask, contents
from tests.collector.batches import START_US, batch, device, frame, holder, minutes, records

NOW_US = START_US + 40 * 24 * US_PER_HOUR
KEY = "GPU-0000"


def opened(directory: Path, **options: Any) -> Ledger:
    return Ledger.open(directory, clock=VirtualClock(NOW_US), **options)


def test_a_batch_is_stored_with_its_dimensions(tmp_path: Path) -> None:
    """Rows, holders, evidence, energy and events of a batch are in the ledger once `ingest` returns."""
    usage = [
        *records(KEY, START_US, START_US + 2 * US_PER_MINUTE, "pod:uid-1/c"),
        *records(KEY, START_US + 2 * US_PER_MINUTE, START_US + 3 * US_PER_MINUTE, energy_mj=None, active_us=None),
    ]
    event = Event(START_US, "xid", "XID 79", device=KEY, details={"code": "79"})
    with opened(tmp_path) as ledger:
        [result] = ledger.ingest([frame(0, usage, events=[event])])
        assert (result.taken, result.duplicate, result.rows) == (True, False, 3)
        found = contents(ledger)
        assert found["usage"][1] == (
            KEY, "pod:uid-1/c", START_US, START_US + US_PER_MINUTE, int(State.ACTIVE), "", US_PER_MINUTE,
            US_PER_MINUTE // 3, US_PER_MINUTE // 7_000, 1_000_003, 2_000_000, "device_utilization", 0,
        )  # fmt: skip
        assert found["usage"][0][1:3] == ("", START_US + 2 * US_PER_MINUTE)
        assert found["usage"][0][7:9] == (None, None), "unknown stays unknown"
        assert found["events"] == [(START_US, "xid", KEY, '{"code":"79"}')]
        assert found["energy"] == [(KEY, 2 * (US_PER_MINUTE // 7_000), 0, 2 * (US_PER_MINUTE // 7_000))]
        assert found["devices"] == [(KEY, 840, START_US, None)]


def test_a_batch_sent_again_changes_nothing(tmp_path: Path) -> None:
    """A replayed batch is a duplicate, in the same transaction, in a later one and after a restart."""
    with opened(tmp_path) as ledger:
        results = ledger.ingest([minutes(0), minutes(0), minutes(1)])
        assert [r.duplicate for r in results] == [False, True, False]
        before = contents(ledger)
        assert [r.duplicate for r in ledger.ingest([minutes(1), minutes(0)])] == [True, True]
        assert contents(ledger) == before
    with opened(tmp_path) as ledger:
        assert [r.duplicate for r in ledger.ingest([minutes(0), minutes(1)])] == [True, True]
        assert contents(ledger) == before


def test_another_content_under_a_known_identity_is_a_conflict(tmp_path: Path) -> None:
    """The same (agent, boot, sequence) with another digest is refused and kept, before and after a restart."""
    other = frame(0, records("GPU-0007", START_US, START_US + US_PER_MINUTE))
    with opened(tmp_path) as ledger:
        assert [r.code for r in ledger.ingest([minutes(0), other])] == ["", "conflict"]
        before = contents(ledger)
    with opened(tmp_path) as ledger:
        assert [r.code for r in ledger.ingest([other])] == ["conflict"]
        assert contents(ledger) == before
        assert ask(ledger, "SELECT code, frame FROM quarantine") == [("conflict", other)], "once, as it came"


def damaged(kind: str) -> bytes:
    """Return a frame that breaks one promise of the wire."""
    good = records(KEY, START_US, START_US + US_PER_MINUTE)
    whole = frame(9, good, agent="node-b")
    if kind == "not_a_batch":
        return b"GET / HTTP/1.1"
    if kind == "checksum":
        return whole[:-1] + bytes([whole[-1] ^ 1])
    if kind == "schema":
        return whole[:4] + b"\x63\x00" + whole[6:]
    if kind == "too_large":
        return whole[:8] + (wire.MAX_BODY_BYTES + 1).to_bytes(4, "little") + whole[12:]
    if kind == "future":
        late = records(KEY, NOW_US + US_PER_HOUR, NOW_US + US_PER_HOUR + US_PER_MINUTE)
        return frame(9, late, agent="node-b")
    changed: dict[str, list[Any]] = {
        "interval": records(KEY, START_US, START_US + US_PER_MINUTE, end_us=START_US),
        "overlap": [*good, *records(KEY, START_US + 1, START_US + US_PER_MINUTE)],
        "shares": records(KEY, START_US, START_US + US_PER_MINUTE, held_us=1),
        "malformed": records(KEY, START_US, START_US + US_PER_MINUTE, memory_max_bytes=2**60),
    }
    if kind in changed:
        return frame(9, changed[kind], agent="node-b")
    found = batch(9, good, agent="node-b")
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    if kind == "reference":
        return wire.encode(wire.Batch(**{**fields, "reasons": ()}))
    assert kind == "clock"
    return wire.encode(wire.Batch(**{**fields, "sealed_at_us": START_US - US_PER_HOUR}))


@pytest.mark.parametrize(
    "kind",
    ["not_a_batch", "checksum", "schema", "too_large", "malformed", "interval", "overlap", "shares", "reference",
     "future", "clock"],
)  # fmt: skip
def test_a_broken_frame_goes_to_quarantine_and_harms_nobody(tmp_path: Path, kind: str) -> None:
    """Each broken promise is refused under its own code, kept as it came, and its neighbours are stored."""
    with opened(tmp_path) as ledger:
        results = ledger.ingest([minutes(0), damaged(kind), minutes(1)])
        assert [r.code for r in results] == ["", kind, ""]
        assert ask(ledger, "SELECT code, frame FROM quarantine") == [(kind, damaged(kind))]
        kept = contents(ledger)
        with opened(tmp_path / "other") as other:
            other.ingest([minutes(0), minutes(1)])
            assert contents(other) == kept


def test_time_that_is_covered_is_not_taken_twice(tmp_path: Path) -> None:
    """Another batch over stored time of a device is refused whole, also after a restart; other devices are free."""
    again = frame(5, records(KEY, START_US + 2 * US_PER_MINUTE, START_US + 3 * US_PER_MINUTE), boot="boot-2")
    beside = frame(6, records("GPU-0005", START_US, START_US + US_PER_MINUTE), boot="boot-2")
    with opened(tmp_path) as ledger:
        assert [r.code for r in ledger.ingest([minutes(0), again, beside])] == ["", "overlap", ""]
    with opened(tmp_path) as ledger:
        assert [r.code for r in ledger.ingest([frame(7, records(KEY, START_US, START_US + US_PER_MINUTE))])] == [
            "overlap"
        ]
        touching = frame(8, records(KEY, START_US + 5 * US_PER_MINUTE, START_US + 6 * US_PER_MINUTE))
        assert [r.code for r in ledger.ingest([touching])] == [""]


def test_a_pools_records_may_overlap(tmp_path: Path) -> None:
    """Jobs of a pool run at once: their records add up instead of excluding one another."""
    pool = device(0, key="pool:c1/a100", kind="pool", units=8)
    usage = [
        *records(pool.key, START_US, START_US + US_PER_MINUTE, "pod:uid-1/c", energy_mj=None, held_us=2 * US_PER_MINUTE)
    ]
    with opened(tmp_path) as ledger:
        results = ledger.ingest([frame(n, usage, devices=[pool]) for n in range(3)])
        assert [r.code for r in results] == ["", "", ""]
        assert ask(ledger, "SELECT sum(held_us) FROM usage_hourly") == [(6 * US_PER_MINUTE,)]
    with opened(tmp_path) as ledger:
        assert ledger.ingest([frame(3, usage, devices=[pool])])[0].taken


def fleet_frames() -> list[bytes]:
    """Three nodes over five hours, some time missing, with a shared device and unknown figures."""
    found = []
    for node in ("node-a", "node-b", "node-c"):
        for sequence in range(10):
            start_us = START_US + sequence * 30 * US_PER_MINUTE
            length_us = (29 if sequence == 4 else 30) * US_PER_MINUTE
            usage = records(KEY, start_us, start_us + length_us, f"pod:uid-{sequence % 3}/c")
            for share, who in (
                (US_PER_MINUTE // 4, "pod:uid-7/c"),
                (US_PER_MINUTE - US_PER_MINUTE // 4, "pod:uid-8/c"),
            ):
                usage += records(
                    "GPU-0001", start_us, start_us + US_PER_MINUTE, who,
                    held_us=share, active_us=None, energy_mj=None, memory_max_bytes=None, memory_mean_bytes=None,
                )  # fmt: skip
            retired = [Event(start_us + length_us, "device_retired", "gone", device=KEY)] if sequence == 4 else []
            found.append(frame(sequence, usage, agent=node, events=retired))
    return found


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Any, ...]]]:
    with opened(tmp_path_factory.mktemp("in-order")) as ledger:
        assert all(r.taken for r in ledger.ingest(fleet_frames()))
        return contents(ledger)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), group=st.integers(1, 11))
def test_the_order_of_batches_does_not_matter(
    in_order: dict[str, list[tuple[Any, ...]]], seed: int, group: int
) -> None:
    """In any order, in groups of any size and with replays, the ledger's contents are the same."""
    shuffled = random.Random(seed)
    frames = fleet_frames()
    frames += shuffled.sample(frames, 5)
    shuffled.shuffle(frames)
    with tempfile.TemporaryDirectory() as directory, opened(Path(directory)) as ledger:
        for start in range(0, len(frames), group):
            assert all(r.taken for r in ledger.ingest(frames[start : start + group]))
        assert contents(ledger) == in_order


def test_the_roll_up_is_the_sum_of_the_rows(in_order: dict[str, list[tuple[Any, ...]]], tmp_path: Path) -> None:
    """Every hourly sum equals the sum over the raw rows, unknowns counted apart, one row for each key."""
    with opened(tmp_path) as ledger:
        for each in fleet_frames():
            ledger.ingest([each])
        assert contents(ledger)["hourly"] == ask(ledger, RAW_HOURLY) == in_order["hourly"]


def test_a_device_lives_until_it_is_retired(tmp_path: Path) -> None:
    """A retirement ends a life where nothing later contradicts it; a device that comes back lives again."""
    end_us = START_US + 5 * US_PER_MINUTE
    gone = Event(end_us, "device_retired", "gone", device=KEY)
    with opened(tmp_path) as ledger:
        ledger.ingest([minutes(0, gpus=1, events=[gone])])
        assert contents(ledger)["devices"] == [(KEY, 840, START_US, end_us)]
    with opened(tmp_path) as ledger:
        ledger.ingest([minutes(2, gpus=1)])
        again_us = START_US + 10 * US_PER_MINUTE
        assert contents(ledger)["lives"] == [(KEY, 840, START_US, end_us), (KEY, 840, again_us, None)]
        assert contents(ledger)["devices"] == [(KEY, 840, START_US, None)]


def test_a_device_that_changes_its_size_goes_on_as_another(tmp_path: Path) -> None:
    """History keeps the size that it had: the change ends one life and begins another, across the gap between."""
    key = "GPU-0000"
    small, large = device(0, kind="remainder", parts=120), device(0, kind="remainder", parts=240)
    first = frame(0, records(key, START_US, START_US + US_PER_MINUTE), devices=[small])
    later_us = START_US + 3 * US_PER_MINUTE
    second = frame(1, records(key, later_us, later_us + US_PER_MINUTE), devices=[large])
    with opened(tmp_path) as ledger:
        ledger.ingest([second, first])
        assert contents(ledger)["lives"] == [(key, 120, START_US, later_us), (key, 240, later_us, None)]
        overlapping = frame(2, records(key, START_US, START_US + US_PER_MINUTE), devices=[large])
        assert ledger.ingest([overlapping])[0].code == "overlap", "time belongs to the key, not to its size"


def test_a_holder_keeps_the_attributes_it_had(tmp_path: Path) -> None:
    """The same holder with other labels is another row, so that owners are found as at the time; a restart knows both."""
    who = "pod:uid-1/c"
    plain, labelled = holder(1, uid=1000), holder(1, uid=1000, labels={"b": "2", "a": "1"})
    frames = [
        frame(n, records(KEY, START_US + n * US_PER_MINUTE, START_US + (n + 1) * US_PER_MINUTE, who), holders=[each])
        for n, each in enumerate((plain, labelled, plain, labelled))
    ]
    with opened(tmp_path) as ledger:
        ledger.ingest(frames[:3])
    with opened(tmp_path) as ledger:
        ledger.ingest(frames[3:])
        found = ask(
            ledger, "SELECT labels, count(*) FROM usage JOIN holders USING (holder_id) GROUP BY ALL ORDER BY ALL"
        )
        assert found == [('{"a":"1","b":"2"}', 2), ('{"app":"train"}', 2)]


def test_a_failed_transaction_leaves_nothing_behind(tmp_path: Path) -> None:
    """Where writing fails, neither the file nor the memory keeps any of it, and the same frames can be stored later."""

    def fail(_session: Session) -> None:
        raise LedgerError("the disk is full")

    with opened(tmp_path) as ledger:
        ledger.ingest([minutes(0)])
        before = contents(ledger)
        with pytest.raises(LedgerError, match="disk is full"):
            ledger.store([ledger.read(minutes(1)), ledger.read(b"broken")], also=fail)
        assert contents(ledger) == before
        assert ask(ledger, "SELECT count(*) FROM quarantine") == [(0,)]
        assert [r.code for r in ledger.ingest([minutes(1), b"broken"])] == ["", "not_a_batch"]


def test_quarantine_lets_the_oldest_go(tmp_path: Path) -> None:
    """Quarantine holds so many frames and no more, also after a restart."""
    three = LedgerOptions(quarantine=QuarantineLimits(frames=3))
    with opened(tmp_path, options=three) as ledger:
        ledger.ingest([bytes([n]) for n in range(4)])
        assert ask(ledger, "SELECT frame FROM quarantine ORDER BY quarantine_id") == [
            (b"\x01",),
            (b"\x02",),
            (b"\x03",),
        ]
    with opened(tmp_path, options=three) as ledger:
        ledger.ingest([b"\x09", b"\x03"])
        assert ask(ledger, "SELECT frame FROM quarantine ORDER BY quarantine_id") == [
            (b"\x02",),
            (b"\x03",),
            (b"\x09",),
        ]


def test_reading_beside_the_writer_sees_whole_transactions(tmp_path: Path) -> None:
    """A snapshot in the same process stays as it was while batches commit beside it."""
    with opened(tmp_path) as ledger:
        ledger.ingest([minutes(0)])
        with ledger.snapshot() as session:
            before = session.execute("select_sequences").to_pylist()
            ledger.ingest([minutes(1)])
            assert session.execute("select_sequences").to_pylist() == before
        assert ledger.execute("select_sequences").to_pylist() == [{**before[0], "past": 2}]
