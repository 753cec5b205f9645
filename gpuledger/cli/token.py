"""`token`: who may ask the collector for what; made, listed and revoked."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Final

from gpuledger.accounting.periods import iso, parse_instant
from gpuledger.accounting.units import US_PER_HOUR
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.output import emit, progress_console
from gpuledger.cli.sources import Document, open_source
from gpuledger.cli.token_tables import tokens
from gpuledger.clock import WallClock
from gpuledger.errors import ConfigError
from gpuledger.tokens import write_token

ROLES: Final = ("viewer", "team-lead", "finance", "approver", "admin", "join", "scheduler")
_DAYS: Final = re.compile(r"([1-9]\d{0,4})d", re.ASCII)


def register(commands: Commands) -> None:
    """Add the commands."""
    token = add_command(commands, "token", "who may ask the collector for what")
    actions = token.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    creating = add_command(actions, "create", "make a token and print it: it is shown this once")
    creating.add_argument("--role", required=True, choices=ROLES, help="what it may do: docs/reference/access.md")
    creating.add_argument(
        "--team", action="append", default=[], metavar="OWNER",
        help='whose rows it sees, as organisation/department/team; "*" is everything; may be given several times',
    )  # fmt: skip
    creating.add_argument("--name", default="", help="who uses it: what the audit log calls whatever is done with it")
    creating.add_argument("--expires", default="", metavar="WHEN", help="an instant (ISO 8601), or days such as 90d")
    creating.add_argument("--uses", type=int, metavar="N", help="how many agents a join token enrols (any number)")
    creating.add_argument("--out", type=Path, metavar="FILE", help="write the token there, for you only, not here")
    creating.set_defaults(run=run_create)
    listing = add_command(actions, "list", "show all tokens, without their secrets")
    listing.set_defaults(run=run_list)
    revoking = add_command(actions, "revoke", "end a token for ever")
    revoking.add_argument("number", type=int, metavar="NUMBER", help="as `gpuledger token list` shows it")
    revoking.add_argument("--why", default="", help="for the audit log")
    revoking.set_defaults(run=run_revoke)
    for parser in (creating, listing, revoking):
        add_source(parser)
    add_output(listing)


def run_create(args: argparse.Namespace) -> int:
    """Make a token. It alone goes to standard output, so that it can go on into a file or a secret."""
    asked: Document = {"role": args.role, "teams": args.team, "name": args.name, "expires": _until(args.expires)}
    if args.uses is not None:
        asked["uses"] = args.uses
    with open_source(args) as source:
        made = source.create_token(asked)
    say, row = progress_console(), made["token"]
    ends = f"until {row['expires_at'][:10]}" if row["expires_at"] else "until it is revoked"
    say.print(
        f"token {row['token']}: {row['name']}, {row['role']} of {', '.join(row['teams'])}, {ends}", soft_wrap=True
    )
    if args.out:
        write_token(args.out, made["secret"])
        say.print(f"it is in {args.out}", soft_wrap=True)
    else:
        print(made["secret"])
    return DONE


def run_list(args: argparse.Namespace) -> int:
    """Print the tokens."""
    with open_source(args) as source:
        answer = source.tokens()
    emit(args, answer, tokens)
    return DONE


def run_revoke(args: argparse.Namespace) -> int:
    """End a token."""
    with open_source(args) as source:
        gone = source.revoke_token(args.number, args.why)
    print(f"token {gone['token']} ({gone['name']}) is revoked")
    return DONE


def _until(text: str) -> str:
    """Return an expiry as an instant. Raises ConfigError where it is neither that nor days."""
    days = _DAYS.fullmatch(text)
    if days:
        return iso(WallClock().now_us() + int(days[1]) * 24 * US_PER_HOUR)
    try:
        return iso(parse_instant(text)) if text else ""
    except ConfigError as error:
        raise ConfigError(f'"{text}" is no expiry', hint="write days as 90d, or an instant in ISO 8601") from error
