"""`carbon`: the intensity of the grid by region and hour, which chargeback's carbon follows from."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.books import run_import
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source
from gpuledger.cli.tables import Answer


def register(commands: Commands) -> None:
    """Add the commands."""
    carbon = add_command(commands, "carbon", "carbon intensity of the grid, by region and hour")
    actions = carbon.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    importing = add_command(
        actions, "import", "add the hours in FILE (CSV: region, hour, g_per_kwh) to those that are known"
    )
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.set_defaults(run=partial(run_import, "carbon"))
    listing = add_command(actions, "list", "show which regions are known, and since when")
    listing.set_defaults(run=run_list)
    for parser in (importing, listing):
        add_source(parser)
        add_output(parser)


def run_list(args: argparse.Namespace) -> int:
    """Show the regions."""
    with open_source(args) as source:
        answer = source.query("carbon", {})
    emit(args, answer, regions)
    return DONE


def regions(answer: Answer) -> RenderableType:
    """Draw the regions whose intensity is known."""
    lines = [
        Line(
            (
                row["region"],
                f"{wording.instant(row['from'])} to {wording.instant(row['to'])}",
                f"{row['hours']:,}",
                row["mean_g_per_kwh"],
                f"{row['least_g_per_kwh']} to {row['most_g_per_kwh']}",
            )
        )
        for row in answer["rows"]
    ]
    columns = (words("Region"), words("Known"), figures("Hours"), figures("Mean, g/kWh"), figures("Between"))
    return draw("Carbon intensity by the hour", columns, lines)
