"""Batches on the wire: round trips, and every way in which a bad one is refused."""

import hashlib
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpuledger import wire
from gpuledger.accounting.units import US_PER_HOUR, US_PER_MINUTE
from gpuledger.errors import Terminal, WireError
from gpuledger.model import Confidence, Device, Event, Evidence, Holder, State, UsageRecord, Workload

T0 = 1_780_000_000_000_000 // US_PER_HOUR * US_PER_HOUR
MINUTE = US_PER_MINUTE
EVIDENCE = Evidence("process_cgroup", "device_utilization", "counter", "whole", Confidence.MEASURED)
GPU = Device("GPU-0", "gpu", "NVIDIA H100 80GB HBM3", memory_bytes=85_899_345_920)
POD = Holder(
    "pod:u/c", "pod", namespace="vision", labels={"app": "trän"}, workload=Workload("mlflow", id="7"), uid=1000
)


def record(**changes: Any) -> UsageRecord:
    """Return a good record of one minute."""
    fields = {
        "device": GPU.key,
        "holder": POD.key,
        "start_us": T0,
        "end_us": T0 + MINUTE,
        "state": State.ACTIVE,
        "reason": "",
        "held_us": MINUTE,
        "active_us": MINUTE // 2,
        "energy_mj": 18_000,
        "memory_mean_bytes": 5,
        "memory_max_bytes": None,
        "evidence": EVIDENCE,
    }
    return UsageRecord(**{**fields, **changes})


def batch(*records: UsageRecord, **changes: Any) -> wire.Batch:
    """Return a batch of one hour with these records; its energy is what they sum to."""
    devices = changes.get("devices", (GPU,))
    holders = changes.get("holders", (POD,))
    usage, evidence, reasons = wire.pack_usage(records, devices, holders)
    used: dict[str, int] = {}
    for r in records:
        used[r.device] = used.get(r.device, 0) + (r.energy_mj or 0)
    fields = {
        "agent": "node-1",
        "boot": "spool-1",
        "sequence": 3,
        "cluster": "c",
        "node": "node-1",
        "from_us": T0,
        "until_us": T0 + 2 * US_PER_HOUR,
        "sealed_at_us": T0 + 2 * US_PER_HOUR,
        "software": "gpuledger test",
        "devices": devices,
        "holders": holders,
        "evidence": evidence,
        "reasons": reasons,
        "usage": usage,
        "energy": tuple(wire.BoardEnergy(board, mj, "boot", 5, 5 + mj) for board, mj in used.items()),
        "events": (Event(T0, "xid", "XID 79", "error", GPU.key, details={"xid": "79"}),),
    }
    return wire.Batch(**{**fields, **changes})


def frame_of(body: bytes, *, schema: int = wire.SCHEMA_VERSION, flags: int = 0, stated: int | None = None) -> bytes:
    """Return a frame around any body, its checksum right."""
    packed = zlib.compress(body)
    header = struct.pack("<4sHHI", b"GPLB", schema, flags, len(body) if stated is None else stated)
    return header + hashlib.sha256(packed).digest() + packed


def refused(work: Callable[[], object]) -> WireError:
    """Return the refusal; there has to be one."""
    with pytest.raises(WireError) as caught:
        work()
    assert isinstance(caught.value, Terminal)
    return caught.value


def check(bad: wire.Batch, now_us: int = T0 + 2 * US_PER_HOUR) -> None:
    """Check a batch as a collector does: after it has been on the wire."""
    wire.check(wire.decode(wire.encode(bad)), now_us=now_us)


# --- good batches ---


def test_a_good_batch_passes_and_comes_back_as_it_was() -> None:
    """Everything survives: records, unknown values, dictionaries, events, energy, identity."""
    records = [
        record(),
        record(
            start_us=T0 + MINUTE,
            end_us=T0 + 2 * MINUTE,
            holder=None,
            state=State.IDLE,
            reason="free",
            energy_mj=None,
            active_us=0,
        ),
    ]
    sent = batch(*records)
    got = wire.decode(wire.encode(sent))
    wire.check(got, now_us=T0 + 2 * US_PER_HOUR)
    assert got == sent
    assert got.id == ("node-1", "spool-1", 3)
    assert wire.unpack_usage(got) == records


def test_an_empty_batch_is_a_batch() -> None:
    """An agent on a node without GPUs still reports that there was nothing."""
    check(batch())


counts = st.integers(0, 2**63 - 1)


