"""The `gpuledger` command: finds what was asked for, runs it, turns errors into words and exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Final

from gpuledger import __version__
from gpuledger.cli import (
    adjustments,
    anomalies,
    approvals,
    audit,
    billing,
    books,
    budgets,
    carbon,
    compare,
    demo,
    disputes,
    doctor,
    drift,
    energy,
    exits,
    export,
    forecast,
    jobs,
    quotas,
    report,
    reports,
    rules,
    services,
    shares,
    token,
    unit_cost,
    waste,
    welcome,
)
from gpuledger.cli.arguments import Parser
from gpuledger.errors import GpuLedgerError

GROUPS: Final = (
    demo,
    services,
    doctor,
    books,
    carbon,
    jobs,
    report,
    reports,
    compare,
    waste,
    unit_cost,
    drift,
    forecast,
    anomalies,
    energy,
    shares,
    billing,
    disputes,
    adjustments,
    budgets,
    quotas,
    rules,
    approvals,
    export,
    audit,
    token,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed, 2 bad usage or configuration, 3 a check failed."""
    try:
        args = build_parser().parse_args(argv)
        code: int = args.run(args)
        sys.stdout.flush()
    except GpuLedgerError as error:
        return exits.report(error)
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except BrokenPipeError:  # the reader of our output left, as `head` does: nobody is there to be told
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exits.FAILED
    return code


def build_parser() -> Parser:
    """Return the parser of all commands."""
    parser = Parser(prog="gpuledger", description="Every GPU-second accounted for: who held it, what it did, its cost.")
    parser.add_argument("--version", action="version", version=f"gpuledger {__version__}")
    parser.set_defaults(run=welcome.run)
    commands = parser.add_subparsers(metavar="COMMAND", parser_class=Parser)
    for group in GROUPS:
        group.register(commands)
    return parser
