"""What an agent sends: a batch, its bytes, and the promises that both ends check.

A frame is a 44-byte header and a body. The header (little endian) is: magic `GPLB`, schema version (u16), flags (u16,
zero), length of the body before compression (u32), SHA-256 of the body as sent (32 bytes). The body is MessagePack
compressed with zlib; usage travels as columns of little-endian 64-bit integers that index the batch's dictionaries.
"""

from __future__ import annotations

import hashlib
import struct
import sys
import zlib
from array import array
from collections.abc import Hashable, Sequence
from typing import Final, NamedTuple, TypeVar

import msgspec

from gpuledger.accounting.units import GPU_PARTS, US_PER_HOUR, US_PER_MINUTE
from gpuledger.errors import WireError
from gpuledger.model import Count, Device, Event, Evidence, Holder, State, UsageRecord

SCHEMA_VERSION: Final = 1
MEDIA_TYPE: Final = "application/vnd.gpuledger.batch"
MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
MAX_CLOCK_SKEW_US: Final = 5 * US_PER_MINUTE
EARLIEST_US: Final = 1_262_304_000_000_000  # 2010-01-01: a clock that shows less was never set (1970, 1980, 2000)
MAX_UNITS: Final = 300_000  # of a pool: with it, a GPU's parts and an hour every product below stays in 64 bits
MAX_READINGS: Final = 36_000  # of a board in an hour: ten a second
MAX_READING: Final = 100_000  # MHz, or degrees Celsius
NO_HOLDER: Final = -1  # the dictionary's null, as in Arrow; never an identity

_MAGIC: Final = b"GPLB"
_HEADER: Final = struct.Struct("<4sHHI32s")
_T = TypeVar("_T", bound=Hashable)
_REPORT: Final = "this is a fault of the agent: keep its log and report it"
_CLOCK: Final = "synchronise the clock of that node (chrony or NTP), then restart its agent"


class NullableColumn(msgspec.Struct, frozen=True):
    """Integers of which some may be unknown: `missing` is one byte a row (1: unknown), empty where all are known."""

    values: bytes
    missing: bytes = b""


