"""The outbox keeps what was sealed, whatever happens to its files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.segments import OVERHEAD_BYTES, Record, decode_record, encode_record, scan
from agent.spool import Spool, SpoolFullError
from gpuledger.errors import SpoolError

RECORDS = [
    Record(0, 1_000, b"first frame", b"first checkpoint"),
    Record(1, 2_000, b"GPSR looks like the start of a record", b""),
    Record(2, 3_000, b"third", b"third checkpoint"),
]


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / "spool") as opened:
        yield opened


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a closed spool with three batches that wait."""
    directory = tmp_path_factory.mktemp("sealed") / "spool"
    with Spool(directory) as spool:
        for record in RECORDS:
            spool.append(record.frame, record.checkpoint, record.sealed_at_us)
    return directory


def drain(spool: Spool) -> list[Record]:
    taken = []
    while (record := spool.oldest()) is not None:
        taken.append(record)
        spool.acknowledge(record.sequence)
    return taken


def segment_of(directory: Path) -> Path:
    (segment,) = directory.glob("*.seg")
    return segment


def damaged_copy(sealed: Path, to: Path, data: bytes) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(sealed, to)
    segment_of(to).write_bytes(data)
    return to


def test_batches_come_out_in_order_with_what_was_stored(spool: Spool) -> None:
    """Batches are taken oldest first, byte for byte as they were sealed."""
    for record in RECORDS:
        assert spool.append(record.frame, record.checkpoint, record.sealed_at_us) == record.sequence
    assert drain(spool) == RECORDS
    assert spool.oldest() is None


def test_reopening_keeps_identity_position_sequence_and_checkpoint(tmp_path: Path) -> None:
    """A spool that is opened again goes on where it was: same boot, next sequence, newest checkpoint, what waits."""
    with Spool(tmp_path) as spool:
        boot = spool.boot
        for record in RECORDS:
            spool.append(record.frame, record.checkpoint, record.sealed_at_us)
        spool.acknowledge(0)
    with Spool(tmp_path) as again:
        assert (again.boot, again.next_sequence, again.checkpoint) == (boot, 3, b"third checkpoint")
        assert [record.sequence for record in drain(again)] == [1, 2]


def test_delivered_segments_are_deleted_and_the_newest_checkpoint_survives(tmp_path: Path) -> None:
    """Disk is given back once a segment is delivered as a whole, but restarting still knows where to continue."""
    with Spool(tmp_path, segment_bytes=1) as spool:
        for record in RECORDS:
            spool.append(record.frame, record.checkpoint, record.sealed_at_us)
        assert len(list(tmp_path.glob("*.seg"))) == 3
        drain(spool)
        assert len(list(tmp_path.glob("*.seg"))) == 1
    with Spool(tmp_path) as again:
        assert (again.next_sequence, again.checkpoint, again.oldest()) == (3, b"third checkpoint", None)


def test_a_new_spool_is_a_new_boot(tmp_path: Path) -> None:
    """Two spools never share an identity, so their batches are never mistaken for one another's."""
    with Spool(tmp_path / "a") as a, Spool(tmp_path / "b") as b:
        assert a.boot != b.boot
        assert a.checkpoint is None


def test_only_one_agent_may_use_a_spool(spool: Spool, tmp_path: Path) -> None:
    """A second agent on the same folder is an error that says so, not two writers."""
    with pytest.raises(SpoolError, match="another agent"):
        Spool(tmp_path / "spool")


def test_a_full_spool_takes_nothing_and_loses_nothing(tmp_path: Path) -> None:
    """At its limit the spool refuses the new batch and keeps every old one; after a delivery it takes batches again."""
    with Spool(tmp_path, max_bytes=2 * (OVERHEAD_BYTES + 100)) as spool:
        spool.append(b"a" * 100, b"", 1)
        spool.append(b"b" * 100, b"", 2)
        with pytest.raises(SpoolFullError, match="no room"):
            spool.append(b"c", b"", 3)
        assert spool.stats().batches == 2
        spool.acknowledge(0)
        assert spool.append(b"c", b"", 3) == 2
        assert [record.frame[:1] for record in drain(spool)] == [b"b", b"c"]


def test_a_batch_larger_than_the_limit_still_passes_an_empty_spool(tmp_path: Path) -> None:
    """A limit that is too small slows the agent down; it never stops it for good."""
    with Spool(tmp_path, max_bytes=10) as spool:
        assert spool.append(b"x" * 1_000, b"", 1) == 0


