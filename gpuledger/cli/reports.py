"""`chargeback`, `gap`, `utilization`, `idle`, `reconcile`: what the ledger answers."""

from __future__ import annotations

import argparse

from gpuledger.accounting.idle_policy import PLATFORM, POLICIES
from gpuledger.cli import outside, policy_tables, tables
from gpuledger.cli.arguments import (
    Commands,
    add_as_known,
    add_command,
    add_dimension,
    add_output,
    add_period,
    add_source,
    as_known,
)
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source


def register(commands: Commands) -> None:
    """Add the commands."""
    chargeback = add_command(commands, "chargeback", "what each team (or user, model, ...) held, used and cost")
    add_dimension(chargeback)
    chargeback.add_argument(
        "--view",
        choices=("allocation", "usage"),
        default="allocation",
        help="charge what was held, or what was active (allocation)",
    )
    chargeback.add_argument(
        "--idle-policy",
        choices=POLICIES,
        default=PLATFORM,
        help="who pays for time that nobody held: the platform, owners by their cost, or evenly (platform)",
    )
    gap = add_command(commands, "gap", "what each team held and did not use, by cause")
    utilization = add_command(commands, "utilization", "what GPU time was spent as")
    add_dimension(utilization)
    idle = add_command(commands, "idle", "what was held and did nothing, the most expensive first")
    reconcile = add_command(
        commands,
        "reconcile",
        "prove that time, energy and money add up, or hold them against a bill or sacct; exit code 3 if not",
    )
    outside.add_flags(reconcile)
    for parser, run in (
        (chargeback, run_chargeback),
        (gap, run_gap),
        (utilization, run_utilization),
        (idle, run_idle),
        (reconcile, run_reconcile),
    ):
        add_period(parser)
        add_as_known(parser)
        add_source(parser)
        add_output(parser)
        parser.set_defaults(run=run)


def run_chargeback(args: argparse.Namespace) -> int:
    """Print chargeback."""
    with open_source(args) as source:
        answer = source.query(
            "chargeback",
            {
                "period": args.period,
                "by": args.by,
                "view": args.view,
                "idle_policy": args.idle_policy,
                **as_known(args),
            },
        )
    emit(args, answer, tables.chargeback)
    return DONE


def run_gap(args: argparse.Namespace) -> int:
    """Print the gap between what was held and what was used."""
    with open_source(args) as source:
        answer = source.query("gap", {"period": args.period, **as_known(args)})
    emit(args, answer, policy_tables.gaps)
    return DONE


def run_utilization(args: argparse.Namespace) -> int:
    """Print time by state."""
    with open_source(args) as source:
        answer = source.query("utilization", {"period": args.period, "by": args.by, **as_known(args)})
    emit(args, answer, tables.utilization)
    return DONE


def run_idle(args: argparse.Namespace) -> int:
    """Print held-idle workloads."""
    with open_source(args) as source:
        answer = source.query("idle", {"period": args.period, **as_known(args)})
    emit(args, answer, tables.idle)
    return DONE


def run_reconcile(args: argparse.Namespace) -> int:
    """Print the proof, or what differs from a document of others; the exit code says whether it holds."""
    if outside.is_asked(args):
        return outside.run(args)
    with open_source(args) as source:
        answer = source.query("reconcile", {"period": args.period, **as_known(args)})
    emit(args, answer, tables.reconcile)
    return DONE if answer["ok"] else VIOLATION
