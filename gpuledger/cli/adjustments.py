"""`adjustment`: what bills have beside charges, amounts that people enter, and prices that came late."""

from __future__ import annotations

import argparse

from gpuledger.cli import dispute_tables, policy_tables
from gpuledger.cli.arguments import (
    Commands,
    Parser,
    add_as_known,
    add_command,
    add_output,
    add_period,
    add_source,
    as_known,
)
from gpuledger.cli.disputes import number_of
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source
from gpuledger.errors import ConfigError


def register(commands: Commands) -> None:
    """Add the commands."""
    group = add_command(
        commands, "adjustment", "what bills have beside charges and corrections, and why; entering some"
    )
    actions = group.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    adding = add_command(actions, "add", "enter an amount onto the bill of an owner (negative: a credit)")
    adding.add_argument("--owner", required=True, help="organisation/department/team, a team, or platform")
    adding.add_argument("--amount", required=True, metavar="N", help="such as 12.50; a credit as --amount=-12.50")
    adding.add_argument("--currency", required=True, metavar="CODE", help="that of the ledger, such as EUR")
    adding.add_argument("--period", default="", metavar="PERIOD", help="what it is for (default: the next bill's)")
    adding.add_argument(
        "--from-owner", default="", metavar="OWNER", help="who gets the opposite amount (default: nobody)"
    )
    adding.set_defaults(run=run_add)
    pricing = add_command(actions, "price", "price what PERIOD was closed with and without a price, once")
    pricing.add_argument("period", metavar="PERIOD", help="YYYY-MM, or FROM..TO (ISO 8601, UTC, TO excluded)")
    pricing.set_defaults(run=run_price)
    listing = add_command(actions, "list", "show what bills have beside charges, and why; of open periods too")
    listing.add_argument(
        "--entered", action="store_true", help="show only what people entered, of any period and also withdrawn"
    )
    add_period(listing)
    add_as_known(listing)
    listing.set_defaults(run=run_list)
    withdrawing = add_command(actions, "withdraw", "take back adjustment ID, as long as no closed bill has it")
    withdrawing.add_argument("id", metavar="ID")
    withdrawing.set_defaults(run=run_withdraw)
    for parser in (adding, pricing, withdrawing):
        parser.add_argument("--by", required=True, metavar="NAME", help="who does it")
        parser.add_argument("--why", required=True, metavar="TEXT", help="why; it stands on the bill")
    for parser in (adding, pricing, listing, withdrawing):
        add_source(parser)
        add_output(parser)


def run_add(args: argparse.Namespace) -> int:
    """Enter an adjustment; say on whose bill it goes."""
    names = ("owner", "amount", "currency", "by", "why", "period", "from_owner")
    with open_source(args) as source:
        answer = source.change("/v1/adjustments", {name: getattr(args, name) for name in names})
    emit(args, answer, dispute_tables.entered)
    return DONE


def run_price(args: argparse.Namespace) -> int:
    """Price closed time; say who pays what for it."""
    with open_source(args) as source:
        answer = source.change("/v1/adjustments/price", {"period": args.period, "by": args.by, "why": args.why})
    emit(args, answer, dispute_tables.entered)
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print adjustments of the billing periods that lie whole in a period, or all that people entered."""
    if args.entered and args.period:
        raise ConfigError("--entered shows what was entered for any period", hint="leave --period out")
    with open_source(args) as source:
        if args.entered:
            answer = source.query("entered", as_known(args))
        else:
            answer = source.query("adjustments", {"period": args.period, **as_known(args)})
    emit(args, answer, dispute_tables.entered if args.entered else policy_tables.adjustments)
    return DONE


def run_withdraw(args: argparse.Namespace) -> int:
    """Take an adjustment back."""
    path = f"/v1/adjustments/{number_of(args.id, 'an adjustment')}/withdrawal"
    with open_source(args) as source:
        answer = source.change(path, {"by": args.by, "why": args.why})
    emit(args, answer, dispute_tables.entered)
    return DONE
