"""`export html`: the bill of a period as one self-contained page."""

from __future__ import annotations

import argparse

from analytics.bill_page import bill_html
from gpuledger.accounting.periods import Period, parse_instant, require_hours
from gpuledger.cli.export_files import all_or_none
from gpuledger.cli.sources import Document, Source, wanted_period

FILE = "bill.html"


def export_html(source: Source, args: argparse.Namespace) -> Document:
    """Write the page into `args.out`; return what is on it."""
    period = require_hours(wanted_period(source, args.period))
    chargeback = source.query("chargeback", {"period": period.label, "by": "team"})
    periods = [row for row in source.query("periods", {})["rows"] if _inside(row, period)]
    labels = {row["label"] for row in periods if row["closed_at"]}
    invoices = [row for row in source.query("invoices", {})["rows"] if row["period"] in labels]
    page = bill_html(chargeback, periods, invoices)
    with all_or_none(args.out) as folder:
        (folder / FILE).write_text(page, encoding="utf-8")
    teams = sum(row["kind"] == "owner" for row in chargeback["rows"])
    counted = {"teams": teams, "billing periods": len(periods), "invoices": len(invoices)}
    rows = [{"table": name, "rows": count, "file": str(args.out / FILE)} for name, count in counted.items()]
    return {"period": period.label, "kind": "html", "rows": rows}


def _inside(row: Document, period: Period) -> bool:
    return period.start_us <= parse_instant(row["from"]) and parse_instant(row["to"]) <= period.end_us
