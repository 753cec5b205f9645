"""The audit log: written with its acts, verified with a public key and an old checkpoint, whatever was done to it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from collector.audit.actor import acting
from collector.audit.canonical import MAX_INTEGER, canonical, parse_canonical
from collector.audit.checkpoints import open_note
from collector.audit.events import FIRST_LINK, Act, Link, link
from collector.audit.heads import make_checkpoint, notes
from collector.audit.keys import load_private, load_public, make_key
from collector.audit.log import append, entries, record
from collector.audit.verify import Verdict, verify
from collector.ledger.store import Ledger
from collector.pricing.imports import import_prices
from collector.queries.audit import audit
from gpuledger.accounting.periods import iso
from gpuledger.cli.main import main
from gpuledger.errors import AuditError, PriceBookError
from tests.collector.batches import START_US, frame, minutes, records
from tests.collector.fleet import open_ledger, prices

BOOK = 'currency = "EUR"\n[[price]]\nmodel = "*"\nrate = "2.49"\n'
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=10,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Give a ledger of its own."""
    with open_ledger(tmp_path / "ledger") as found:
        yield found


def log_of(ledger: Ledger) -> list[bytes]:
    with ledger.snapshot() as session:
        return list(entries(session))


def acts_of(ledger: Ledger) -> list[tuple[str, str]]:
    return [(row.act, row.actor) for row in reversed(audit(ledger, None, act="", actor="", limit=1000).rows)]


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES))
def test_canonical_json_is_read_back_and_is_unique(value: dict[str, object]) -> None:
    """One text for a value, and that text alone."""
    text = canonical(value)  # type: ignore[arg-type]
    assert parse_canonical(text) == value
    loose = json.dumps(value).encode()
    if loose != text:
        with pytest.raises(AuditError):
            parse_canonical(loose)


