"""`anomalies`: spend, GPU-hours or new work that was not expected."""

from __future__ import annotations

import argparse

from gpuledger.cli.arguments import PERIOD_WORDS, Commands, add_command, add_dimension, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the command."""
    anomalies = add_command(commands, "anomalies", "spend, GPU-hours or new work that was not expected")
    anomalies.add_argument("--period", help=f"{PERIOD_WORDS}; default: the last 28 days that are known")
    add_dimension(anomalies)
    anomalies.add_argument(
        "--metric", choices=("cost", "gpu_hours", "arrivals"), default="cost", help="what is looked at (cost)"
    )
    anomalies.add_argument("--grain", choices=("day", "hour"), default="day", help="the length of a step (day)")
    anomalies.add_argument(
        "--level", type=float, default=0.05, help="the chance of any false alarm where nothing changed (0.05)"
    )
    add_source(anomalies)
    add_output(anomalies)
    anomalies.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was not expected, the dearest first."""
    with needs("analytics", "anomalies"):
        from gpuledger.cli import anomalies_answer, anomalies_drawing
    with open_source(args) as source:
        answer = anomalies_answer.find(
            source, args.period, by=args.by, metric=args.metric, grain=args.grain, level=args.level
        )
    emit(args, answer, anomalies_drawing.anomalies)
    return DONE
