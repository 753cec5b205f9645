"""`drift`: what changed in a period against an earlier one, beyond what changes anyway."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpuledger.cli.arguments import DIMENSIONS, Commands, add_command, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the command."""
    drift = add_command(commands, "drift", "what changed against an earlier period, beyond what changes anyway")
    drift.add_argument(
        "--period",
        help="FROM..TO or YYYY-MM by days of UTC: the current window (default: the last 7 days that are known)",
    )
    drift.add_argument("--against", metavar="PERIOD", help="the reference window (default: the 28 days before)")
    drift.add_argument("--by", choices=DIMENSIONS, default="team", help="whose figures are compared (team)")
    drift.add_argument(
        "--level", type=float, default=0.05, help="the chance of any false alarm where nothing changed (0.05)"
    )
    drift.add_argument(
        "--report", type=Path, metavar="FILE", help="write Evidently's full report there, as one HTML page"
    )
    drift.add_argument(
        "--keep", action="store_true", help="store what drifted in the ledger: /v1/drift and the metrics have it then"
    )
    add_source(drift)
    add_output(drift)
    drift.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what drifted, and what it comes from."""
    with needs("analytics", "drift"):
        from gpuledger.cli import drift_answer, drift_drawing
    with open_source(args) as source:
        answer = drift_answer.find(source, args.period, args.against, by=args.by, level=args.level, report=args.report)
        if args.keep:
            drift_answer.keep(source, answer)
    emit(args, answer, drift_drawing.drift)
    return DONE
