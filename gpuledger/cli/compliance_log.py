"""Reads and verifies an exported audit log for the compliance report: files, public keys, checkpoints, no network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from analytics.compliance.events import Head, Proof, parse_event
from analytics.compliance.report import Compliance
from analytics.reports.report import Report
from collector.audit.checkpoints import Checkpoint, key_id, open_note, read_note
from collector.audit.keys import load_public
from collector.audit.verify import Verdict, verify
from gpuledger.accounting.periods import iso, month_of, parse_period
from gpuledger.cli.audit import LOG, checkpoint_files, log_lines
from gpuledger.errors import AuditError, ConfigError
from gpuledger.zones import find_zone

_CALENDAR: Final = b'"act":"calendar.change"'
UNCHECKED: Final = "no public key was given to check its signature with"
NOT_REACHED: Final = "the log does not fit it"


class _Note(NamedTuple):
    """A checkpoint as it was given: what it says, the key that it names, and what is wrong with it."""

    checkpoint: Checkpoint
    key: str
    why: str
    elsewhere: bool


def compliance_report(directory: Path, text: str, keys: Sequence[Path], kept: Sequence[Path], now_us: int) -> Report:
    """Return the report of a period (empty: this month, in the billing zone that the log says) of an exported log.

    It is made of a log that does not verify, too, and says so. Raises ConfigError where the period has not begun.
    """
    public = load_public(list(keys)) if keys else []
    log = directory / LOG
    zone = find_zone(_zone(log))
    period = parse_period(text, zone) if text else month_of(now_us, zone)
    if period.start_us >= now_us:
        raise ConfigError(
            f"{period.label} has not begun: nothing of it can be on record", hint=f"ask for time before {iso(now_us)}"
        )
    notes = _notes(checkpoint_files([directory]), public, elsewhere=False)
    carried = _notes(checkpoint_files(kept), public, elsewhere=True)
    given = list({(note.checkpoint, note.key, note.why): note for note in (*notes, *carried)}.values())
    usable = sorted((note for note in given if note.why in ("", UNCHECKED)), key=_order)
    report = Compliance(period)
    lines = _told(log, report)
    verdict = verify(lines, [note.checkpoint for note in usable])
    for _ in lines:  # what comes after the first that does not hold is shown too, marked
        pass
    return report.report(_proof(given, usable, verdict, public), now_us)


def _told(log: Path, report: Compliance) -> Iterator[bytes]:
    for line in log_lines(log):
        report.take(line)
        yield line


def _zone(log: Path) -> str:
    """Return the billing zone that a log knows last."""
    zone = "UTC"
    for place, line in enumerate(log_lines(log)):
        if _CALENDAR in line:
            try:
                zone = parse_event(line, place).subject
            except AuditError:  # the report names it
                continue
    return zone


def _notes(files: Sequence[Path], public: list[Ed25519PublicKey], *, elsewhere: bool) -> list[_Note]:
    found = []
    for path in files:
        try:
            note = path.read_text(encoding="utf-8")
            checkpoint, signatures = read_note(note)
        except (OSError, UnicodeDecodeError, AuditError) as error:
            why = error.message if isinstance(error, AuditError) else str(error)
            found.append(_Note(Checkpoint("", 0, b"", 0), "", f"{path.name} is {why}", elsewhere))
            continue
        named = {key_id(checkpoint.origin, key.public_bytes_raw()).hex(): _fingerprint(key) for key in public}
        ids = [each[:4].hex() for each in signatures]
        key = next((named[each] for each in ids if each in named), "")[:16]
        why = "" if public else UNCHECKED
        if public:
            try:
                open_note(note, public)
            except AuditError as error:
                why = error.message.replace(f" of the checkpoint of {checkpoint.size} events", "").replace(
                    f" the checkpoint of {checkpoint.size} events", " it"
                )
        found.append(_Note(checkpoint, key, why, elsewhere))
    return found


def _proof(given: list[_Note], usable: list[_Note], verdict: Verdict, public: list[Ed25519PublicKey]) -> Proof:
    fits = set(usable[: verdict.checkpoints])
    heads = [
        Head(
            note.checkpoint.size,
            note.checkpoint.at_us,
            note.key,
            note in fits and not note.why,
            note.why or ("" if note in fits else NOT_REACHED),
            note.elsewhere,
        )
        for note in sorted(given, key=_order)
    ]
    return Proof(
        origin=next((note.checkpoint.origin for note in usable), ""),
        events=verdict.events,
        root=verdict.root.hex(),
        bad=verdict.bad_sequence,
        detail=verdict.detail,
        covered=max((head.size for head in heads if head.holds), default=0),
        heads=heads,
        keys=[_fingerprint(key) for key in public],
    )


def _order(note: _Note) -> tuple[int, int]:
    return note.checkpoint.size, note.checkpoint.at_us


def _fingerprint(key: Ed25519PublicKey) -> str:
    return sha256(key.public_bytes_raw()).hexdigest()
