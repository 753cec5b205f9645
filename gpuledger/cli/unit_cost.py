"""`unit-cost`: what a thousand requests or tokens cost, for endpoints whose counts are given."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpuledger.cli import unit_answer
from gpuledger.cli.arguments import DIMENSIONS, Commands, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source
from gpuledger.errors import ConfigError


def register(commands: Commands) -> None:
    """Add the command."""
    unit = add_command(commands, "unit-cost", "what a thousand requests or tokens cost, by what endpoints count")
    add_period(unit)
    unit.add_argument(
        "--counts", type=Path, required=True, metavar="FILE", help="CSV (key,count), or an answer of Prometheus as JSON"
    )
    unit.add_argument("--label", default="", help="the label of the Prometheus series that names what served")
    unit.add_argument("--unit", default="requests", help="what is counted, in words (requests)")
    unit.add_argument("--per", type=int, default=1_000, metavar="N", help="the cost of how many units (1000)")
    unit.add_argument("--by", choices=DIMENSIONS, default="workload", help="what the keys stand for (workload)")
    add_source(unit)
    add_output(unit)
    unit.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the cost of units, and what has none."""
    if args.per < 1:
        raise ConfigError(f"the cost of {args.per} {args.unit} is none", hint="--per 1 or more")
    with open_source(args) as source:
        answer = unit_answer.find(source, args.period, args.by, args.counts, args.label, unit=args.unit, per=args.per)
    emit(args, answer, unit_answer.drawing)
    return DONE
