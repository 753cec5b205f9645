"""`audit`: what was done and by whom; keys, checkpoints, exports and offline proofs of it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from gpuledger.cli import audit_tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import Source, open_source
from gpuledger.errors import AuditError

LOG: Final = "audit.jsonl"


def register(commands: Commands) -> None:
    """Add the commands."""
    audit = add_command(commands, "audit", "what was done and by whom, and the proof that nobody changed it")
    actions = audit.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    listing = add_command(actions, "list", "show what was done, the newest first")
    listing.add_argument("--period", default="", help="YYYY-MM or FROM..TO; default: ever")
    listing.add_argument("--act", default="", help="only this, such as price.import")
    listing.add_argument("--actor", default="", help="only what this one did")
    listing.add_argument("--limit", default="100", help="the most rows (100)")
    listing.set_defaults(run=run_list)
    exporting = add_command(actions, "export", "write the log and its checkpoints into DIR, for a verifier elsewhere")
    exporting.add_argument("directory", type=Path, metavar="DIR")
    exporting.set_defaults(run=run_export)
    for parser in (listing, exporting):
        add_source(parser)
    verifying = add_command(actions, "verify", "verify an exported log offline; exit code 3 where it does not hold")
    verifying.add_argument("directory", type=Path, metavar="DIR", help=f"what `audit export` wrote ({LOG} in it)")
    verifying.add_argument("--key", type=Path, action="append", required=True, metavar="FILE", help="public key, PEM")
    verifying.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="FILE",
        help="a checkpoint, or a folder of them, that was kept elsewhere",
    )  # fmt: skip
    verifying.set_defaults(run=run_verify)
    proving = add_command(actions, "prove", "prove that an event is in an exported log, with the hashes to the root")
    proving.add_argument("directory", type=Path, metavar="DIR")
    proving.add_argument("sequence", type=int, metavar="SEQUENCE")
    proving.set_defaults(run=run_prove)
    for parser in (listing, verifying, proving):
        add_output(parser)
    making = add_command(actions, "key", "make a pair of keys in DIR: audit.key signs, audit.pub verifies")
    making.add_argument("directory", type=Path, metavar="DIR")
    making.set_defaults(run=run_key)


def run_list(args: argparse.Namespace) -> int:
    """Print what was done."""
    asked = {name: getattr(args, name) for name in ("period", "act", "actor", "limit")}
    with open_source(args) as source:
        answer = source.query("audit", asked)
    emit(args, answer, audit_tables.events)
    return DONE


def run_export(args: argparse.Namespace) -> int:
    """Write the log, an event a line, and each checkpoint."""
    with open_source(args) as source:
        count, kept = export_log(source, args.directory)
    print(f"{count:,} events and {kept:,} checkpoints in {args.directory}")
    return DONE


def export_log(source: Source, directory: Path) -> tuple[int, int]:
    """Write the log and its checkpoints into a folder; return how many events and checkpoints.

    Checkpoints are read first, so that none of them has seen more events than are written.
    """
    count = 0
    with _writing(directory):
        kept = [row["note"] for row in source.query("audit/checkpoints", {})["rows"]]
        with (directory / LOG).open("wb") as log:
            for entry in _entries(source):
                log.write(entry + b"\n")
                count += 1
        for number, note in enumerate(kept):
            (directory / f"{number:06d}.checkpoint").write_text(note, encoding="utf-8")
    return count, len(kept)


def run_verify(args: argparse.Namespace) -> int:
    """Say whether an exported log holds, and where it does not."""
    with needs("collector", "audit verify"):
        from collector.audit.checkpoints import open_note
        from collector.audit.keys import load_public
        from collector.audit.verify import verify
    keys = load_public(args.key)
    files = checkpoint_files([args.directory, *args.checkpoint])
    if not files:
        raise AuditError(
            "there is no checkpoint to hold the log against",
            hint="without one nobody can tell whether it was rewritten whole: give one with --checkpoint",
        )
    heads = [open_note(path.read_text(encoding="utf-8"), keys) for path in files]
    verdict = verify(log_lines(args.directory / LOG), heads)
    answer = {
        "ok": verdict.ok,
        "events": verdict.events,
        "root": verdict.root.hex(),
        "checkpoints": verdict.checkpoints,
        "bad_sequence": verdict.bad_sequence,
        "detail": verdict.detail,
        "covered": max(head.size for head in heads),
    }
    emit(args, answer, audit_tables.verdict)
    return DONE if verdict.ok else VIOLATION


def run_prove(args: argparse.Namespace) -> int:
    """Print the proof that one event is in the log."""
    with needs("collector", "audit prove"):
        from collector.audit.merkle import inclusion_proof, leaf_hash, root_of
    leaves = [leaf_hash(entry) for entry in log_lines(args.directory / LOG)]
    proof = inclusion_proof(leaves, args.sequence)
    answer = {
        "sequence": args.sequence,
        "size": len(leaves),
        "leaf": leaves[args.sequence].hex(),
        "root": root_of(leaves).hex(),
        "rows": [each.hex() for each in proof],
    }
    emit(args, answer, audit_tables.proof)
    return DONE


def run_key(args: argparse.Namespace) -> int:
    """Make a pair of keys."""
    with needs("collector", "audit key"):
        from collector.audit.keys import make_key
    private, public = make_key(args.directory)
    print(f"{private} signs checkpoints: name it in the collector's settings, [audit] key.")
    print(f"{public} verifies them: give it to whoever is to check.")
    return DONE


def _entries(source: Source) -> Iterator[bytes]:
    first: int | None = 0
    while first is not None:
        page: dict[str, Any] = source.query("audit/entries", {"first": str(first)})
        yield from (row["entry"].encode() for row in page["rows"])
        first = page["next"]


def log_lines(path: Path) -> Iterator[bytes]:
    """Yield the entries of an exported log, as they are."""
    try:
        with path.open("rb") as log:
            for line in log:
                yield line.removesuffix(b"\n")
    except OSError as error:
        raise AuditError(f"cannot read {path}: {error.strerror}", hint="name what `audit export` wrote") from error


def checkpoint_files(places: Sequence[Path]) -> list[Path]:
    """Return the checkpoints that files and folders are and hold. Raises AuditError where one is not there."""
    found: list[Path] = []
    for place in places:
        if place.is_dir():
            found += sorted(place.glob("*.checkpoint"))
        elif place.is_file():
            found.append(place)
        else:
            raise AuditError(f"there is no checkpoint {place}", hint="name a file, or a folder of them")
    return found


class _writing:  # noqa: N801 - reads as what it does
    """Make the folder, and say in words where it cannot be written."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def __enter__(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise AuditError(f"cannot write into {self._directory}: {error.strerror}") from error