@pytest.mark.parametrize(
    "text",
    [b'{"a":1,"a":2}', b'{"a":1.0}', b'{"a":1e5}', b'{"a":NaN}', b"[1]", b'{"a": 1}', b'{"b":1,"a":2}', b'{"a":1',
     b"\xff", b'{"a":' + b"9" * 30 + b"}", b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":"\\ud800"}'],
)  # fmt: skip
def test_what_is_not_canonical_is_refused(text: bytes) -> None:
    """Duplicate names, floats, huge numbers, deep nesting, other order and broken text never become an event."""
    with pytest.raises(AuditError):
        parse_canonical(text)


def test_governed_acts_are_recorded_with_who_did_them(ledger: Ledger) -> None:
    """A price book, a new agent, an event of weight; a price book that changes nothing is no act."""
    with acting("ann"):
        prices(ledger, BOOK)
        prices(ledger, BOOK)
    ledger.ingest([minutes(0), minutes(1)])
    assert acts_of(ledger) == [("price.import", "ann"), ("agent.new", "node-a")]


def test_what_the_list_says_is_what_the_chain_proves(ledger: Ledger) -> None:
    """Columns beside the entries are covered by no hash: somebody who edits those alone changes nothing that is read."""
    with acting("ann"):
        prices(ledger, BOOK)
    with ledger.transaction() as session:
        session._connection.execute("UPDATE audit_events SET actor = 'mallory', act = 'token.create', subject = 'x'")
    assert acts_of(ledger) == [("price.import", "ann")]
    assert [row.actor for row in audit(ledger, None, act="price.import", actor="ann", limit=9).rows] == ["ann"]
    assert audit(ledger, None, act="", actor="mallory", limit=9).rows == []


def record_and_fail(ledger: Ledger) -> None:
    with ledger.transaction() as session:
        record(session, START_US, "budget.change")
        raise RuntimeError


def test_an_act_that_fails_is_not_in_the_log(ledger: Ledger) -> None:
    """Neither exists without the other: what is rolled back was never recorded."""
    prices(ledger, BOOK)
    with pytest.raises(PriceBookError):
        import_prices(ledger, BOOK.replace("EUR", "USD").encode(), "toml", source="x", imported_us=START_US)
    with pytest.raises(RuntimeError):
        record_and_fail(ledger)
    assert [act for act, _ in acts_of(ledger)] == ["price.import"]


def test_a_clock_that_goes_back_is_an_event(ledger: Ledger) -> None:
    """Times in the log never go back, and that the clock did is said."""
    with ledger.transaction() as session:
        record(session, START_US, "a")
        record(session, START_US - 5_000_000, "b")
    rows = audit(ledger, None, act="", actor="", limit=10).rows
    assert [row.act for row in rows] == ["b", "clock.back", "a"]
    assert {row.at for row in rows} == {iso(START_US)}
    assert rows[1].details == {"clock": iso(START_US - 5_000_000), "log": iso(START_US)}


def chain(count: int) -> list[Link]:
    """Return a log of `count` events, a second apart."""
    found: list[Link] = []
    for number in range(count):
        previous = found[-1].hash if found else FIRST_LINK
        found += link([Act("budget.change", "ann", f"team {number}")], START_US + number * 10**6, number, previous)
    return found


def filled(ledger: Ledger, count: int) -> None:
    with ledger.transaction() as session:
        for number in range(count):
            append(session, ledger.now_us(), [Act("budget.change", "ann", f"team {number}")])


def relink(links: list[Link], first: int) -> list[bytes]:
    """Return entries whose chain is whole again from `first` on, as a forger with the database would make it."""
    made = [each.entry for each in links[:first]]
    previous = links[first - 1].hash if first else FIRST_LINK
    for number, each in enumerate(links[first:], start=first):
        content = {**parse_canonical(each.entry), "previous": previous.hex(), "sequence": number}
        made.append(canonical(content))
        previous = Link.parse(made[-1]).hash
    return made


def seen(ledger: Ledger, place: Path) -> None:
    make_checkpoint(ledger, "gpuledger", KEY, place)


def judged(links: list[bytes], ledger: Ledger) -> Verdict:
    with ledger.snapshot() as session:
        heads = [open_note(note, [KEY.public_key()]) for note in notes(session)]
    return verify(links, heads)


def test_a_whole_log_holds(ledger: Ledger, tmp_path: Path) -> None:
    """With checkpoints over nothing, over some of it, twice over the same; what came after is chained."""
    for count in (0, 3, 0, 5):
        filled(ledger, count)
        seen(ledger, tmp_path / "kept")
    filled(ledger, 2)
    found = judged(log_of(ledger), ledger)
    assert (found.ok, found.events, found.checkpoints) == (True, 11, 4)
    assert len(list((tmp_path / "kept").glob("*.checkpoint"))) >= 3


@pytest.mark.parametrize(
    "tampering", ["edit", "edit and relink", "delete", "delete and relink", "swap", "truncate", "add"]
)
def test_every_tampering_is_found(ledger: Ledger, tmp_path: Path, tampering: str) -> None:
    """An older checkpoint and the public key are enough, and the first bad event is named, or the first suspect one."""
    seen(ledger, tmp_path / "kept")  # signs the empty log, then records its key: event 0
    filled(ledger, 5)
    seen(ledger, tmp_path / "kept")
    filled(ledger, 6)
    seen(ledger, tmp_path / "kept")
    filled(ledger, 1)
    links = [Link.parse(entry) for entry in log_of(ledger)]
    entry = [each.entry for each in links]
    forged = links[8].entry.replace(b"ann", b"eve")
    edited = [*links[:8], Link.parse(forged), *links[9:]]
    bad, changed = {
        "edit": (9, [*entry[:8], forged, *entry[9:]]),
        "edit and relink": (6, relink(edited, 9)),
        "delete": (8, [*entry[:8], *entry[9:]]),
        "delete and relink": (6, relink([*links[:8], *links[9:]], 8)),
        "swap": (8, [*entry[:8], entry[9], entry[8], *entry[10:]]),
        "truncate": (10, entry[:10]),
        "add": (9, [*entry[:9], entry[8], *entry[9:]]),
    }[tampering]
    found = judged(changed, ledger)
    assert (found.ok, found.bad_sequence) == (False, bad), found.detail


def test_a_log_that_was_rebuilt_with_another_key_is_found(ledger: Ledger, tmp_path: Path) -> None:
    """Whoever rewrites everything, its checkpoints included, does not have the key."""
    filled(ledger, 3)
    eve = Ed25519PrivateKey.generate()
    make_checkpoint(ledger, "gpuledger", eve, tmp_path)
    with ledger.snapshot() as session:
        [note] = notes(session)
    with pytest.raises(AuditError, match="no given key signed"):
        open_note(note, [KEY.public_key()])
    assert open_note(note, [KEY.public_key(), eve.public_key()]).size == 4, "after a rotation several keys are given"
    with pytest.raises(AuditError, match="not its key's"):
        open_note(note.replace("\n4\n", "\n3\n"), [eve.public_key()])


def test_a_key_that_is_new_is_recorded(ledger: Ledger, tmp_path: Path) -> None:
    """Its rotation is an event, under the new key's first checkpoint; signing again with it is none."""
    for key in (KEY, KEY, Ed25519PrivateKey.generate()):
        make_checkpoint(ledger, "gpuledger", key, tmp_path)
    assert [act for act, _ in acts_of(ledger)] == ["audit.key", "audit.key"]


def test_an_exported_log_is_verified_offline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With files alone; a tampered copy is told from it by exit code 3 and the number of the event."""
    _, public = make_key(tmp_path / "keys")
    key = load_public([public])
    assert len(key) == 1
    folder = tmp_path / "ledger"
    private = load_private(tmp_path / "keys" / "audit.key", {})
    assert private
    with open_ledger(folder) as ledger:
        prices(ledger, BOOK)
        ledger.ingest([frame(0, records("GPU-0001", START_US, START_US + 60_000_000))])
        make_checkpoint(ledger, "gpuledger", private, tmp_path / "elsewhere")
    out = tmp_path / "out"
    assert main(["audit", "export", str(out), "--ledger", str(folder)]) == 0
    capsys.readouterr()
    verified = ["audit", "verify", str(out), "--key", str(public), "--format", "json"]
    assert main([*verified, "--checkpoint", str(tmp_path / "elsewhere")]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["ok"], said["events"], said["covered"]) == (True, 3, 3)
    assert main(["audit", "prove", str(out), "1", "--format", "json"]) == 0
    proof = json.loads(capsys.readouterr().out)
    assert (proof["root"], proof["size"]) == (said["root"], 3)
    log = out / "audit.jsonl"
    log.write_bytes(log.read_bytes().replace(b"price.import", b"price.imports"))
    assert main(verified) == 3
    assert json.loads(capsys.readouterr().out)["bad_sequence"] == 1
    with pytest.raises(AuditError, match="is there already"):
        make_key(tmp_path / "keys")


def test_verifying_loads_no_database(tmp_path: Path) -> None:
    """An auditor needs the program and the files, not a ledger."""
    code = "import sys, collector.audit.verify, collector.audit.keys; print('duckdb' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False", tmp_path


def test_what_is_rolled_back_is_no_link(ledger: Ledger) -> None:
    """The chain goes on from what was committed, whatever failed in between, also in a transaction of several appends."""
    with ledger.transaction() as session:
        record(session, START_US, "one")
        record(session, START_US, "two")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            record_and_fail(ledger)
    with ledger.transaction() as session:
        record(session, START_US + 1, "three")
    found = verify(log_of(ledger), [])
    assert (found.ok, found.events) == (True, 3), found.detail