@given(
    st.lists(
        st.builds(
            UsageRecord,
            device=st.sampled_from(("GPU-0", "GPU-1")),
            holder=st.sampled_from((None, "pod:u/c", "h2")),
            start_us=st.integers(-(2**63), 2**63 - 1),
            end_us=counts,
            state=st.sampled_from(State),
            reason=st.text(max_size=3),
            held_us=counts,
            active_us=st.none() | counts,
            energy_mj=st.none() | counts,
            memory_mean_bytes=st.none() | counts,
            memory_max_bytes=st.none() | counts,
            evidence=st.builds(Evidence, holder=st.text(max_size=2), confidence=st.sampled_from(Confidence)),
        ),
        max_size=20,
    )
)
def test_any_records_come_back_as_they_were(records: list[UsageRecord]) -> None:
    """Columns and dictionaries lose nothing, whatever the values."""
    devices, holders = (GPU, Device("GPU-1", "gpu", "T4")), (POD, Holder("h2", "user"))
    sent = batch(*records, devices=devices, holders=holders, energy=())
    got = wire.decode(wire.encode(sent))
    assert got == sent
    assert wire.unpack_usage(got) == records
    assert got.rows == len(records)


def test_the_same_batch_is_the_same_bytes() -> None:
    """The digest identifies the content, so encoding is a function of it."""
    assert wire.encode(batch(record())) == wire.encode(batch(record()))
    assert wire.digest(wire.encode(batch(record()))) != wire.digest(wire.encode(batch(record(energy_mj=1))))


# --- frames that are no batch ---


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", "not_a_batch"),
        (b"GPLB", "not_a_batch"),
        (b"PK\x03\x04" + bytes(60), "not_a_batch"),
        (frame_of(b"", schema=2), "schema"),
        (frame_of(b"", flags=1), "schema"),
        (frame_of(b"", stated=wire.MAX_BODY_BYTES + 1), "too_large"),
        (bytes(wire.MAX_FRAME_BYTES + 1), "too_large"),
        (frame_of(b"{}")[:-1], "checksum"),
        (frame_of(b"\x80"), "malformed"),
        (frame_of(b"\x81\xa5agent\xa2\xff\xfe"), "malformed"),  # a string that is not UTF-8
        (frame_of(b"\x81\xa7devices\x91\x81\xa1x" + b"\x91" * 200_000 + b"\xc0"), "malformed"),  # nested without end
        (frame_of(b"\x81\xa7devices\xdd\xff\xff\xff\xff"), "malformed"),  # four thousand million devices
        (frame_of(b"x", stated=0), "malformed"),
        (frame_of(b"x", stated=2), "malformed"),
    ],
)
def test_what_is_no_batch_is_refused_by_name(frame: bytes, code: str) -> None:
    """Each way to be no batch has its code and a next step."""
    error = refused(lambda: wire.decode(frame))
    assert error.code == code
    assert error.hint


def test_a_body_that_is_not_deflated_is_malformed() -> None:
    """A right checksum over something that zlib cannot read."""
    body = b"not zlib"
    frame = struct.pack("<4sHHI", b"GPLB", 1, 0, 8) + hashlib.sha256(body).digest() + body
    assert refused(lambda: wire.decode(frame)).code == "malformed"


def test_a_decompression_bomb_is_refused_without_inflating_it() -> None:
    """Many megabytes of zeros behind an honest or a lying length cost no more memory than a header and a window."""
    deflate = zlib.compressobj(9)
    packed = b"".join(deflate.compress(bytes(1 << 20)) for _ in range(128)) + deflate.flush()
    for stated, code in ((128 << 20, "too_large"), (100, "malformed")):
        frame = struct.pack("<4sHHI", b"GPLB", 1, 0, stated) + hashlib.sha256(packed).digest() + packed
        tracemalloc.start()
        assert refused(lambda frame=frame: wire.decode(frame)).code == code
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak_bytes < 1 << 20


def test_bytes_after_the_body_are_malformed() -> None:
    """Nothing rides along behind the compressed stream."""
    body = msgspec.msgpack.encode(batch(record()))
    packed = zlib.compress(body) + b"more"
    frame = struct.pack("<4sHHI", b"GPLB", 1, 0, len(body)) + hashlib.sha256(packed).digest() + packed
    assert refused(lambda: wire.decode(frame)).code == "malformed"


def test_a_batch_that_nobody_would_take_is_not_encoded() -> None:
    """The sender learns of the limit before the batch is in its spool."""
    error = refused(lambda: wire.encode(batch(software="x" * wire.MAX_BODY_BYTES)))
    assert error.code == "too_large"
    assert "max_rows" in error.hint


GOOD = wire.encode(batch(record(), record(start_us=T0 + MINUTE, end_us=T0 + 2 * MINUTE, energy_mj=None)))
GOOD_BODY = msgspec.msgpack.encode(
    batch(record(), record(start_us=T0 + MINUTE, end_us=T0 + 2 * MINUTE, energy_mj=None))
)


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_flipped_bytes_are_always_noticed(flips: list[tuple[int, int]]) -> None:
    """Damage anywhere in a frame is a WireError and nothing else, and never passes."""
    damaged = bytearray(GOOD)
    for place, mask in flips:
        damaged[place] ^= mask
    if damaged != GOOD:
        refused(lambda: wire.decode(bytes(damaged)))


