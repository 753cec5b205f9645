"""Checkpoints that a command takes further: into a real repository; what happens where it fails, hangs, or is not there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit import heads
from collector.audit.checkpoints import open_note
from collector.audit.heads import make_checkpoint, notes
from collector.ledger.store import Ledger
from gpuledger.clock import VirtualClock
from gpuledger.errors import AuditError
from tests.collector.batches import START_US
from tests.collector.fleet import open_ledger

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUSH = (
    'cp "$1" "$0" && cd "$0" && git add . && git -c user.name=ledger -c user.email=ledger@example.com'
    " commit -qm checkpoint && git push -q origin HEAD:main"
)


def git(*words: str) -> str:
    """Run git; return what it says."""
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def test_each_checkpoint_is_pushed_into_a_repository(tmp_path: Path) -> None:
    """From where anybody who has the public key holds the ledger to it."""
    bare, clone = tmp_path / "bare.git", tmp_path / "clone"
    git("init", "-q", "--bare", str(bare))
    git("clone", "-q", str(bare), str(clone))
    clock, command = VirtualClock(START_US), ("sh", "-c", PUSH, str(clone))
    with Ledger.open(tmp_path / "ledger", clock=clock) as ledger:
        first = make_checkpoint(ledger, "gpuledger", KEY, tmp_path / "place", command)
        clock.advance_to(START_US + 3_600_000_000)
        second = make_checkpoint(ledger, "gpuledger", KEY, tmp_path / "place", command)
        kept = ledger.execute("audit_checkpoints")["note"].to_pylist()
    files = git("-C", str(bare), "ls-tree", "--name-only", "main").split("\n")[:-1]
    pushed = [git("-C", str(bare), "show", f"main:{name}") for name in files]
    assert pushed == kept
    assert [open_note(note, [KEY.public_key()]) for note in pushed] == [first, second]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("sh", "-c", "echo no such bucket >&2; exit 4"), "exit code 4: no such bucket"),
        (("sh", "-c", "sleep 5"), "timed out"),
        (("/nowhere/aws", "s3"), "No such file"),
    ],
)
def test_what_does_not_take_it_is_said_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], words: str
) -> None:
    """The note is in the ledger and in the second place all the same."""
    monkeypatch.setattr(heads, "PUBLISH_S", 0.5)
    with open_ledger(tmp_path / "ledger") as ledger:
        with pytest.raises(AuditError, match=words):
            make_checkpoint(ledger, "gpuledger", KEY, tmp_path / "place", command)
        with ledger.snapshot() as session:
            [note] = notes(session)
    [path] = (tmp_path / "place").iterdir()
    assert path.read_text("utf-8") == note
