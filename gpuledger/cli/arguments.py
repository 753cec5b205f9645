"""Flags that several commands share, and a parser that refuses bad usage like every other error."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Final, NoReturn, Protocol

from dashboards.wording import DIMENSION_WORDS
from gpuledger.accounting.periods import parse_instant, parse_period
from gpuledger.client import DEFAULT_URL
from gpuledger.errors import ConfigError

FORMATS: Final = ("table", "json", "csv", "parquet")
DIMENSIONS: Final = tuple(DIMENSION_WORDS)
PERIOD_WORDS: Final = "2026-11, 2026-Q4, 2026-W45, or FROM..TO (ISO 8601, in the billing zone or with Z; TO excluded)"


class Parser(argparse.ArgumentParser):
    """argparse, but bad usage is a ConfigError whose hint names the help to read."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of printing the whole usage and leaving."""
        raise ConfigError(message, hint=f'"{self.prog} --help" lists what it takes')


class Commands(Protocol):
    """Where commands are added: what `add_subparsers` returns."""

    def add_parser(self, name: str, *, help: str, description: str) -> Parser:  # noqa: A002 - argparse's word
        """Add a command and return its parser."""
        ...


def add_command(commands: Commands, name: str, summary: str) -> Parser:
    """Add a command; its summary is both its line in the list and the first line of its help."""
    return commands.add_parser(name, help=summary, description=summary[:1].upper() + summary[1:] + ".")


def add_source(parser: Parser) -> None:
    """Add `--url` and `--ledger`: where the ledger is read or changed."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--url",
        default=os.environ.get("GPULEDGER_URL") or None,
        help=f"a running collector (GPULEDGER_URL, else {DEFAULT_URL})",
    )
    where.add_argument("--ledger", type=Path, metavar="DIR", help="open this ledger; no collector may run on it")
    parser.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="the token to ask a collector with (GPULEDGER_TOKEN, GPULEDGER_TOKEN_FILE)",
    )


def add_output(parser: Parser) -> None:
    """Add `--format` and `--output`."""
    parser.add_argument("--format", choices=FORMATS, help="table on a terminal, json elsewhere")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")


def add_period(parser: Parser) -> None:
    """Add `--period`; empty, as it is unless given, it is the current month of the ledger's zone."""
    parser.add_argument("--period", default="", type=period_text, help=f"{PERIOD_WORDS}; default: this month")


def add_as_known(parser: Parser) -> None:
    """Add `--as-known`: the instant whose knowledge answers."""
    parser.add_argument(
        "--as-known",
        default="",
        metavar="INSTANT",
        help="answer with what was known then (ISO 8601, billing zone or Z)",
    )


def as_known(args: argparse.Namespace) -> dict[str, str]:
    """Return the parameter of a question for `--as-known`: none where it was not given."""
    return {"as_known": args.as_known} if args.as_known else {}


def add_dimension(parser: Parser) -> None:
    """Add `--by`."""
    parser.add_argument("--by", choices=DIMENSIONS, default="team", help="what the rows stand for (team)")


def period_text(text: str) -> str:
    """Refuse a period that cannot be read before anything is opened; the text itself travels on.

    Which of FROM and TO is earlier, only the billing zone says where one of them is written with `Z`.
    """
    words = text.strip()
    start, ends, end = words.partition("..")
    if ends and _in_utc(start) != _in_utc(end):
        parse_instant(start)
        parse_instant(end)
    elif words:
        parse_period(words)
    return words


def _in_utc(instant: str) -> bool:
    return instant.strip().upper().endswith("Z")
