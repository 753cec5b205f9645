"""`compare`: two periods side by side, and why each group's cost changed."""

from __future__ import annotations

import argparse

from gpuledger.cli.arguments import (
    PERIOD_WORDS,
    Commands,
    add_command,
    add_dimension,
    add_output,
    add_period,
    add_source,
    period_text,
)
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the command."""
    compare = add_command(commands, "compare", "what changed from one period to another: price, volume and mix")
    add_period(compare)
    compare.add_argument(
        "--with",
        dest="against",
        default="",
        type=period_text,
        metavar="PERIOD",
        help=f"the earlier period ({PERIOD_WORDS}); default: the one before",
    )
    add_dimension(compare)
    add_source(compare)
    add_output(compare)
    compare.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print both periods and the parts of each change."""
    with needs("analytics", "compare"):
        from gpuledger.cli import compare_answer, compare_drawing
    with open_source(args) as source:
        answer = compare_answer.find(source, args.period, args.against, args.by)
    emit(args, answer, compare_drawing.compare)
    return DONE
