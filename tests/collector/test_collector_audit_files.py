"""Tampering with the database file of a ledger: found offline with the public key and an older checkpoint alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.canonical import canonical, parse_canonical
from collector.audit.events import FIRST_LINK, Act, Link
from collector.audit.heads import make_checkpoint
from collector.audit.keys import load_private, make_key
from collector.audit.log import append, record
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso
from gpuledger.cli.main import main
from gpuledger.clock import VirtualClock
from tests.collector.batches import START_US, minutes
from tests.collector.fleet import owners, prices
from tests.collector.test_collector_api import OWNERS, PRICES

EVENTS: Final = 10  # books, an agent, a key; of each of three hours an adjustment and a budget
SECOND_US: Final = 1_000_000
KEPT: Final = 8  # events under the older checkpoint that somebody kept
Entries = list[bytes]


class Site:
    """A ledger with a history, the public key, and the checkpoint that was carried away early."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ledger = folder / "ledger"
        self.kept = folder / "elsewhere"
        private, self.public = make_key(folder / "keys")
        key = load_private(private, {})
        assert key
        clock = VirtualClock(START_US)
        with Ledger.open(self.ledger, clock=clock) as ledger:
            prices(ledger, PRICES.decode(), START_US)
            owners(ledger, OWNERS.decode(), START_US)
            for sequence in range(3):
                clock.advance_to(START_US + (sequence + 1) * 3_600 * SECOND_US)
                ledger.ingest([minutes(sequence)])
                with ledger.transaction() as session:
                    record(session, ledger.now_us(), "adjustment.add", f"adjustment {sequence}", {"amount": "12.50"})
                    append(session, ledger.now_us(), [Act("budget.change", "ann", "vision", {"to": "900"})])
                if sequence == 1:
                    make_checkpoint(ledger, "gpuledger", key, self.kept)
                else:
                    make_checkpoint(ledger, "gpuledger", key, folder / "lost")

    def copy(self, name: str) -> Path:
        """Return a copy of the ledger's folder, as a thief of the database file has it."""
        made = self.folder / name
        shutil.copytree(self.ledger, made)
        return made


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("audited"))


def relinked(entries: Entries, first: int = 0) -> Entries:
    """Return entries whose numbers and chain are whole again from `first` on."""
    made = entries[:first]
    for number, entry in enumerate(entries[first:], start=first):
        previous = Link.parse(made[-1]).hash if made else FIRST_LINK
        made.append(canonical({**parse_canonical(entry), "previous": previous.hex(), "sequence": number}))
    return made


def changed(entry: bytes, **fields: Any) -> bytes:
    return canonical({**parse_canonical(entry), **fields})


def edit(entries: Entries) -> Entries:
    assert b"vision" in entries[4]
    return [*entries[:4], entries[4].replace(b"vision", b"speech"), *entries[5:]]


def set_clock_back(entries: Entries) -> Entries:
    """Return a log whose newest events claim to be older than those before, in a chain that is whole."""
    return relinked([*entries[:-1], changed(entries[-1], at=iso(START_US))], len(entries) - 1)


# What is done to the entries, and the first sequence that is named.
TAMPERINGS: Final[dict[str, tuple[Callable[[Entries], Entries], int]]] = {
    "edit": (edit, 5),
    "edit and rebuild the chain": (lambda e: relinked(edit(e), 4), 0),
    "delete": (lambda e: [*e[:5], *e[6:]], 5),
    "delete and rebuild the chain": (lambda e: relinked([*e[:5], *e[6:]], 5), 0),
    "delete the first": (lambda e: e[1:], 0),
    "reorder": (lambda e: [*e[:4], e[5], e[4], *e[6:]], 4),
    "reorder and rebuild the chain": (lambda e: relinked([*e[:4], e[5], e[4], *e[6:]], 4), 0),
    "insert": (lambda e: [*e[:4], e[3], *e[4:]], 4),
    "truncate below the checkpoint": (lambda e: e[: KEPT - 2], KEPT - 2),
    "empty": (lambda _: [], 0),
    "spaces in an entry": (lambda e: [*e[:5], e[5].replace(b'":', b'": ', 1), *e[6:]], 5),
    "a clock set back after the checkpoint": (set_clock_back, 9),
}


def tampered(folder: Path, tamper: Callable[[Entries], Entries]) -> None:
    """Change the audit log inside the database file, past the program, columns beside the entries as well."""
    with duckdb.connect(str(folder / "ledger.duckdb")) as database:
        found = database.execute("SELECT entry FROM audit_events ORDER BY sequence").fetchall()
        entries = tamper([entry.encode() for (entry,) in found])
        database.execute("DELETE FROM audit_events")
        for place, entry in enumerate(entries):
            at = parse_canonical(entry) if b'": ' not in entry else {"act": "?", "actor": "?", "subject": "?"}
            row = [place, START_US, at["act"], at["actor"], at["subject"], entry.decode()]
            database.execute("INSERT INTO audit_events VALUES (?, ?, ?, ?, ?, ?)", row)


