"""`reconcile --against-bill` and `--against-sacct`: the ledger held against documents that others wrote."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from gpuledger.cli import outside_drawing
from gpuledger.cli.arguments import Parser
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import Document, Source, open_source
from gpuledger.errors import ConfigError

Comparison = Callable[[Source, argparse.Namespace], Document]
Drawing = Callable[[Mapping[str, Any]], RenderableType]


def add_flags(parser: Parser) -> None:
    """Add what tells `reconcile` to compare with somebody else's document instead of proving the ledger's own laws."""
    bill = parser.add_argument_group("against a provider's bill (FOCUS 1.0 to 1.4)")
    bill.add_argument(
        "--against-bill", type=Path, nargs="+", metavar="FILE", help="its files: .csv, .csv.gz or .parquet"
    )
    bill.add_argument(
        "--cost", choices=("billed", "effective", "contracted", "list"), default="billed", help="which cost (billed)"
    )
    bill.add_argument(
        "--exchange-rate", action="append", default=[], metavar="CUR=RATE", help="what one CUR of the bill counts as"
    )
    bill.add_argument(
        "--duplicates", choices=("refuse", "drop", "keep"), default="refuse", help="rows that stand twice (refuse)"
    )
    bill.add_argument("--only-billed", action="store_true", help="leave out nodes that the bill does not name")
    jobs = parser.add_argument_group("against a scheduler's accounting (sacct)")
    jobs.add_argument("--against-sacct", type=Path, metavar="FILE", help="sacct -P, or sacct --json (.json)")
    jobs.add_argument("--tz", default="", metavar="ZONE", help="zone of the times in it, as in Europe/Oslo (UTC)")
    jobs.add_argument("--cluster", default="", metavar="NAME", help="compare this cluster of the ledger alone")
    jobs.add_argument("--fields", default="", metavar="A,B,C", help="columns of sacct text without a header")
    parser.add_argument(
        "--map", type=Path, metavar="FILE", help="which resource is which node; of sacct the map of its import (TOML)"
    )
    parser.add_argument(
        "--tolerance",
        type=_tolerance,
        default=Decimal(0),
        metavar="N",
        help="the most that a line may differ: money, or GPU-seconds (0)",
    )


def is_asked(args: argparse.Namespace) -> bool:
    """Return whether the ledger is to be held against somebody else's document."""
    return bool(args.against_bill or args.against_sacct)


def run(args: argparse.Namespace) -> int:
    """Print the comparison; its exit code says whether a difference exceeds the tolerance."""
    if args.against_bill and args.against_sacct:
        raise ConfigError("--against-bill and --against-sacct are two comparisons", hint="ask for one at a time")
    compare, drawn = _against_bill() if args.against_bill else _against_sacct()
    with open_source(args) as source:
        answer = compare(source, args)
    emit(args, answer, drawn)
    return DONE if answer["ok"] else VIOLATION


def _against_bill() -> tuple[Comparison, Drawing]:
    with needs("analytics", "reconcile --against-bill"):
        from gpuledger.cli.outside_bill import reconcile_bill
    return reconcile_bill, outside_drawing.bill


def _against_sacct() -> tuple[Comparison, Drawing]:
    with needs("collector", "reconcile --against-sacct"):
        from gpuledger.cli.outside_sacct import reconcile_sacct
    return reconcile_sacct, outside_drawing.sacct


def _tolerance(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal(-1)
    if not found.is_finite() or found < 0:
        raise ConfigError(f"--tolerance {text!r} is no amount", hint="give a number of 0 or more")
    return found
