"""`report`: the month of a team, the summary of all, every report of a period into a folder, and compliance."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpuledger.cli import compliance
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit, write_bytes
from gpuledger.cli.sources import open_source
from gpuledger.errors import ConfigError

KINDS = ("html", "pdf", "xlsx")


def register(commands: Commands) -> None:
    """Add the commands."""
    report = add_command(
        commands, "report", "reports for people: a team's month, all teams, or compliance, as page, PDF or workbook"
    )
    which = report.add_subparsers(metavar="REPORT", parser_class=Parser, required=True)
    team = add_command(which, "team", "what a team spent, on what, why that changed, what it wasted and what to do")
    team.add_argument("--team", required=True, metavar="TEAM", help="its name, as the owner mapping has it")
    summary = add_command(which, "summary", "the same of all teams together, for those who decide")
    for parser in (team, summary):
        parser.add_argument(
            "--out", type=Path, required=True, metavar="FILE", help="what to write: FILE.html, FILE.pdf or FILE.xlsx"
        )
        parser.set_defaults(run=run_one)
    every = add_command(which, "all", "the summary and every team's report of a period, into DIR/PERIOD")
    every.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder of all reports")
    every.add_argument("--kind", choices=KINDS, action="append", help="only this kind of file; may be repeated (all)")
    every.set_defaults(run=run_all)
    compliance.register(which, KINDS)
    for parser in (team, summary, every):
        add_period(parser)
        add_source(parser)
    add_output(every)


def run_one(args: argparse.Namespace) -> int:
    """Write one report."""
    kind = args.out.suffix.lower().lstrip(".")
    if kind not in KINDS:
        raise ConfigError(f"{args.out} is no file for a report", hint="name it FILE.html, FILE.pdf or FILE.xlsx")
    with needs("analytics", "report"):
        from gpuledger.cli import report_files
    with open_source(args) as source:
        data = report_files.one(source, args.period, getattr(args, "team", None), kind)
    write_bytes(args.out, data)
    return DONE


def run_all(args: argparse.Namespace) -> int:
    """Write every report of a period, by default of the newest closed one; say which files there are."""
    with needs("analytics", "report all"):
        from gpuledger.cli import report_drawing, report_files
    with open_source(args) as source:
        answer = report_files.write_all(source, args.period, args.out, tuple(args.kind or KINDS))
    emit(args, answer, report_drawing.written)
    return DONE