class UsageColumns(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Usage records, one column a field; `device`, `holder`, `reason` and `evidence` index the batch's dictionaries."""

    device: bytes
    holder: bytes
    start_us: bytes
    end_us: bytes
    state: bytes
    reason: bytes
    evidence: bytes
    held_us: bytes
    active_us: NullableColumn
    energy_mj: NullableColumn
    memory_mean_bytes: NullableColumn
    memory_max_bytes: NullableColumn


REQUIRED_COLUMNS: Final = ("device", "holder", "start_us", "end_us", "state", "reason", "evidence", "held_us")
NULLABLE_COLUMNS: Final = ("active_us", "energy_mj", "memory_mean_bytes", "memory_max_bytes")


class BoardEnergy(msgspec.Struct, frozen=True, omit_defaults=True):
    """The energy that one board used over the batch's interval, as metered; its devices' rows sum to `energy_mj`.

    Where the hardware counter was read, `first_mj` and `last_mj` are its readings at the ends of the interval
    (apportioned by time where an end falls between two readings) and `epoch` says since when it counts. `first_mj` is
    None where the interval began in an earlier epoch.
    """

    board: str
    energy_mj: Count
    epoch: str = ""
    first_mj: Count | None = None
    last_mj: Count | None = None


class BoardCondition(msgspec.Struct, frozen=True, omit_defaults=True):
    """A board's clock and temperature in an hour, while it worked: sums over readings, and how many there were.

    Readings are of instants at which a kernel had run since the reading before. Nothing is said of a board whose
    activity nobody reads, as with MIG. Several entries of an hour add up.
    """

    board: str
    hour_us: Count
    sm_clock_readings: Count = 0
    sm_clock_mhz: Count = 0  # the sum
    temperature_readings: Count = 0
    temperature_c: Count = 0  # the sum


class BatchId(NamedTuple):
    """What makes a batch itself: sent twice it is still one batch."""

    agent: str
    boot: str
    sequence: int


class Batch(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Everything an agent found out over `[from_us, until_us)`, complete: what it does not mention did not happen.

    But for `conditions`: an hour is told once it is over, and not at all by agents that are older than these readings.
    """

    agent: str
    boot: str  # identity of the agent's spool; a new spool starts a new boot
    sequence: Count  # 0, 1, 2, ... within a boot
    cluster: str
    node: str
    from_us: Count
    until_us: Count
    sealed_at_us: Count
    software: str
    devices: tuple[Device, ...]
    holders: tuple[Holder, ...]
    evidence: tuple[Evidence, ...]
    reasons: tuple[str, ...]
    usage: UsageColumns
    energy: tuple[BoardEnergy, ...] = ()
    events: tuple[Event, ...] = ()
    conditions: tuple[BoardCondition, ...] = ()

    @property
    def id(self) -> BatchId:
        """Return the identity under which the collector remembers this batch."""
        return BatchId(self.agent, self.boot, self.sequence)

    @property
    def rows(self) -> int:
        """Return how many usage records the batch carries."""
        return len(self.usage.device) // 8


class Columns(NamedTuple):
    """A batch's usage columns as integer sequences; a nullable column comes with its mask of missing rows."""

    required: dict[str, array[int]]
    nullable: dict[str, tuple[array[int], bytes]]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Batch)


def encode(batch: Batch, *, level: int = 6) -> bytes:
    """Return the frame of `batch`. Raises WireError (`too_large`) where no receiver would take it."""
    body = _encoder.encode(batch)
    packed = zlib.compress(body, level)
    _check_size(_HEADER.size + len(packed), len(body))
    digest = hashlib.sha256(packed).digest()
    return _HEADER.pack(_MAGIC, SCHEMA_VERSION, 0, len(body), digest) + packed


def digest(frame: bytes) -> bytes:
    """Return the SHA-256 that a frame's header carries: the evidence id of its content."""
    return frame[_HEADER.size - 32 : _HEADER.size]


def decode(frame: bytes) -> Batch:
    """Return the batch in `frame`, its columns equally long. Raises WireError; never reads past the stated limits."""
    body_length = _read_header(frame)
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(memoryview(frame)[_HEADER.size :], body_length + 1)
    except zlib.error as error:
        raise WireError("malformed", f"the body does not inflate: {error}", hint=_REPORT) from error
    if len(body) != body_length or not inflater.eof or inflater.unused_data:
        raise WireError("malformed", f"the body is not the {body_length} bytes that its header states", hint=_REPORT)
    try:
        batch = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(
            "malformed", f"the body is not a batch of schema {SCHEMA_VERSION}: {error}", hint=_REPORT
        ) from error
    _check_lengths(batch.usage)
    return batch


def columns(batch: Batch) -> Columns:
    """Return the usage columns of a decoded batch, ready for arithmetic or for Arrow buffers."""
    usage = batch.usage
    return Columns(
        {name: _unpack(getattr(usage, name)) for name in REQUIRED_COLUMNS},
        {name: (_unpack(getattr(usage, name).values), getattr(usage, name).missing) for name in NULLABLE_COLUMNS},
    )


def pack_usage(
    records: Sequence[UsageRecord], devices: Sequence[Device], holders: Sequence[Holder]
) -> tuple[UsageColumns, tuple[Evidence, ...], tuple[str, ...]]:
    """Return the columns of `records`, and the dictionaries of evidence and reasons that they index.

    Raises WireError (`reference`) where a record names a device or holder that is not in the batch.
    """
    device_index = {device.key: i for i, device in enumerate(devices)}
    holder_index: dict[str | None, int] = {holder.key: i for i, holder in enumerate(holders)}
    holder_index[None] = NO_HOLDER
    evidence: dict[Evidence, int] = {}
    reasons: dict[str, int] = {}
    try:
        device_column = [device_index[r.device] for r in records]
        holder_column = [holder_index[r.holder] for r in records]
    except KeyError as error:
        raise WireError(
            "reference", f"a usage record names {error.args[0]!r}, which the batch does not list", hint=_REPORT
        ) from error
    usage = UsageColumns(
        device=_pack(device_column),
        holder=_pack(holder_column),
        start_us=_pack([r.start_us for r in records]),
        end_us=_pack([r.end_us for r in records]),
        state=_pack([int(r.state) for r in records]),
        reason=_pack([_intern(reasons, r.reason) for r in records]),
        evidence=_pack([_intern(evidence, r.evidence) for r in records]),
        held_us=_pack([r.held_us for r in records]),
        active_us=_pack_nullable([r.active_us for r in records]),
        energy_mj=_pack_nullable([r.energy_mj for r in records]),
        memory_mean_bytes=_pack_nullable([r.memory_mean_bytes for r in records]),
        memory_max_bytes=_pack_nullable([r.memory_max_bytes for r in records]),
    )
    return usage, tuple(evidence), tuple(reasons)


def unpack_usage(batch: Batch) -> list[UsageRecord]:
    """Return the usage records of a batch that passed `check`."""
    required, nullable = columns(batch)
    optional = {name: _optional(*nullable[name]) for name in NULLABLE_COLUMNS}
    keys: list[str | None] = [holder.key for holder in batch.holders]
    keys.append(None)  # NO_HOLDER is the last
    return [
        UsageRecord(
            device=batch.devices[required["device"][i]].key,
            holder=keys[required["holder"][i]],
            start_us=required["start_us"][i],
            end_us=required["end_us"][i],
            state=State(required["state"][i]),
            reason=batch.reasons[required["reason"][i]],
            held_us=required["held_us"][i],
            active_us=optional["active_us"][i],
            energy_mj=optional["energy_mj"][i],
            memory_mean_bytes=optional["memory_mean_bytes"][i],
            memory_max_bytes=optional["memory_max_bytes"][i],
            evidence=batch.evidence[required["evidence"][i]],
        )
        for i in range(batch.rows)
    ]


def check(batch: Batch, *, now_us: int) -> None:
    """Raise WireError where a decoded batch breaks a promise; `now_us` is the receiver's clock.

    Promised: references resolve; intervals are non-empty, lie inside `[from_us, until_us)`, do not cross an hour; no
    quantity is negative; the shares of one device's interval sum to its length, the activity in it does not exceed it,
    and the device's intervals do not overlap; the energy of a board's rows sums to what the board used; nothing lies
    in the receiver's future, before `EARLIEST_US` or after the batch was sealed.
    """
    check_envelope(batch, now_us=now_us)
    check_usage(batch, columns(batch))


def check_envelope(batch: Batch, *, now_us: int) -> None:
    """Raise WireError where a decoded batch breaks a promise about anything but its rows: the first half of `check`."""
    _check_times(batch, now_us)
    _check_dictionaries(batch)
    _check_conditions(batch)


def check_usage(batch: Batch, cols: Columns) -> None:
    """Raise WireError where the rows of a batch break a promise: the second half of `check`, and its reference."""
    _check_references(batch, cols)
    _check_rows(batch, cols)
    _check_shares(batch, cols)
    _check_energy(batch, cols)


def _read_header(frame: bytes) -> int:
    _check_size(len(frame), 0)
    if len(frame) < _HEADER.size or frame[:4] != _MAGIC:
        raise WireError("not_a_batch", "this is not a gpuledger batch", hint=f"send frames of {MEDIA_TYPE}")
    _, schema, flags, body_length, expected = _HEADER.unpack_from(frame)
    if schema != SCHEMA_VERSION:
        raise WireError(
            "schema",
            f"batch schema {schema} is not known here (known: {SCHEMA_VERSION})",
            hint="upgrade the collector before its agents",
        )
    if flags:
        raise WireError("schema", f"batch flags {flags:#06x} are not known here", hint="upgrade the collector first")
    _check_size(len(frame), body_length)
    if hashlib.sha256(memoryview(frame)[_HEADER.size :]).digest() != expected:
        raise WireError(
            "checksum", "the batch was damaged on its way: its checksum does not match", hint="send it again"
        )
    return int(body_length)


def _check_size(frame_bytes: int, body_bytes: int) -> None:
    if frame_bytes > MAX_FRAME_BYTES or body_bytes > MAX_BODY_BYTES:
        raise WireError(
            "too_large",
            f"a batch of {frame_bytes} bytes ({body_bytes} inflated) is over the limit of {MAX_FRAME_BYTES}"
            f" ({MAX_BODY_BYTES} inflated)",
            hint="seal batches more often (agent: [spool] max_rows)",
        )


def _check_lengths(usage: UsageColumns) -> None:
    size = len(usage.device)
    if size % 8:
        raise WireError("malformed", f"column device holds {size} bytes, not a multiple of 8", hint=_REPORT)
    for name in REQUIRED_COLUMNS:
        if len(getattr(usage, name)) != size:
            found = len(getattr(usage, name))
            raise WireError("malformed", f"column {name} holds {found} bytes, not {size}", hint=_REPORT)
    for name in NULLABLE_COLUMNS:
        column: NullableColumn = getattr(usage, name)
        if len(column.values) != size or len(column.missing) not in (0, size // 8):
            raise WireError("malformed", f"column {name} is not as long as the others ({size // 8} rows)", hint=_REPORT)
        _check_missing(name, column)


def _check_missing(name: str, column: NullableColumn) -> None:
    """Raise where an unknown value is not stored as 0: sums over a column are sums of what is known."""
    missing = column.missing
    if missing.count(0) + missing.count(1) != len(missing):
        raise WireError("malformed", f"column {name} marks missing rows with something else than 0 and 1", hint=_REPORT)
    if 1 in missing and any(value for value, gone in zip(_unpack(column.values), missing, strict=True) if gone):
        raise WireError("malformed", f"column {name} has a value where it says that there is none", hint=_REPORT)


def _check_times(batch: Batch, now_us: int) -> None:
    if batch.sequence < 0 or not batch.agent or not batch.boot:
        raise WireError("malformed", "a batch needs an agent, a boot and a sequence that is not negative", hint=_REPORT)
    if batch.until_us < batch.from_us:
        raise WireError(
            "interval", f"the batch ends ({batch.until_us}) before it starts ({batch.from_us})", hint=_REPORT
        )
    if batch.from_us < EARLIEST_US:
        raise WireError("clock", f"the batch of {batch.agent} begins before 2010: its clock was not set", hint=_CLOCK)
    if batch.until_us > now_us + MAX_CLOCK_SKEW_US:
        raise WireError(
            "future",
            f"the batch of {batch.agent} reaches {(batch.until_us - now_us) / 1e6:.0f} s into the future",
            hint=_CLOCK,
        )
    if batch.until_us > batch.sealed_at_us + MAX_CLOCK_SKEW_US:
        raise WireError(
            "clock",
            f"the batch of {batch.agent} covers time after it was sealed: its clock jumped",
            hint=_CLOCK,
        )
    if batch.sealed_at_us > now_us + MAX_CLOCK_SKEW_US:
        raise WireError("future", f"the batch of {batch.agent} was sealed in the future", hint=_CLOCK)
    for event in batch.events:
        if event.at_us > now_us + MAX_CLOCK_SKEW_US:
            raise WireError("future", f"event {event.kind} of {batch.agent} lies in the future", hint=_CLOCK)


def _check_references(batch: Batch, cols: Columns) -> None:
    for name, low, high in (
        ("device", 0, len(batch.devices)),
        ("holder", NO_HOLDER, len(batch.holders)),
        ("reason", 0, len(batch.reasons)),
        ("evidence", 0, len(batch.evidence)),
        ("state", min(State), max(State) + 1),
    ):
        column = cols.required[name]
        if column and not (low <= min(column) and max(column) < high):
            raise WireError("reference", f"column {name} points outside its dictionary of {high} entries", hint=_REPORT)


def _check_dictionaries(batch: Batch) -> None:
    for kind, keys in (("device", [d.key for d in batch.devices]), ("holder", [h.key for h in batch.holders])):
        if len(set(keys)) != len(keys):
            raise WireError("reference", f"the batch lists a {kind} twice", hint=_REPORT)
    for device in batch.devices:
        if not 0 < device.parts <= GPU_PARTS or (device.units is not None and not 0 < device.units <= MAX_UNITS):
            raise WireError(
                "malformed",
                f"device {device.key} has no possible size (parts {device.parts}, units {device.units})",
                hint=f"a device has 1 to {GPU_PARTS} parts of a GPU, a pool 1 to {MAX_UNITS} units",
            )


def _check_conditions(batch: Batch) -> None:
    for found in batch.conditions:
        if found.hour_us % US_PER_HOUR or not batch.from_us - US_PER_HOUR < found.hour_us < batch.until_us:
            raise WireError("interval", f"conditions of {found.board} are of no hour of the batch", hint=_REPORT)
        for readings, total in (
            (found.sm_clock_readings, found.sm_clock_mhz),
            (found.temperature_readings, found.temperature_c),
        ):
            if readings > MAX_READINGS or total > readings * MAX_READING:
                raise WireError("malformed", f"conditions of {found.board} cannot be: {found}", hint=_REPORT)


def _check_rows(batch: Batch, cols: Columns) -> None:
    required = cols.required
    for start, end, held_us in zip(required["start_us"], required["end_us"], required["held_us"], strict=True):
        if end <= start:
            raise WireError("interval", f"an interval ends ({end}) before or where it starts ({start})", hint=_REPORT)
        if start < batch.from_us or end > batch.until_us:
            raise WireError("interval", f"[{start}, {end}) lies outside the batch's own interval", hint=_REPORT)
        if (end - 1) // US_PER_HOUR != start // US_PER_HOUR:
            raise WireError("interval", f"[{start}, {end}) crosses an hour", hint="cut records at hour boundaries")
        if held_us < 0:
            raise WireError("shares", f"a negative share of time: {held_us}", hint=_REPORT)
    for name, (values, _) in cols.nullable.items():
        if values and min(values) < 0:
            raise WireError("shares", f"a negative value in {name}: {min(values)}", hint=_REPORT)


def _check_shares(batch: Batch, cols: Columns) -> None:
    required = cols.required
    active, _ = cols.nullable["active_us"]  # unknown activity is stored as 0
    sums: dict[tuple[int, int, int], list[int]] = {}
    spans = zip(required["device"], required["start_us"], required["end_us"], strict=True)
    for span, held_us, active_us in zip(spans, required["held_us"], active, strict=True):
        total = sums.setdefault(span, [0, 0])
        total[0] += held_us
        total[1] += active_us
    last_end: dict[int, int] = {}
    for (index, start_us, end_us), (held_us, active_us) in sorted(sums.items()):
        device = batch.devices[index]
        if device.kind == "pool":
            if device.units is not None and held_us > device.units * (end_us - start_us):
                raise WireError(
                    "shares",
                    f"{device.key} in [{start_us}, {end_us}): more held than its {device.units} units",
                    hint=_REPORT,
                )
            continue
        if held_us != end_us - start_us or active_us > end_us - start_us:
            raise WireError(
                "shares",
                f"{device.key} in [{start_us}, {end_us}): shares sum to {held_us} us held and {active_us} us active"
                f" of {end_us - start_us} us",
                hint=_REPORT,
            )
        if start_us < last_end.get(index, start_us):
            raise WireError("overlap", f"intervals of {device.key} overlap at {start_us}", hint=_REPORT)
        last_end[index] = end_us


def _check_energy(batch: Batch, cols: Columns) -> None:
    sums: dict[str, int] = {}
    values, _ = cols.nullable["energy_mj"]  # unknown energy is stored as 0
    for index, energy_mj in zip(cols.required["device"], values, strict=True):
        device = batch.devices[index]
        board = device.board or device.key
        sums[board] = sums.get(board, 0) + energy_mj
    stated = {entry.board: entry.energy_mj for entry in batch.energy}
    if len(stated) != len(batch.energy):
        raise WireError("reference", "the batch states the energy of a board twice", hint=_REPORT)
    for board in sums.keys() | stated.keys():
        if sums.get(board, 0) != stated.get(board, 0):
            raise WireError(
                "shares",
                f"energy of {board}: rows sum to {sums.get(board, 0)} mJ, the board used {stated.get(board, 0)} mJ",
                hint=_REPORT,
            )


def _intern(dictionary: dict[_T, int], value: _T) -> int:
    return dictionary.setdefault(value, len(dictionary))


def _pack(values: Sequence[int]) -> bytes:
    packed = array("q", values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _unpack(data: bytes) -> array[int]:
    unpacked = array("q", data)
    if sys.byteorder == "big":
        unpacked.byteswap()
    return unpacked


def _pack_nullable(values: Sequence[int | None]) -> NullableColumn:
    if None not in values:
        return NullableColumn(_pack(values))  # type: ignore[arg-type]
    return NullableColumn(_pack([v or 0 for v in values]), bytes(v is None for v in values))


def _optional(values: array[int], missing: bytes) -> Sequence[int | None]:
    if not missing:
        return values
    return [None if gone else value for value, gone in zip(values, missing, strict=True)]
