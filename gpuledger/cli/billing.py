"""`period`, `invoice`, `explain`: closing periods, the invoices that makes, and what is behind a charge."""

from __future__ import annotations

import argparse
import getpass
from pathlib import Path

from gpuledger.cli import billing_tables
from gpuledger.cli.arguments import (
    PERIOD_WORDS,
    Commands,
    Parser,
    add_as_known,
    add_command,
    add_output,
    add_source,
    as_known,
)
from gpuledger.cli.exits import DONE, VIOLATION
from gpuledger.cli.extras import needs
from gpuledger.cli.output import emit, write_bytes
from gpuledger.cli.sources import open_source
from gpuledger.errors import ConfigError


def register(commands: Commands) -> None:
    """Add the commands."""
    period = add_command(commands, "period", "billing periods: what is open, and closing a month for ever")
    actions = period.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    listing = add_command(actions, "list", "show billing periods, open and closed")
    listing.set_defaults(run=run_list)
    calendar = add_command(actions, "calendar", "whose days a month means, and how long late data is waited for")
    calendar.add_argument("--zone", metavar="NAME", help="of the IANA time zone database, such as Europe/Berlin")
    calendar.add_argument("--grace-hours", type=int, metavar="N", help="hours after its end before a period is closed")
    calendar.set_defaults(run=run_calendar)
    closing = add_command(actions, "close", "close PERIOD: its charges become final and its invoices are made")
    closing.add_argument("period", metavar="PERIOD", help=PERIOD_WORDS)
    closing.add_argument("--by", default="", metavar="NAME", help="who closes it (default: this user)")
    closing.add_argument(
        "--exception", default="", metavar="WHY", help="close it although it is not clean: who accepts that, and why"
    )
    closing.set_defaults(run=run_close)
    verifying = add_command(
        actions, "verify", "make the bill of closed PERIOD again from raw; exit code 3 if it differs"
    )
    verifying.add_argument("period", metavar="PERIOD", help=PERIOD_WORDS)
    verifying.set_defaults(run=run_verify)
    add_as_known(listing)
    invoice = add_command(commands, "invoice", "invoices and credit notes of closed periods")
    documents = invoice.add_subparsers(metavar="ACTION", parser_class=Parser, required=True)
    invoices = add_command(documents, "list", "show all invoices")
    invoices.set_defaults(run=run_invoices)
    add_as_known(invoices)
    showing = add_command(documents, "show", "show invoice NUMBER, line by line")
    showing.add_argument("number", metavar="NUMBER")
    showing.set_defaults(run=run_invoice)
    printing = add_command(documents, "print", "write invoice NUMBER as a page (HTML) or as PDF")
    printing.add_argument("number", metavar="NUMBER")
    printing.add_argument("--format", choices=("html", "pdf"), help="default: by the ending of FILE, else html")
    printing.add_argument("--output", type=Path, metavar="FILE", help="write there instead of to standard output")
    add_source(printing)
    printing.set_defaults(run=run_print)
    explaining = add_command(commands, "explain", "why a charge is what it is, down to its usage records")
    explaining.add_argument(
        "charge", metavar="CHARGE", help="its name: the column charge of `export csv`, or of /v1/charges"
    )
    explaining.set_defaults(run=run_explain)
    for parser in (listing, calendar, closing, verifying, invoices, showing, explaining):
        add_source(parser)
        add_output(parser)


def run_list(args: argparse.Namespace) -> int:
    """Print billing periods."""
    with open_source(args) as source:
        answer = source.query("periods", as_known(args))
    emit(args, answer, billing_tables.periods)
    return DONE


def run_calendar(args: argparse.Namespace) -> int:
    """Set the billing calendar where something is given; print it."""
    with open_source(args) as source:
        if args.zone is not None or args.grace_hours is not None:
            source.set_calendar(args.zone, args.grace_hours)
        answer = source.query("periods", {})
    emit(args, {name: answer[name] for name in ("zone", "grace_hours")}, billing_tables.calendar)
    return DONE


def run_close(args: argparse.Namespace) -> int:
    """Close a period; say what it was closed with."""
    with open_source(args) as source:
        answer = source.close_period(args.period, by=args.by or _user(), exception=args.exception)
    emit(args, answer, billing_tables.closed)
    return DONE


def run_verify(args: argparse.Namespace) -> int:
    """Print whether a closed bill is what its inputs come to; its exit code says so too."""
    with open_source(args) as source:
        answer = source.query("verification", {"period": args.period})
    emit(args, answer, billing_tables.verified)
    return DONE if answer["ok"] else VIOLATION


def run_invoices(args: argparse.Namespace) -> int:
    """Print all invoices."""
    with open_source(args) as source:
        answer = source.query("invoices", as_known(args))
    emit(args, answer, billing_tables.invoices)
    return DONE


def run_invoice(args: argparse.Namespace) -> int:
    """Print one invoice."""
    with open_source(args) as source:
        answer = source.query("invoice", {"number": args.number})
    emit(args, answer, billing_tables.invoice)
    return DONE


def run_print(args: argparse.Namespace) -> int:
    """Write an invoice as HTML or PDF."""
    with needs("analytics", "invoice print"):
        from analytics.invoice_pdf import invoice_pdf
        from analytics.invoices import invoice_html
    as_pdf = (args.format or (args.output or Path()).suffix.lower().lstrip(".")) == "pdf"
    if as_pdf and args.output is None:
        raise ConfigError("pdf is binary and needs a file", hint="add --output FILE.pdf")
    with open_source(args) as source:
        answer = source.query("invoice", {"number": args.number})
    with needs("analytics", "--format pdf"):
        write_bytes(args.output, invoice_pdf(answer) if as_pdf else invoice_html(answer).encode())
    return DONE


def run_explain(args: argparse.Namespace) -> int:
    """Print why a charge is what it is."""
    with open_source(args) as source:
        answer = source.query("explain", {"charge": args.charge})
    emit(args, answer, billing_tables.explained)
    return DONE


def _user() -> str:
    try:
        return getpass.getuser()
    except OSError as error:
        raise ConfigError("this user has no name", hint="say who closes the period with --by") from error
