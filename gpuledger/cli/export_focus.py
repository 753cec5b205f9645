"""FOCUS exports: the hours of each billing period, read, turned into rows and written page by page, then summed up.

The sum of what was written is held against what the ledger says the period comes to: an export that does not add up to
the bill is no export.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final, NamedTuple

import polars as pl

from analytics.bill_lines import read_charges, read_lines
from analytics.reports.files import CsvFile
from analytics.reports.focus_adjustments import adjusted_quanta, adjustment_rows
from analytics.reports.focus_charges import charge_rows
from analytics.reports.focus_columns import cost_and_usage
from analytics.reports.focus_contracts import contract_commitment_rows, contract_frame
from analytics.reports.focus_invoices import invoice_detail_rows, invoices_of, line_keys
from analytics.reports.focus_periods import BillingPeriod, Issuer, billing_period_rows, select_periods
from gpuledger.accounting.money import from_quanta
from gpuledger.accounting.periods import iso, require_hours
from gpuledger.accounting.units import gpu_hours
from gpuledger.cli.export_files import all_or_none
from gpuledger.cli.sources import Document, Source, wanted_period
from gpuledger.errors import GpuLedgerError, Terminal

PREFIX: Final = {"1.4": "focus_1_4", "1.2": "focus_1_2"}


class UnpricedError(GpuLedgerError, Terminal):
    """Hours without a price: FOCUS has no way to say that a cost is not known."""


class ChangedError(GpuLedgerError):
    """The ledger moved on while it was read."""


class _Sum(NamedTuple):
    """What was written of a billing period."""

    rows: int = 0
    corrections: int = 0
    adjustments: int = 0
    cost_quanta: int = 0
    unpriced_rows: int = 0
    unpriced_part_us: int = 0

    def plus(self, other: _Sum) -> _Sum:
        """Return the sum."""
        return _Sum(*(mine + its for mine, its in zip(self, other, strict=True)))


class _Bill(NamedTuple):
    """What the rows of a billing period have in common: a closed one keeps the currency that it was billed in."""

    period: BillingPeriod
    currency: str
    lines: pl.DataFrame


def export_focus(source: Source, args: argparse.Namespace) -> Document:
    """Write the datasets of `args.spec` into `args.out`; return what is in them.

    Raises UnpricedError where hours have no price and `args.allow_unpriced` does not leave them out, ConfigError where
    the period cuts a closed one, ChangedError where the rows do not sum to the bill.
    """
    wanted = require_hours(wanted_period(source, args.period))
    standing = source.query("chargeback", {"period": wanted.label})
    periods = select_periods(source.query("periods", {}), wanted, standing["as_of"])
    if not args.allow_unpriced:
        _refuse_unpriced(source, periods, standing)
    with all_or_none(args.out) as folder:
        export = _Export(source, args, standing["currency"], folder)
        rows = [export.write_period(period) for period in periods]
        files = export.finish(periods)
    return {
        "spec": args.spec,
        "period": wanted.label,
        "currency": standing["currency"],
        "cost": _amount(export.total.cost_quanta),
        "unpriced_rows": export.total.unpriced_rows,
        "unpriced_gpu_hours": float(round(gpu_hours(export.total.unpriced_part_us), 6)),
        "files": files,
        "rows": rows,
    }


class _Export:
    """The files of one export while they grow."""

    def __init__(self, source: Source, args: argparse.Namespace, currency: str, folder: Path) -> None:
        self._source, self._args, self._currency, self._folder = source, args, currency, folder
        self._issuer = Issuer(args.issuer, args.account, args.payment_terms)
        self._listing = source.query("invoices", {})
        self._charges = CsvFile(folder / self._name("cost_and_usage"))
        self._details: list[pl.DataFrame] = []
        self.total = _Sum()

    def write_period(self, period: BillingPeriod) -> Document:
        """Write the rows of a billing period, and hold their sum against its bill."""
        numbers = invoices_of(period, self._listing)
        documents = [self._source.query("invoice", {"number": str(number)}) for number in numbers]
        if period.closed:
            self._details.append(invoice_detail_rows(documents, self._listing, period, self._issuer))
        currency = documents[0]["invoice"]["currency"] if documents else self._currency
        bill = _Bill(period, currency, line_keys(documents))
        found = _Sum()
        for lines in self._lines(period):
            found = found.plus(self._write(lines, bill))
        if period.closed:
            found = found.plus(self._write_adjustments(documents, bill))
        self._hold_against_bill(period, found)
        self.total = self.total.plus(found)
        return {
            "label": period.label,
            "status": "closed" if period.closed else "open",
            "from": iso(period.start_us),
            "to": iso(period.end_us),
            "rows": found.rows,
            "corrections": found.corrections,
            "adjustments": found.adjustments,
            "cost": _amount(found.cost_quanta),
        }

    def finish(self, periods: list[BillingPeriod]) -> list[Document]:
        """Write the other datasets; return the files with their rows."""
        if not self.total.rows:
            self._charges.write(pl.DataFrame(schema=dict.fromkeys(cost_and_usage(self._args.spec), pl.String())))
        self._charges.close()
        files = [{"file": str(self._args.out / self._name("cost_and_usage")), "rows": self.total.rows}]
        if self._args.spec == "1.4":
            files.append(self._whole("billing_period", billing_period_rows(periods, self._issuer)))
            if self._details:
                files.append(self._whole("invoice_detail", pl.concat(self._details)))
            contracts = contract_frame(self._source.query("contracts", {"period": self._args.period}))
            if len(contracts):
                end_us = periods[-1].end_us
                rows = contract_commitment_rows(contracts, self._issuer, at_us=end_us - 1, until_us=end_us)
                files.append(self._whole("contract_commitment", rows))
        return files

    def _lines(self, period: BillingPeriod) -> Iterator[pl.DataFrame]:
        yield from read_charges(self._source, period.part)
        if period.closed:
            yield read_lines(self._source, period.whole, kind="correction")

    def _write(self, lines: pl.DataFrame, bill: _Bill) -> _Sum:
        unpriced = lines.filter(pl.col("rate_quanta").is_null())
        priced = lines.filter(pl.col("rate_quanta").is_not_null())
        if len(unpriced) and not self._args.allow_unpriced:
            raise _unpriced(unpriced)
        if len(priced):
            rows = charge_rows(
                priced,
                spec=self._args.spec,
                currency=bill.currency,
                period=bill.period,
                issuer=self._issuer,
                invoices=bill.lines,
            )
            self._charges.write(rows)
        return _Sum(
            rows=len(priced),
            corrections=int(priced["corrects"].is_not_null().sum()),
            cost_quanta=int(priced["cost_quanta"].sum()),
            unpriced_rows=len(unpriced),
            unpriced_part_us=_part_us(unpriced),
        )

    def _write_adjustments(self, documents: list[Document], bill: _Bill) -> _Sum:
        """Write what the bill has beside charges and corrections; of an open period nothing is final, and none is."""
        answer = self._source.query("adjustments", {"period": bill.period.whole.label})
        found = [row for row in answer["rows"] if row["final"]]
        if found:
            rows = adjustment_rows(
                found,
                documents,
                spec=self._args.spec,
                currency=bill.currency,
                period=bill.period,
                issuer=self._issuer,
            )
            self._charges.write(rows)
        return _Sum(rows=len(found), adjustments=len(found), cost_quanta=adjusted_quanta(found))

    def _hold_against_bill(self, period: BillingPeriod, found: _Sum) -> None:
        bill = period.cost
        if bill is None:
            answer = self._source.query("chargeback", {"period": period.part.label})
            bill = Decimal(answer["total"]["cost"] or 0)
        if from_quanta(found.cost_quanta) != bill:
            raise ChangedError(
                f"{period.label}: the rows sum to {_amount(found.cost_quanta)}, the ledger says {bill}",
                hint="it was rated again meanwhile: export again"
                if not period.closed
                else 'this bill is closed and must not move: "gpuledger reconcile" checks it',
            )

    def _whole(self, dataset: str, frame: pl.DataFrame) -> Document:
        file = CsvFile(self._folder / self._name(dataset))
        file.write(frame)
        file.close()
        return {"file": str(self._args.out / self._name(dataset)), "rows": len(frame)}

    def _name(self, dataset: str) -> str:
        return f"{PREFIX[self._args.spec]}_{dataset}.csv"


def _refuse_unpriced(source: Source, periods: list[BillingPeriod], standing: Document) -> None:
    """Find hours without a price before a file is begun."""
    if not standing["unpriced_gpu_hours"]:
        return
    pages = (lines for period in periods for lines in read_charges(source, period.part))
    unpriced = pl.concat([lines.filter(pl.col("rate_quanta").is_null()) for lines in pages])
    if len(unpriced):
        raise _unpriced(unpriced)


def _unpriced(lines: pl.DataFrame) -> UnpricedError:
    hours = float(gpu_hours(_part_us(lines)))
    models = ", ".join(sorted(lines["model"].unique()))
    first, last = lines["hour_us"].min(), lines["hour_us"].max()
    assert isinstance(first, int)
    assert isinstance(last, int)
    return UnpricedError(
        f"{hours:,.1f} GPU-hours have no price ({models}; {lines['hour_us'].n_unique():,} hours, the first "
        f"{iso(first)}, the last {iso(last)}), and FOCUS cannot say that a cost is not known",
        hint="add a price for them, or leave them out, counted, with --allow-unpriced",
    )


def _part_us(lines: pl.DataFrame) -> int:
    return int(lines.select((pl.col("held_us").cast(pl.Int128) * pl.col("parts")).sum()).item() or 0)


def _amount(quanta: int) -> str:
    return f"{from_quanta(quanta):f}"
