"""`owner explain` and `owner test`: who pays for a holder and why, and what a new mapping would move."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpuledger.cli import owner_tables
from gpuledger.cli.arguments import Commands, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(actions: Commands) -> None:
    """Add the commands beside `owner import`."""
    explaining = add_command(actions, "explain", "which rule applies to HOLDER and why, and why not the others")
    explaining.add_argument("holder", metavar="HOLDER", help="its key, as /v1/usage has it")
    explaining.add_argument("--at", default="", metavar="INSTANT", help="when (default: when it last held a device)")
    explaining.add_argument("--file", type=Path, metavar="RULES", help="by this mapping, which nobody imported yet")
    explaining.set_defaults(run=run_explain)
    testing = add_command(
        actions, "test", "what the mapping in FILE would move from which team to which; stores nothing"
    )
    testing.add_argument("file", type=Path, metavar="FILE")
    add_period(testing)
    testing.set_defaults(run=run_test)
    for parser in (explaining, testing):
        add_source(parser)
        add_output(parser)


def run_explain(args: argparse.Namespace) -> int:
    """Print which rule applies."""
    params = {"holder": args.holder, **({"at": args.at} if args.at else {})}
    with open_source(args) as source:
        answer = source.check_owners("explain", args.file, params) if args.file else source.query("owner", params)
    emit(args, answer, owner_tables.explained)
    return DONE


def run_test(args: argparse.Namespace) -> int:
    """Print what would move."""
    with open_source(args) as source:
        answer = source.check_owners("test", args.file, {"period": args.period})
    emit(args, answer, owner_tables.moves)
    return DONE
