"""`export`: a bill as FOCUS datasets, as flat tables in CSV, Parquet or Excel, or as a page."""

from __future__ import annotations

import argparse
from pathlib import Path

from gpuledger.cli import export_drawing
from gpuledger.cli.arguments import Commands, Parser, add_command, add_output, add_period, add_source
from gpuledger.cli.exits import DONE
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit
from gpuledger.cli.sources import open_source

TABLES = {
    "csv": "charges, usage by hour, invoices and corrections as CSV files",
    "parquet": "the same as Parquet files, amounts as exact decimals",
    "xlsx": "the same as the sheets of one Excel workbook",
}


def register(commands: Commands) -> None:
    """Add the commands."""
    export = add_command(
        commands, "export", "bills for other programs and for people: FOCUS datasets, CSV, Parquet, Excel, a page"
    )
    kinds = export.add_subparsers(metavar="KIND", parser_class=Parser, required=True)
    focus = add_command(
        kinds, "focus", "the FOCUS datasets of the billing periods in PERIOD (FinOps Open Cost and Usage)"
    )
    focus.add_argument("--spec", choices=("1.4", "1.2"), default="1.4", help="the version of FOCUS (1.4)")
    focus.add_argument("--issuer", default="GPU platform", metavar="NAME", help="who bills (GPU platform)")
    focus.add_argument(
        "--account", default="platform", metavar="ID", help="the billing account of owners without an organisation"
    )
    focus.add_argument("--payment-terms", default="Internal transfer", metavar="TEXT", help="(Internal transfer)")
    focus.add_argument(
        "--allow-unpriced", action="store_true", help="leave out hours that have no price, and say how many they are"
    )
    focus.set_defaults(run=run_focus)
    parsers = [focus]
    for name, summary in TABLES.items():
        tables = add_command(kinds, name, summary)
        tables.set_defaults(run=run_tables, kind=name)
        parsers.append(tables)
    page = add_command(kinds, "html", "the bill as one page that prints well: teams, states, invoices")
    page.set_defaults(run=run_html)
    parsers.append(page)
    for parser in parsers:
        add_period(parser)
        parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="the folder for the files")
        add_source(parser)
        add_output(parser)


def run_focus(args: argparse.Namespace) -> int:
    """Write FOCUS datasets; say what is in them."""
    with needs("analytics", "export focus"):
        from gpuledger.cli.export_focus import export_focus
    with open_source(args) as source:
        answer = export_focus(source, args)
    emit(args, answer, export_drawing.focus)
    return DONE


def run_tables(args: argparse.Namespace) -> int:
    """Write flat tables; say what is in them."""
    with needs("analytics", f"export {args.kind}"):
        from gpuledger.cli.export_tables import export_tables
    with open_source(args) as source:
        answer = export_tables(source, args)
    emit(args, answer, export_drawing.tables)
    return DONE


def run_html(args: argparse.Namespace) -> int:
    """Write the bill as a page; say what is on it."""
    with needs("analytics", "export html"):
        from gpuledger.cli.export_html import export_html
    with open_source(args) as source:
        answer = export_html(source, args)
    emit(args, answer, export_drawing.tables)
    return DONE
