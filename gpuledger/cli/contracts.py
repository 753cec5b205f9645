"""`price contracts`: what contracts committed in a period, what of it devices covered, and what was short."""

from __future__ import annotations

import argparse

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.arguments import Commands, add_command, add_output, add_period, add_source
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source
from gpuledger.cli.tables import Answer, period_words


def register(actions: Commands) -> None:
    """Add the command beside `price import`."""
    asking = add_command(actions, "contracts", "what contracts committed, what of it was covered and what was short")
    add_period(asking)
    add_source(asking)
    add_output(asking)
    asking.set_defaults(run=run_contracts)


def run_contracts(args: argparse.Namespace) -> int:
    """Show the contracts of a period."""
    with open_source(args) as source:
        answer = source.query("contracts", {"period": args.period})
    emit(args, answer, contracts)
    return DONE


def contracts(answer: Answer) -> RenderableType:
    """Draw each contract with its GPU-hours and what the shortfall costs."""
    lines = [
        Line(
            (
                row["contract"],
                row["vendor"],
                row["period"] if row["final"] else f"{row['period']} (open)",
                str(row["gpus"]),
                *(wording.hours_column(row[f"{what}_gpu_hours"]) for what in ("committed", "covered", "short")),
                row["committed_cost"],
                row["short_cost"],
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Contract"),
        words("Vendor"),
        words("Billing period"),
        figures("GPUs"),
        figures("Committed"),
        figures("Covered"),
        figures("Short, GPU-hours"),
        figures(f"Cost, {answer['currency']}"),
        figures("Of it short"),
    )
    return draw(f"Contracts, {period_words(answer)}", columns, lines)
