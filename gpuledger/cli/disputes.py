"""`dispute`: holding a charge to be wrong, what somebody else decides about it, and where that is billed."""

from __future__ import annotations

import argparse
import re

from gpuledger.cli import dispute_tables
from gpuledger.cli.arguments import Commands, Parser, add_as_known, add_command, add_output, add_source, as_known
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source
from gpuledger.errors import ConfigError


def register(commands: Commands) -> None:
    """Add the commands."""
    group = add_command(commands, "dispute", "disputes: charges that somebody holds to be wrong, and what was decided")
    actions = group.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    opening = add_command(actions, "open", "dispute a charge, an invoice or a line of one")
    opening.add_argument("on", metavar="CHARGE|INVOICE[-LINE]", help="a charge's name, 7 or 7-2")
    opening.add_argument("--owner", default="", help="for whom, where several pay for a charge")
    _who_and_why(opening)
    opening.set_defaults(run=run_open)
    listing = add_command(actions, "list", "show all disputes")
    add_as_known(listing)
    listing.set_defaults(run=run_list)
    showing = add_command(actions, "show", "show dispute ID: its history, its charges and why they are what they are")
    showing.set_defaults(run=run_show)
    resolving = add_command(actions, "resolve", "decide dispute ID; what it gives back goes onto the next bill")
    resolving.add_argument("--decision", required=True, metavar="upheld|partly|rejected")
    resolving.add_argument("--amount", default="", help="with partly: how much is given back, at most")
    resolving.add_argument("--percent", default="", help="with partly: how much of the charge is given back")
    resolving.add_argument("--to", default="", metavar="OWNER", help="who pays instead (default: the platform)")
    resolving.add_argument(
        "--same-person", default="", metavar="WHY", help="why the one who opened it decides it, and nobody else"
    )
    _who_and_why(resolving)
    resolving.set_defaults(run=run_resolve)
    withdrawing = add_command(actions, "withdraw", "end dispute ID without a decision")
    _who_and_why(withdrawing)
    withdrawing.set_defaults(run=run_withdraw)
    for parser in (showing, resolving, withdrawing):
        parser.add_argument("id", metavar="ID")
    for parser in (opening, listing, showing, resolving, withdrawing):
        add_source(parser)
        add_output(parser)


def _who_and_why(parser: Parser) -> None:
    parser.add_argument("--by", required=True, metavar="NAME", help="who does it")
    parser.add_argument("--why", required=True, metavar="TEXT", help="why; it stays in the history for ever")


def number_of(text: str, what: str) -> str:
    """Return a number that goes into a path. Raises ConfigError where it is none."""
    if not re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        raise ConfigError(
            f'"{text}" is not the number of {what}', hint=f"gpuledger {what.rsplit(maxsplit=1)[-1]} list has them"
        )
    return text


def run_open(args: argparse.Namespace) -> int:
    """Open a dispute; say what is in question."""
    with open_source(args) as source:
        asked = {"on": args.on, "by": args.by, "why": args.why, "owner": args.owner}
        answer = source.change("/v1/disputes", asked)
    emit(args, answer, dispute_tables.dispute)
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print all disputes."""
    with open_source(args) as source:
        answer = source.query("disputes", as_known(args))
    emit(args, answer, dispute_tables.disputes)
    return DONE


def run_show(args: argparse.Namespace) -> int:
    """Print one dispute."""
    with open_source(args) as source:
        answer = source.query("dispute", {"id": args.id})
    emit(args, answer, dispute_tables.dispute)
    return DONE


def run_resolve(args: argparse.Namespace) -> int:
    """Decide a dispute; say what the next bill gives back."""
    names = ("decision", "by", "why", "amount", "percent", "to", "same_person")
    path = f"/v1/disputes/{number_of(args.id, 'a dispute')}/resolution"
    with open_source(args) as source:
        answer = source.change(path, {name: getattr(args, name) for name in names})
    emit(args, answer, dispute_tables.dispute)
    return DONE


def run_withdraw(args: argparse.Namespace) -> int:
    """End a dispute without a decision."""
    path = f"/v1/disputes/{number_of(args.id, 'a dispute')}/withdrawal"
    with open_source(args) as source:
        answer = source.change(path, {"by": args.by, "why": args.why})
    emit(args, answer, dispute_tables.dispute)
    return DONE
