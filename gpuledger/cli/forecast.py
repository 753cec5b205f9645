"""`forecast`: what a period will come to, when a budget is spent, when a GPU model is full."""

from __future__ import annotations

import argparse

from gpuledger.cli.arguments import PERIOD_WORDS, Commands, add_command, add_dimension, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the command."""
    forecast = add_command(commands, "forecast", "what a period will come to, and when a budget is spent")
    until = forecast.add_mutually_exclusive_group()
    until.add_argument("--period", default="", help=f"{PERIOD_WORDS}; default: this month")
    until.add_argument("--horizon", type=int, metavar="DAYS", help="this many days from what is known on, instead")
    add_dimension(forecast)
    forecast.add_argument("--metric", choices=("cost", "gpu_hours"), default="cost", help="what is forecast (cost)")
    forecast.add_argument("--grain", choices=("day", "hour"), default="day", help="the length of a step (day)")
    forecast.add_argument(
        "--budget",
        action="append",
        default=[],
        metavar="[KEY=]AMOUNT",
        help="a limit for one row, or for the total; again for more",
    )
    forecast.add_argument("--steps", action="store_true", help="rows are the coming steps of each group")
    add_source(forecast)
    add_output(forecast)
    forecast.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print where each group lands."""
    with needs("analytics", "forecast"):
        from gpuledger.cli import forecast_answer, forecast_drawing
    asked = forecast_answer.Asked(args.period, args.horizon, args.by, args.metric, args.grain, tuple(args.budget))
    with open_source(args) as source:
        answer = forecast_answer.find(source, asked, steps=args.steps)
    emit(args, answer, forecast_drawing.steps if args.steps else forecast_drawing.forecast)
    return DONE
