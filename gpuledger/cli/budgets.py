"""`budget`: the budget book, where each budget stands, and who was told."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from gpuledger.cli import budget_tables, tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source, read_book


def register(commands: Commands) -> None:
    """Add the commands."""
    group = add_command(commands, "budget", "budgets: what each owner may spend, where that stands, and who is told")
    actions = group.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    importing = add_command(actions, "import", "make FILE (TOML) the whole budget book; older versions are kept")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument("--dry-run", action="store_true", help="show where its budgets would stand; stores nothing")
    importing.set_defaults(run=run_import)
    listing = add_command(actions, "list", "show the book that applies")
    listing.set_defaults(run=run_list)
    status = add_command(
        actions, "status", "show where each budget stands now: spent, forecast, stages that are reached"
    )
    status.set_defaults(run=run_status)
    evaluating = add_command(actions, "evaluate", "record which stages are reached, as the collector does by itself")
    evaluating.set_defaults(run=run_evaluate)
    notices = add_command(actions, "notices", "show who was told what, and what waits, the newest first")
    notices.set_defaults(run=run_notices)
    for parser in (importing, listing, status, evaluating, notices):
        add_source(parser)
        add_output(parser)


def run_import(args: argparse.Namespace) -> int:
    """Import a budget book, or say where its budgets would stand."""
    read_book(args.file)  # a file that is not there makes no ledger
    with open_source(args, create=not args.dry_run) as source:
        if args.dry_run:
            emit(args, source.try_book("budgets", args.file), budget_tables.tried)
        else:
            emit(args, source.import_book("budgets", args.file), partial(tables.imported_book, "budgets"))
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print the budget book."""
    with open_source(args) as source:
        answer = source.query("budgets/book", {})
    emit(args, answer, budget_tables.book)
    return DONE


def run_status(args: argparse.Namespace) -> int:
    """Print where budgets stand."""
    with open_source(args) as source:
        answer = source.query("budgets", {})
    emit(args, answer, budget_tables.status)
    return DONE


def run_evaluate(args: argparse.Namespace) -> int:
    """Evaluate, and print what was recorded."""
    with open_source(args) as source:
        answer = source.change("/v1/budgets/evaluation", {})
    emit(args, answer, budget_tables.evaluation)
    return DONE


def run_notices(args: argparse.Namespace) -> int:
    """Print the record of what was sent."""
    with open_source(args) as source:
        answer = source.query("budgets/notices", {})
    emit(args, answer, budget_tables.notices)
    return DONE