def exported(folder: Path, *, checkpoints: bool = True) -> Path:
    """Export the log of a folder as an auditor gets it; without the checkpoints that the thief could have changed."""
    out = folder.with_name(f"{folder.name}-export")
    assert main(["audit", "export", str(out), "--ledger", str(folder)]) == 0
    for path in [] if checkpoints else out.glob("*.checkpoint"):
        path.unlink()
    return out


def verified(site: Site, out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """Verify offline: the exit code and what is said, by the checkpoint that was kept and the public key."""
    capsys.readouterr()
    command = ["audit", "verify", str(out), "--key", str(site.public), "--checkpoint", str(site.kept)]
    code = main([*command, "--format", "json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_nobody_touched_holds(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """The older checkpoint covers its events; those after are chained."""
    code, said = verified(site, exported(site.copy("clean"), checkpoints=False), capsys)
    assert (code, said["ok"], said["covered"]) == (0, True, KEPT)
    assert said["events"] == EVENTS


@pytest.mark.parametrize("name", TAMPERINGS)
def test_a_tampered_database_file_is_found(site: Site, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 3 and the first bad sequence; where the chain was made whole again, the first that no checkpoint holds."""
    tamper, bad = TAMPERINGS[name]
    folder = site.copy(name.replace(" ", "-"))
    tampered(folder, tamper)
    code, said = verified(site, exported(folder, checkpoints=False), capsys)
    assert (code, said["ok"], said["bad_sequence"]) == (3, False, bad), said


def test_a_chain_that_was_rebuilt_with_another_key_is_found(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A thief signs new checkpoints over a new history: they are another key's, and the one that was kept does not fit."""
    folder = site.copy("rebuilt")
    tampered(folder, lambda entries: relinked(edit(entries)))
    with duckdb.connect(str(folder / "ledger.duckdb")) as database:
        database.execute("DELETE FROM audit_checkpoints")
    with Ledger.open(folder, clock=VirtualClock(START_US + 10**12)) as ledger:
        make_checkpoint(ledger, "gpuledger", Ed25519PrivateKey.generate(), site.folder / "forged")
    out = exported(folder)
    assert main(["audit", "verify", str(out), "--key", str(site.public), "--checkpoint", str(site.kept)]) == 1
    assert "no given key signed" in capsys.readouterr().err
    for path in out.glob("*.checkpoint"):
        path.unlink()
    code, said = verified(site, out, capsys)
    assert (code, said["bad_sequence"]) == (3, 0)


def test_a_checkpoint_of_another_origin_or_size_is_no_witness(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A note that was edited does not verify, whichever line it is."""
    out = exported(site.copy("notes"), checkpoints=False)
    [kept] = site.kept.glob("*.checkpoint")
    note = kept.read_text()
    for old, new in ((f"\n{KEPT}\n", f"\n{KEPT - 1}\n"), ("time 2026", "time 2025"), ("gpuledger\n", "other\n")):
        forged = site.folder / "forged.checkpoint"
        forged.write_text(note.replace(old, new, 1))
        assert forged.read_text() != note
        assert main(["audit", "verify", str(out), "--key", str(site.public), "--checkpoint", str(forged)]) == 1


def test_a_truncation_after_the_checkpoint_is_found_by_the_next_one(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """An older checkpoint cannot see what came later: that is why one is made every hour, and kept elsewhere."""
    folder = site.copy("cut")
    tampered(folder, lambda entries: entries[:-2])
    out = exported(folder, checkpoints=False)
    assert verified(site, out, capsys)[0] == 0
    newest = str(max((site.folder / "lost").glob("*.checkpoint")))
    code = main(["audit", "verify", str(out), "--key", str(site.public), "--checkpoint", newest, "--format", "json"])
    assert code == 3
    assert json.loads(capsys.readouterr().out)["bad_sequence"] == KEPT


def test_the_program_goes_on_from_a_tampered_head_and_hides_nothing(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events that the collector adds to a tampered log are links of it, and do not make it whole."""
    folder = site.copy("onward")
    tampered(folder, edit)
    with Ledger.open(folder, clock=VirtualClock(START_US + 10**12)) as ledger, ledger.transaction() as session:
        record(session, ledger.now_us(), "price.import", "prices 2")
    code, said = verified(site, exported(folder, checkpoints=False), capsys)
    assert (code, said["bad_sequence"]) == (3, 5)