@given(st.lists(st.tuples(st.integers(0, len(GOOD_BODY) - 1), st.integers(1, 255)), min_size=1, max_size=4))
def test_a_forged_body_raises_nothing_but_wire_errors(flips: list[tuple[int, int]]) -> None:
    """Bytes changed under a right checksum may decode or not, may pass or not, but never crash the reader."""
    forged = bytearray(GOOD_BODY)
    for place, mask in flips:
        forged[place] ^= mask
    try:
        got = wire.decode(frame_of(bytes(forged)))
        wire.check(got, now_us=T0 + 2 * US_PER_HOUR)
    except WireError:
        return
    assert len(wire.unpack_usage(got)) == got.rows


@given(st.binary(max_size=300))
def test_any_bytes_raise_nothing_but_wire_errors(body: bytes) -> None:
    """Neither as a frame nor as a body inside a good frame."""
    refused(lambda: wire.decode(body))
    refused(lambda: wire.decode(frame_of(body)))


# --- batches that break a promise ---


def with_column(name: str, values: bytes) -> wire.Batch:
    """Return a batch with one column replaced."""
    good = batch(record())
    return msgspec.structs.replace(good, usage=msgspec.structs.replace(good.usage, **{name: values}))


def with_nullable(values: int, missing: bytes) -> wire.Batch:
    """Return a batch whose energy column is made by hand."""
    good = batch(record(energy_mj=None), energy=())
    column = wire.NullableColumn(struct.pack("<q", values), missing)
    return msgspec.structs.replace(good, usage=msgspec.structs.replace(good.usage, energy_mj=column))


