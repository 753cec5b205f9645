"""`waste`: what was paid for and did nothing, the dearest first, with what could be saved."""

from __future__ import annotations

import argparse

from gpuledger.cli.arguments import Commands, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the command."""
    waste = add_command(commands, "waste", "what was paid for and did nothing, and what of it could be saved")
    add_period(waste)
    waste.add_argument(
        "--grace-hours",
        type=int,
        default=2,
        metavar="N",
        help="the low end of a saving forgives the first N hours of each idle stretch (2)",
    )
    waste.add_argument(
        "--keep",
        action="store_true",
        help="store this advice in the ledger, and what came of earlier advice: waste shows then what was really saved",
    )
    add_source(waste)
    add_output(waste)
    waste.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print waste, ranked in money."""
    with needs("analytics", "waste"):
        from gpuledger.cli import waste_advice, waste_answer, waste_drawing
    with open_source(args) as source:
        if args.keep:
            waste_advice.keep(source, args.period)
        answer = waste_answer.find(source, args.period, args.grace_hours)
    emit(args, answer, waste_drawing.waste)
    return DONE
