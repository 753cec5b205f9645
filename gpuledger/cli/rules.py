"""`rules`: the rule book that decides about requests and workloads, and what it would decide, or have decided."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

from gpuledger.cli import approval_tables, tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.disputes import number_of
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source, read_book
from gpuledger.errors import ConfigError


def register(commands: Commands) -> None:
    """Add the commands."""
    group = add_command(
        commands, "rules", "the rule book: what is allowed, refused or held, and who has to approve what"
    )
    actions = group.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    importing = add_command(actions, "import", "make FILE (TOML) the whole rule book; older versions are kept")
    importing.set_defaults(run=run_import)
    trying = add_command(actions, "dry-run", "show which recorded decisions FILE would make otherwise; stores nothing")
    trying.add_argument("--period", default="", help="only decisions of this period (default: all)")
    trying.set_defaults(run=run_dry_run)
    listing = add_command(actions, "list", "show the rule book that decides, and who may approve")
    listing.set_defaults(run=run_list)
    versions = add_command(actions, "history", "show all versions of the rule book")
    versions.set_defaults(run=run_history)
    deciding = add_command(actions, "decisions", "show what the rules decided, the newest first")
    deciding.add_argument("--period", default="", help="only in this period (default: ever)")
    deciding.set_defaults(run=run_decisions)
    explaining = add_command(
        actions, "explain", "say why decision ID was made, or what would be decided about FACT=VALUE"
    )
    explaining.add_argument("about", nargs="+", metavar="ID|FACT=VALUE", help='such as 12, or gpus=8 "amount=500 EUR"')
    explaining.add_argument("--at", default="", metavar="TIME", help="with facts: the instant that is meant (now)")
    explaining.set_defaults(run=run_explain)
    for parser in (importing, trying):
        parser.add_argument("file", type=Path, metavar="FILE")
    for parser in (importing, trying, listing, versions, deciding, explaining):
        add_source(parser)
        add_output(parser)


def run_import(args: argparse.Namespace) -> int:
    """Import a rule book; say which version it became, or that nothing changed."""
    read_book(args.file)  # a file that is not there makes no ledger
    with open_source(args, create=True) as source:
        answer = source.import_book("rules", args.file)
    emit(args, answer, partial(tables.imported_book, "rules"))
    return DONE


def run_dry_run(args: argparse.Namespace) -> int:
    """Print what a rule book would have decided otherwise."""
    with open_source(args) as source:
        answer = source.try_rules(args.file, {"period": args.period})
    emit(args, answer, approval_tables.dry_run)
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print the rule book."""
    with open_source(args) as source:
        answer = source.query("rules", {})
    emit(args, answer, approval_tables.rules)
    return DONE


def run_history(args: argparse.Namespace) -> int:
    """Print the versions of the rule book."""
    with open_source(args) as source:
        answer = source.query("rules/history", {})
    emit(args, answer, approval_tables.history)
    return DONE


def run_decisions(args: argparse.Namespace) -> int:
    """Print what the rules decided."""
    with open_source(args) as source:
        answer = source.query("rules/decisions", {"period": args.period})
    emit(args, answer, approval_tables.decisions)
    return DONE


def run_explain(args: argparse.Namespace) -> int:
    """Print why rules decide so, about something recorded or something made up."""
    with open_source(args) as source:
        if len(args.about) == 1 and "=" not in args.about[0]:
            answer = source.query("rules/decision", {"id": number_of(args.about[0], "a decision")})
        else:
            answer = source.change("/v1/rules/explain", {"facts": _facts(args.about), "at": args.at})
    emit(args, answer, approval_tables.explained)
    return DONE


def _facts(given: list[str]) -> dict[str, str]:
    facts: dict[str, str] = {}
    for each in given:
        name, equals, value = each.partition("=")
        if not equals or name in facts:
            raise ConfigError(
                f'"{each}" is not a fact' if not equals else f"{name} is given twice",
                hint='write gpus=8 "amount=5 EUR"',
            )
        facts[name] = value
    return facts