def test_a_refused_batch_is_kept_with_its_reason_and_the_next_goes_on(spool: Spool, tmp_path: Path) -> None:
    """What the collector refuses for good is set aside for a person, not deleted and not in the way."""
    spool.append(b"bad frame", b"", 1)
    spool.append(b"good frame", b"", 2)
    kept = spool.refuse(0, "malformed: shares do not sum")
    assert kept.read_bytes() == b"bad frame"
    assert "shares" in kept.with_suffix(".txt").read_text()
    assert spool.stats().refused == 1
    assert [record.frame for record in drain(spool)] == [b"good frame"]


def test_refused_batches_are_still_counted_after_a_restart(tmp_path: Path) -> None:
    """The count of refused batches is what lies in the folder, not what this process has seen."""
    with Spool(tmp_path) as spool:
        spool.append(b"bad frame", b"", 1)
        spool.refuse(0, "why")
    with Spool(tmp_path) as again:
        assert again.stats().refused == 1


def test_only_the_oldest_batch_can_be_acknowledged(spool: Spool) -> None:
    """Settling out of order would forget a batch that waits: it is an error."""
    spool.append(b"a", b"", 1)
    spool.append(b"b", b"", 2)
    with pytest.raises(SpoolError, match="not the oldest"):
        spool.acknowledge(1)
    assert spool.stats().batches == 2


def test_stats_tell_how_much_waits_and_since_when(spool: Spool) -> None:
    """Batches, bytes and the age of the oldest describe what is not delivered yet."""
    assert spool.stats()[:3] == (0, 0, None)
    spool.append(b"a", b"bc", 7)
    assert spool.stats()[:3] == (1, OVERHEAD_BYTES + 3, 7)
    spool.acknowledge(0)
    assert spool.stats()[:3] == (0, 0, None)


def test_cut_at_every_byte_everything_sealed_before_the_cut_is_there(sealed: Path, tmp_path: Path) -> None:
    """Wherever the file ends after a crash, the whole records in it are read, the rest is cut off and counted once."""
    data = segment_of(sealed).read_bytes()
    ends = [sum(len(encode_record(r)) for r in RECORDS[: n + 1]) for n in range(3)]
    for size in range(len(data) + 1):
        directory = damaged_copy(sealed, tmp_path / "cut", data[:size])
        whole = sum(end <= size for end in ends)
        with Spool(directory) as spool:
            torn = size not in (0, *ends)
            assert (spool.stats().torn, spool.stats().corrupt) == (int(torn), 0), size
            assert spool.next_sequence == whole, size
            assert spool.append(b"after the crash", b"new checkpoint", 9) == whole
            assert drain(spool) == [*RECORDS[:whole], Record(whole, 9, b"after the crash", b"new checkpoint")], size
        with Spool(directory) as again:
            assert (again.stats().torn, again.checkpoint) == (0, b"new checkpoint")


