"""`price`, `owner`, `policy`, `rate`: the effective-dated books, and the charges that follow from them."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Final

from gpuledger.cli import (
    contracts,
    owner_checks,
    owner_tables,
    policy_tables,
    price_lists,
    share_tables,
    shares,
    tables,
)
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source, read_book

DRAWN: Final = {
    "prices": tables.prices,
    "owners": tables.owners,
    "policies": policy_tables.policies,
    "directory": owner_tables.directory,
    "shares": share_tables.shares,
}


def register(commands: Commands) -> None:
    """Add the commands."""
    prices = _register_book(commands, "price", "prices", "the price book: what a GPU-hour costs, and since when")
    price_lists.register(prices)
    contracts.register(prices)
    owners = _register_book(commands, "owner", "owners", "the owner mapping: which team pays for which holder")
    owner_checks.register(owners)
    _register_book(
        owners, "directory", "directory", "the directory of people: which team each user is in, and since when"
    )
    shares.register_actions(
        _register_book(commands, "share", "shares", "the share book: how many GPUs each team has, and since when")
    )
    _register_book(commands, "policy", "policies", "the policy book: what is billed, and who pays for what nobody held")
    rate = add_command(commands, "rate", "rate again what is open; shows what would change, applies it with --apply")
    add_period(rate)
    rate.add_argument("--apply", action="store_true", help="keep the new charges")
    add_source(rate)
    add_output(rate)
    rate.set_defaults(run=run_rate)


def _register_book(commands: Commands, name: str, kind: str, summary: str) -> Commands:
    book = add_command(commands, name, summary)
    actions = book.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    importing = add_command(actions, "import", "make FILE (TOML or CSV) the whole book; older versions are kept")
    importing.add_argument("file", type=Path, metavar="FILE")
    importing.add_argument(
        "--dry-run", action="store_true", help="show what it would change of open bills, by team; stores nothing"
    )
    add_source(importing)
    add_output(importing)
    importing.set_defaults(run=partial(run_import_or_try, kind))
    listing = add_command(actions, "list", "show the book that applies")
    add_source(listing)
    add_output(listing)
    listing.set_defaults(run=partial(run_list, kind))
    return actions


def run_import_or_try(kind: str, args: argparse.Namespace) -> int:
    """Import a book, or say what it would change."""
    if not args.dry_run:
        return run_import(kind, args)
    with open_source(args) as source:
        answer = source.try_book(kind, args.file)
    emit(args, answer, partial(policy_tables.tried, kind))
    return DONE


def run_import(kind: str, args: argparse.Namespace) -> int:
    """Import a book; say which version it became, or that nothing changed."""
    read_book(args.file)  # a file that is not there makes no ledger
    with open_source(args, create=True) as source:
        answer = source.import_book(kind, args.file)
    emit(args, answer, partial(tables.imported_book, kind))
    return DONE


def run_list(kind: str, args: argparse.Namespace) -> int:
    """Show the newest book."""
    with open_source(args) as source:
        answer = source.query(kind, {})
    emit(args, answer, DRAWN[kind])
    return DONE


def run_rate(args: argparse.Namespace) -> int:
    """Rate again; nothing is kept without --apply."""
    with open_source(args) as source:
        answer = source.rate(args.period, apply=args.apply)
    emit(args, answer, tables.rated)
    return DONE
