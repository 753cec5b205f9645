"""Making checkpoints: the head of the log is signed, kept in the ledger, and written to a second place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from collector.audit.checkpoints import Checkpoint, sign
from collector.audit.log import entries, record
from collector.audit.merkle import HASH_BYTES, Frontier, leaf_hash
from collector.ledger.database import Session
from collector.ledger.store import Ledger
from gpuledger.accounting.periods import iso
from gpuledger.errors import AuditError

KEY_USED: Final = "audit.key"
SUFFIX: Final = ".checkpoint"
PUBLISH_S: Final = 60  # how long the command may take that carries a checkpoint away


def make_checkpoint(
    ledger: Ledger, origin: str, key: Ed25519PrivateKey, place: Path, publish: Sequence[str] = ()
) -> Checkpoint:
    """Sign the head of the log, keep it, and write it into the folder `place`; also where nothing was added.

    `publish` is a command that takes it further: a bucket, a repository. A key that signs for the first time is an
    event of its own. Raises AuditError where the second place or the command does not take it: what was signed is in
    the ledger all the same.
    """
    with ledger.transaction() as session:
        at_us = ledger.now_us()
        _note_key(session, at_us, key)
        tree = _grown(session)
        made = Checkpoint(origin, tree.size, tree.root, at_us)
        note = sign(made, key)
        kept = {"size": made.size, "at_us": at_us, "note": note, "edge": b"".join(tree.edge)}
        session.execute("audit_checkpoint_insert", kept)
    path = _write(place, made, note)
    if publish:
        _publish(publish, path)
    return made


def notes(session: Session) -> list[str]:
    """Return all signed notes, the oldest first."""
    return [row["note"] for row in session.execute("audit_checkpoints").to_pylist()]


def kept_notes(place: Path) -> list[str]:
    """Return the signed notes in a folder, the oldest first; none where there is no such folder. Raises AuditError."""
    try:
        return [path.read_text(encoding="utf-8") for path in sorted(place.glob(f"*{SUFFIX}"))]
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(f"the checkpoints in {place} cannot be read: {error}") from error


def _note_key(session: Session, at_us: int, key: Ed25519PrivateKey) -> None:
    """Record which key signs from now on, where it is another than before."""
    fingerprint = sha256(key.public_key().public_bytes_raw()).hexdigest()
    newest = session.execute("audit_last_key").to_pylist()
    if not newest or newest[0]["subject"] != fingerprint:
        record(session, at_us, KEY_USED, fingerprint)


def _grown(session: Session) -> Frontier:
    """Return the tree of all events, from where the newest checkpoint left it."""
    newest = session.execute("audit_checkpoint_last").to_pylist()
    tree = Frontier()
    if newest:
        edge = newest[0]["edge"]
        tree = Frontier(newest[0]["size"], [edge[at : at + HASH_BYTES] for at in range(0, len(edge), HASH_BYTES)])
    for entry in entries(session, tree.size):
        tree.add(leaf_hash(entry))
    return tree


def _publish(command: Sequence[str], path: Path) -> None:
    """Run a command with the file of a checkpoint as its last argument."""
    try:
        subprocess.run(  # noqa: S603 - as the settings say it, without a shell
            [*command, str(path)], check=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=PUBLISH_S
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip()[-200:]
        raise AuditError(
            f"{command[0]} did not take {path.name}, exit code {error.returncode}: {said}",
            hint="run the command of [audit] publish by hand; the next checkpoint covers what this one does",
        ) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise AuditError(
            f"{path.name} was not published: {error}", hint="look at the command of [audit] publish"
        ) from error


def _write(place: Path, made: Checkpoint, note: str) -> Path:
    """Write a note under a name that sorts by size and time, whole or not at all; return its file."""
    name = f"{made.size:012d}-{iso(made.at_us)[:19].replace(':', '')}{SUFFIX}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        partial = place / f".{name}"
        with partial.open("w", encoding="utf-8") as file:
            file.write(note)
            file.flush()
            os.fsync(file.fileno())
        return partial.replace(place / name)
    except OSError as error:
        raise AuditError(
            f"the checkpoint of {made.size} events could not be written to {place}: {error}",
            hint="give [audit] checkpoints a folder that this user may write, best on another machine",
        ) from error
