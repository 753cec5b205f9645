"""`approval`: asking for what rules do not simply allow, and what those whom they name decide about it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from gpuledger.cli import approval_tables
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.disputes import number_of
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit
from gpuledger.cli.sources import Document, open_source, read_book
from gpuledger.errors import ConfigError

_OPTIONS: Final = (
    ("owner", "OWNER", "whom it is for: acme/research/vision, acme/research, or a name that is one owner's"),
    ("amount", "N", "budget, adjustment, dispute: how much, such as 500 (a credit as --amount=-12.50)"),
    ("currency", "CODE", "that of the ledger, such as EUR"),
    ("gpu-hours", "N", "quota: how many GPU-hours more"),
    ("gpus", "N", "quota: how many GPUs more; exception: up to how many"),
    ("model", "MODEL", "quota, exception: only GPUs of this model"),
    ("pool", "POOL", "quota, exception: only GPUs of this pool"),
    ("from", "TIME", "budget, quota, exception: when the effect begins (default: when it is granted)"),
    ("to", "TIME", "budget, quota, exception: when it ends by itself (ISO 8601, billing zone or Z)"),
    ("period", "PERIOD", "exception: close this period as it is; adjustment: what it is for"),
    ("from-owner", "OWNER", "adjustment: who gets the opposite amount"),
    ("dispute", "ID", "dispute: which one is decided"),
    ("decision", "WHAT", "dispute: upheld, partly or rejected"),
    ("percent", "N", "dispute: with partly, how much of it"),
    ("to-owner", "OWNER", "dispute: who pays instead"),
    ("expires", "TIME", "until when it has to be decided (default: 14 days)"),
)


def register(commands: Commands) -> None:
    """Add the commands."""
    group = add_command(commands, "approval", "approvals: what somebody asked for, who has to agree, what came of it")
    actions = group.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    asking = add_command(actions, "request", "ask for something; the rule book says who has to approve it")
    asking.add_argument(
        "kind", metavar="KIND", help="budget, quota, exception, price, budget_book, quota_book, dispute or adjustment"
    )
    for name, metavar, summary in _OPTIONS:
        asking.add_argument(f"--{name}", default="", metavar=metavar, help=summary)
    asking.add_argument("--file", type=Path, metavar="FILE", help="price, budget_book, quota_book: the new book (TOML)")
    asking.set_defaults(run=run_request)
    listing = add_command(actions, "list", "show all requests")
    listing.add_argument("--state", default="", help="only those waiting, granted, denied, refused, withdrawn, expired")
    listing.set_defaults(run=run_list)
    showing = add_command(actions, "show", "show request ID: its history, and which rules decided who approves it")
    showing.set_defaults(run=run_show)
    approving = add_command(actions, "approve", "approve request ID; the last approval that it needs grants it")
    approving.add_argument("--why", default="", metavar="TEXT", help="what there is to say about it")
    approving.set_defaults(run=run_approve)
    denying = add_command(actions, "deny", "deny request ID: that ends it")
    denying.set_defaults(run=run_deny)
    taking = add_command(actions, "withdraw", "take request ID back, or end what it was granted before its time")
    taking.set_defaults(run=run_withdraw)
    for parser in (asking, denying, taking):
        parser.add_argument("--why", required=True, metavar="TEXT", help="why; it stays in the history for ever")
    for parser in (asking, approving, denying, taking):
        parser.add_argument("--by", required=True, metavar="NAME", help="who does it")
    for parser in (showing, approving, denying, taking):
        parser.add_argument("id", metavar="ID")
    for parser in (asking, listing, showing, approving, denying, taking):
        add_source(parser)
        add_output(parser)


def run_request(args: argparse.Namespace) -> int:
    """Ask; say who has to approve it."""
    asked = {name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name, _, _ in _OPTIONS}
    asked |= {"kind": args.kind, "by": args.by, "why": args.why, **_book(args.file)}
    with open_source(args) as source:
        answer = source.change("/v1/approvals", {name: value for name, value in asked.items() if value})
    emit(args, answer, approval_tables.approval)
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print all requests."""
    with open_source(args) as source:
        answer = source.query("approvals", {"state": args.state})
    emit(args, answer, approval_tables.approvals)
    return DONE


def run_show(args: argparse.Namespace) -> int:
    """Print one request."""
    with open_source(args) as source:
        answer = source.query("approval", {"id": number_of(args.id, "an approval")})
    emit(args, answer, approval_tables.approval)
    return DONE


def run_approve(args: argparse.Namespace) -> int:
    """Approve a request; say what it still needs, or what that made."""
    return _decide(args, "approval")


def run_deny(args: argparse.Namespace) -> int:
    """Deny a request."""
    return _decide(args, "denial")


def run_withdraw(args: argparse.Namespace) -> int:
    """Take a request back."""
    return _decide(args, "withdrawal")


def _decide(args: argparse.Namespace, how: str) -> int:
    path = f"/v1/approvals/{number_of(args.id, 'an approval')}/{how}"
    with open_source(args) as source:
        answer = source.change(path, {"by": args.by, "why": args.why})
    emit(args, answer, approval_tables.approval)
    return DONE


def _book(path: Path | None) -> Document:
    if path is None:
        return {}
    if path.suffix.lower() != ".toml":
        raise ConfigError(f"{path.name} is not .toml", hint="a book that is to be approved is TOML")
    try:
        return {"content": read_book(path).decode("utf-8-sig"), "source": path.name}
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not UTF-8 text", hint="save the file as UTF-8") from error