def test_flipped_at_every_byte_every_other_record_is_there(sealed: Path, tmp_path: Path) -> None:
    """A damaged byte costs the record that it lies in, never another; the damage is counted and its bytes are kept."""
    data = segment_of(sealed).read_bytes()
    ends = [sum(len(encode_record(r)) for r in RECORDS[: n + 1]) for n in range(3)]
    for at in range(len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        directory = damaged_copy(sealed, tmp_path / "flip", flipped)
        hit = sum(end <= at for end in ends)
        with Spool(directory) as spool:
            assert spool.stats().torn + spool.stats().corrupt == 1, at
            (kept,) = directory.glob("*.bad")
            start = ends[hit - 1] if hit else 0
            assert kept.read_bytes() == flipped[start : ends[hit]], at
            assert drain(spool) == [record for record in RECORDS if record.sequence != hit], at
            assert spool.append(b"x", b"", 9) == spool.next_sequence - 1


def test_the_number_of_a_batch_that_was_damaged_after_sealing_is_not_used_again(sealed: Path, tmp_path: Path) -> None:
    """The damaged batch may have been delivered: another with its identity would be a conflict at the collector."""
    data = segment_of(sealed).read_bytes()
    directory = damaged_copy(sealed, tmp_path / "last", data[:-1] + b"!")
    with Spool(directory) as spool:
        assert spool.stats().corrupt == 1
        assert spool.next_sequence == 3
        assert spool.checkpoint == RECORDS[1].checkpoint


def test_damage_that_appears_while_running_is_set_aside(sealed: Path, tmp_path: Path) -> None:
    """A record that no longer matches its checksum when its turn comes is kept aside, and the next one is sent."""
    data = segment_of(sealed).read_bytes()
    directory = damaged_copy(sealed, tmp_path / "late", data)
    with Spool(directory) as spool:
        segment_of(directory).write_bytes(data[:40] + b"?" + data[41:])
        assert [record.sequence for record in drain(spool)] == [1, 2]
        assert spool.stats().corrupt == 1
        assert len(list(directory.glob("*.bad"))) == 1


@pytest.mark.parametrize("content", [b"", b"\x00" * 24, b"\xff" * 11])
def test_an_unreadable_position_means_sending_again(sealed: Path, tmp_path: Path, content: bytes) -> None:
    """Where the note of what was delivered is spoiled, batches go out twice (harmless) rather than not at all."""
    directory = damaged_copy(sealed, tmp_path / "position", segment_of(sealed).read_bytes())
    (directory / "delivered").write_bytes(content)
    with Spool(directory) as spool:
        assert drain(spool) == RECORDS


def test_one_spoiled_slot_of_the_position_falls_back_to_the_other(tmp_path: Path) -> None:
    """The position alternates between two slots, so a write that is cut off costs at most one step."""
    with Spool(tmp_path) as spool:
        for record in RECORDS:
            spool.append(record.frame, record.checkpoint, record.sealed_at_us)
        spool.acknowledge(0)
        spool.acknowledge(1)
    slots = bytearray((tmp_path / "delivered").read_bytes())
    slots[0] ^= 0xFF  # the slot of the even position, written last
    (tmp_path / "delivered").write_bytes(slots)
    with Spool(tmp_path) as again:
        assert [record.sequence for record in drain(again)] == [1, 2]


def test_a_write_that_fails_changes_nothing(tmp_path: Path) -> None:
    """After a disk error the batch is not sealed, and the same sequence is sealed cleanly once the disk takes it."""
    spool = Spool(tmp_path, segment_bytes=1)
    spool.append(b"a", b"", 1)
    obstacle = tmp_path / f"{1:020d}.seg"
    obstacle.mkdir()
    with pytest.raises(SpoolError, match="could not be written"):
        spool.append(b"b", b"", 2)
    obstacle.rmdir()
    assert spool.append(b"b", b"", 2) == 1
    assert [record.frame for record in drain(spool)] == [b"a", b"b"]
    spool.close()


@given(st.binary(max_size=300), st.binary(max_size=80), st.integers(0, 2**63), st.integers(0, 2**63))
def test_records_survive_their_encoding(frame: bytes, checkpoint: bytes, sequence: int, at_us: int) -> None:
    """Any frame and checkpoint come back as they were put in."""
    record = Record(sequence, at_us, frame, checkpoint)
    assert decode_record(encode_record(record)) == record


@given(st.lists(st.binary(max_size=60), max_size=6), st.data())
def test_scanning_accounts_for_every_byte(frames: list[bytes], data: st.DataObject) -> None:
    """Records and damage together cover a segment without gap or overlap, whatever was overwritten in it."""
    segment = bytearray(b"".join(encode_record(Record(i, i, frame, b"c")) for i, frame in enumerate(frames)))
    for _ in range(data.draw(st.integers(0, 3))):
        if segment:
            segment[data.draw(st.integers(0, len(segment) - 1))] ^= data.draw(st.integers(1, 255))
    places, damages = scan(bytes(segment))
    spans = sorted([(p.offset, p.length) for p in places] + [(d.offset, d.length) for d in damages])
    position = 0
    for offset, length in spans:
        assert offset == position
        position += length
    assert position == len(segment)


def test_files_of_somebody_else_are_left_alone(sealed: Path, tmp_path: Path) -> None:
    """A copy that an operator made of a segment is neither read twice nor in the way."""
    directory = tmp_path / "spool"
    shutil.copytree(sealed, directory)
    segment = segment_of(directory)
    shutil.copy(segment, directory / "backup.seg")
    with Spool(directory) as spool:
        assert [record.sequence for record in drain(spool)] == [0, 1, 2]
    assert (directory / "backup.seg").exists()


def test_a_closed_spool_settles_nothing(tmp_path: Path) -> None:
    """A delivery that ends after the agent closed its spool writes into no file: its number may be another's by now."""
    spool = Spool(tmp_path / "spool")
    spool.append(b"frame", b"", 1)
    spool.close()
    others = [(tmp_path / f"other{number}").open("w+b") for number in range(8)]
    with pytest.raises(SpoolError):
        spool.acknowledge(0)
    for other in others:
        other.close()
    assert [path.stat().st_size for path in tmp_path.glob("other*")] == [0] * 8
