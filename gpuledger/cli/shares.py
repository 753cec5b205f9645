"""`share convert`, `share use`, `loans`: what each team has, held of it, and had of the shares of others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from gpuledger.cli import share_tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit, write_bytes
from gpuledger.cli.sources import open_source, read_book


def register(commands: Commands) -> None:
    """Add the reading commands."""
    loans = add_command(commands, "loans", "who held more than its share, on whose idle share, and what that cost")
    add_reading(loans, run_loans)


def add_reading(parser: Parser, run: Callable[[argparse.Namespace], int]) -> None:
    """Make a parser one of a period of a ledger."""
    add_period(parser)
    add_source(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def register_actions(actions: Commands) -> None:
    """Add the commands beside `share import`."""
    use = add_command(actions, "use", "use against shares: what each team held, borrowed, lent and left idle")
    add_reading(use, run_use)
    converting = add_command(
        actions, "convert", "make a scheduler's quotas into a share file to review; stores nothing"
    )
    converting.add_argument("file", type=Path, metavar="FILE")
    converting.add_argument("--source", required=True, choices=("kueue", "slurm"), help="whose quotas they are")
    converting.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    converting.set_defaults(run=run_convert)


def run_convert(args: argparse.Namespace) -> int:
    """Write the draft; say on standard error what did not become a share."""
    content = read_book(args.file)
    with needs("collector", "share convert"):
        from collector.pricing.share_drafts import draft_shares
    draft = draft_shares(content, args.file.name, args.source)
    write_bytes(args.output, draft.text.encode())
    said = [*(f"not a share: {line}" for line in draft.left_out), f"{draft.shares} shares. Review them, then:"]
    sys.stderr.write("\n".join([*said, "gpuledger share import FILE", ""]))
    return DONE


def run_use(args: argparse.Namespace) -> int:
    """Print use against shares."""
    with open_source(args) as source:
        answer = source.query("quotas", {"period": args.period})
    emit(args, answer, share_tables.quotas)
    return DONE


def run_loans(args: argparse.Namespace) -> int:
    """Print loans."""
    with open_source(args) as source:
        answer = source.query("loans", {"period": args.period})
    emit(args, answer, share_tables.loans)
    return DONE
