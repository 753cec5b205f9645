"""`energy`: what each group's boards took and emitted, and what moving batch work in time would have saved."""

from __future__ import annotations

import argparse
from decimal import Decimal, InvalidOperation

from gpuledger.cli.arguments import Commands, add_command, add_dimension, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source
from gpuledger.errors import ConfigError


def register(commands: Commands) -> None:
    """Add the command."""
    energy = add_command(commands, "energy", "kilowatt-hours and carbon, what work took, and what moving it would save")
    add_period(energy)
    add_dimension(energy)
    energy.add_argument(
        "--days",
        type=int,
        default=1,
        metavar="N",
        help="batch work could have waited for as many days (1); notebooks and endpoints could not",
    )
    energy.add_argument(
        "--pue",
        type=_pue,
        metavar="RATIO",
        help="also show what the building took: energy at the board times this (1.3, say)",
    )
    add_source(energy)
    add_output(energy)
    energy.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print energy and carbon."""
    with needs("analytics", "energy"):
        from gpuledger.cli import energy_answer, energy_drawing
    with open_source(args) as source:
        answer = energy_answer.find(source, args.period, args.by, days=args.days, pue=args.pue)
    emit(args, answer, energy_drawing.energy)
    return DONE


def _pue(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(0)
    if not found.is_finite() or not 1 <= found <= 10:
        raise ConfigError(
            f'a PUE of "{text}" is not possible', hint="give what the building takes for 1 at the board: 1.3"
        )
    return found