SHARED = {"holders": (POD, Holder("h2", "user"))}
POOL = Device("pool:c/p", "pool", "NVIDIA V100", units=2)
BROKEN = {
    "a column cut short": (lambda: with_column("held_us", b"\0" * 7), "malformed"),
    "a column of another length": (lambda: with_column("held_us", b""), "malformed"),
    "columns of broken integers": (lambda: with_column("device", b"\0" * 9), "malformed"),
    "a mask of another length": (lambda: with_nullable(0, b"\1\1"), "malformed"),
    "a mask that is neither 0 nor 1": (lambda: with_nullable(0, b"\2"), "malformed"),
    "a value that is said to be unknown": (lambda: with_nullable(9, b"\1"), "malformed"),
    "no agent": (lambda: batch(agent=""), "malformed"),
    "no boot": (lambda: batch(boot=""), "malformed"),
    "a negative sequence": (lambda: batch(sequence=-1), "malformed"),
    "a sequence that no column holds": (lambda: batch(sequence=2**63), "malformed"),
    "a device without a size": (lambda: batch(devices=(Device("GPU-0", "gpu", "T4", parts=0),)), "malformed"),
    "a pool without units": (lambda: batch(devices=(Device("p", "pool", "T4", units=0),)), "malformed"),
    "a device larger than a GPU": (lambda: batch(devices=(Device("GPU-0", "gpu", "T4", parts=841),)), "malformed"),
    "a pool of more units than sums allow": (
        lambda: batch(devices=(Device("p", "pool", "T4", units=wire.MAX_UNITS + 1),)),
        "malformed",
    ),
    "a batch that ends before it starts": (lambda: batch(until_us=T0 - 1), "interval"),
    "a record that ends before it starts": (lambda: batch(record(end_us=T0 - 1)), "interval"),
    "a record of no length": (lambda: batch(record(end_us=T0, held_us=0, active_us=0)), "interval"),
    "a record before its batch": (lambda: batch(record(), from_us=T0 + 1), "interval"),
    "a record after its batch": (lambda: batch(record(), until_us=T0 + MINUTE - 1), "interval"),
    "a record across an hour": (
        lambda: batch(record(start_us=T0 + US_PER_HOUR - 1, end_us=T0 + US_PER_HOUR + 1, held_us=2, active_us=0)),
        "interval",
    ),
    "records that overlap": (
        lambda: batch(record(), record(start_us=T0 + MINUTE - 1, end_us=T0 + 2 * MINUTE, held_us=MINUTE + 1)),
        "overlap",
    ),
    "shares below the whole": (lambda: batch(record(held_us=MINUTE - 1)), "shares"),
    "shares above the whole": (lambda: batch(record(), record(holder="h2", held_us=1), **SHARED), "shares"),
    "a negative share": (
        lambda: batch(record(held_us=MINUTE + 1), record(holder="h2", held_us=-1), **SHARED),
        "shares",
    ),
    "more work than time": (lambda: batch(record(active_us=MINUTE + 1)), "shares"),
    "negative energy": (lambda: batch(record(energy_mj=-1), energy=()), "shares"),
    "energy that its board did not use": (lambda: batch(record(), energy=()), "shares"),
    "energy of a board that no row has": (lambda: batch(energy=(wire.BoardEnergy("GPU-0", 1),)), "shares"),
    "more of a pool than there is": (
        lambda: batch(record(device=POOL.key, held_us=2 * MINUTE + 1), devices=(POOL,)),
        "shares",
    ),
    "a device that is not listed": (lambda: with_column("device", struct.pack("<q", 1)), "reference"),
    "a holder that is not listed": (lambda: with_column("holder", struct.pack("<q", -2)), "reference"),
    "a reason that is not listed": (lambda: with_column("reason", struct.pack("<q", 1)), "reference"),
    "evidence that is not listed": (lambda: with_column("evidence", struct.pack("<q", -1)), "reference"),
    "an unknown state": (lambda: with_column("state", struct.pack("<q", 8)), "reference"),
    "a record of a device that is not listed": (lambda: batch(record(device="GPU-9")), "reference"),
    "a device twice": (lambda: batch(devices=(GPU, GPU)), "reference"),
    "a holder twice": (lambda: batch(holders=(POD, POD)), "reference"),
    "energy of a board twice": (
        lambda: batch(energy=(wire.BoardEnergy("GPU-0", 0), wire.BoardEnergy("GPU-0", 0))),
        "reference",
    ),
    "time after the batch was sealed": (lambda: batch(sealed_at_us=T0), "clock"),
    "a clock that was never set": (lambda: batch(from_us=wire.EARLIEST_US - 1), "clock"),
    "sealed in the future": (lambda: batch(sealed_at_us=T0 + 3 * US_PER_HOUR), "future"),
    "an event in the future": (lambda: batch(events=(Event(T0 + 3 * US_PER_HOUR, "xid", "?"),)), "future"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_promise_is_refused_by_name(name: str) -> None:
    """Every promise of the schema has a batch that breaks it, the code that says which one, and a next step."""
    make, code = BROKEN[name]
    error = refused(lambda: check(make()))
    assert error.code == code
    assert error.hint


def test_a_batch_from_the_future_says_what_to_do() -> None:
    """Clocks may differ by five minutes; past that the reader is told to synchronise them."""
    until_us = T0 + 2 * US_PER_HOUR
    check(batch(record()), now_us=until_us - wire.MAX_CLOCK_SKEW_US)
    error = refused(lambda: check(batch(record()), now_us=until_us - wire.MAX_CLOCK_SKEW_US - 1))
    assert error.code == "future"
    assert "NTP" in error.hint


def test_shares_of_one_interval_and_pools_are_fine() -> None:
    """Two holders of one interval, one of which worked more than it held; jobs of a pool that overlap."""
    check(
        batch(
            record(held_us=MINUTE // 3, active_us=MINUTE),
            record(holder="h2", held_us=MINUTE - MINUTE // 3, active_us=None),
            **SHARED,
        )
    )
    pool = [record(device=POOL.key, held_us=2 * MINUTE, active_us=None, energy_mj=None) for _ in range(2)]
    pool[1] = msgspec.structs.replace(pool[1], start_us=T0 + 1, end_us=T0 + MINUTE, held_us=1)
    check(batch(*pool, devices=(POOL,)))


def test_conditions_travel_and_agents_without_them_are_understood() -> None:
    """What a board's clock and temperature summed to arrives as it was; a batch that has none says nothing of them."""
    told = (wire.BoardCondition("GPU-0", T0, 2, 3_900, 1, 65),)
    sent = batch(record(), conditions=told)
    assert wire.decode(wire.encode(sent)).conditions == told
    wire.check(sent, now_us=sent.sealed_at_us)
    older = wire.encode(batch(record()))
    assert b"conditions" not in zlib.decompress(older[44:])
    assert wire.decode(older).conditions == ()


@pytest.mark.parametrize(
    "told",
    [
        wire.BoardCondition("GPU-0", T0 + 1, 1, 1_980),
        wire.BoardCondition("GPU-0", T0 - US_PER_HOUR, 1, 1_980),
        wire.BoardCondition("GPU-0", T0 + 24 * US_PER_HOUR, 1, 1_980),
        wire.BoardCondition("GPU-0", T0, 0, 1_980),
        wire.BoardCondition("GPU-0", T0, 1, 10**9),
        wire.BoardCondition("GPU-0", T0, 10**6, 10**6),
    ],
)
def test_conditions_that_cannot_be_are_refused(told: wire.BoardCondition) -> None:
    """Of no hour of the batch, a sum of no readings, or one that no board could have."""
    bad = batch(record(), conditions=(told,))
    with pytest.raises(WireError):
        wire.check(bad, now_us=bad.sealed_at_us)
