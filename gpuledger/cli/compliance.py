"""`report compliance`: who had access, what changed, who approved what, what was refused, and the proof of it."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from gpuledger.cli.arguments import Commands, add_command, add_period, add_source
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.extras import needs
from gpuledger.cli.output import progress_console, write_bytes
from gpuledger.clock import WallClock
from gpuledger.errors import ConfigError


def register(which: Commands, kinds: tuple[str, ...]) -> None:
    """Add the command; exit code 3 where the log does not verify, or cannot be proved."""
    parser = add_command(
        which, "compliance", "who had access, what changed, who approved it, what was refused, and the proof of it"
    )
    add_period(parser)
    parser.add_argument("--from", dest="start", default="", metavar="FROM", help="instead of --period: where it begins")
    parser.add_argument("--to", dest="end", default="", metavar="TO", help="and where it ends (not included)")
    add_source(parser)
    parser.add_argument(
        "--export", type=Path, metavar="DIR", help="read what `audit export` wrote: no ledger and no network is needed"
    )
    parser.add_argument(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="public key, PEM; after a rotation each of them",
    )
    parser.add_argument(
        "--checkpoint", type=Path, action="append", default=[], metavar="FILE",
        help="a checkpoint, or a folder of them, that was kept elsewhere",
    )  # fmt: skip
    names = ", ".join(f"FILE.{kind}" for kind in kinds)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help=f"what to write: {names}")
    parser.set_defaults(run=lambda args: run(args, kinds))


def run(args: argparse.Namespace, kinds: tuple[str, ...]) -> int:
    """Write the report, also of a log that does not verify; say the verdict."""
    kind = args.out.suffix.lower().lstrip(".")
    if kind not in kinds:
        raise ConfigError(f"{args.out} is no file for a report", hint="name it FILE.html, FILE.pdf or FILE.xlsx")
    if args.export and args.ledger:
        raise ConfigError("--export and --ledger are two logs", hint="name one of them")
    period = _period(args)
    with needs("collector", "report compliance"), needs("analytics", "report compliance"):
        from analytics.compliance.report import verifies
        from gpuledger.cli.compliance_log import compliance_report
        from gpuledger.cli.report_files import write
    with tempfile.TemporaryDirectory(prefix="gpuledger-compliance-") as made:
        directory = args.export or _exported(args, Path(made))
        report = compliance_report(directory, period, args.key, args.checkpoint, WallClock().now_us())
    write_bytes(args.out, write(report, kind))
    progress_console().print(
        report.title, *([report.alarm] if report.alarm else []), sep="\n", markup=False, soft_wrap=True
    )
    return DONE if verifies(report) else VIOLATION


def _period(args: argparse.Namespace) -> str:
    if bool(args.start) != bool(args.end) or (args.start and args.period):
        raise ConfigError("give --from and --to, or --period", hint="such as --from 2026-10-01 --to 2026-11-01")
    return f"{args.start}..{args.end}" if args.start else str(args.period)


def _exported(args: argparse.Namespace, directory: Path) -> Path:
    from gpuledger.cli.audit import export_log
    from gpuledger.cli.sources import open_source

    with open_source(args) as source:
        export_log(source, directory)
    return directory
