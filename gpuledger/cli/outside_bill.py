"""`reconcile --against-bill`: a provider's bill held against what the ledger says its machines cost, by cause."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any, Final, NamedTuple

from analytics.outside.bill_files import open_bill, whole_bill
from analytics.outside.bill_machines import TIME, BillReading, LeftOut, MachineDay, read_machines
from analytics.outside.bill_map import Nodes, parse_rate, read_bill_map
from gpuledger.accounting.bill_differences import (
    ATOMS_PER_UNIT,
    Billed,
    Lived,
    add_causes,
    explain_bill,
)
from gpuledger.accounting.periods import iso, require_hours
from gpuledger.accounting.units import GPU_PARTS, gpu_hours
from gpuledger.cli.sources import Document, Source, wanted_period
from gpuledger.errors import ConfigError

_DIGITS: Final = 100
Key = tuple[str, int]


class _LedgerDay(NamedTuple):
    lived: Lived
    gpus: int


def reconcile_bill(source: Source, args: argparse.Namespace) -> Document:
    """Return the comparison; `ok` says whether no difference exceeds the tolerance.

    Raises OutsideError on a bill that cannot be used, ConfigError on a map or a currency that does not fit.
    """
    period = require_hours(wanted_period(source, args.period))
    bill_map = read_bill_map(args.map)
    rates = {**bill_map.exchange, **dict(map(_rate, args.exchange_rate))}
    answer = source.query("node_costs", {"period": period.label})
    ledger = _ledger_days(answer["rows"])
    files = [open_bill(path, args.cost) for path in args.against_bill]
    reading = read_machines(
        whole_bill(files),
        period=period,
        cost=args.cost,
        nodes=Nodes({node for node, _ in ledger}, bill_map),
        bill_map=bill_map,
        duplicates=args.duplicates,
    )
    if args.only_billed:
        ledger = {key: day for key, day in ledger.items() if key[0] in reading.resources}
    exchange = _Exchange(answer["currency"], rates)
    known = {node for node, _ in ledger}
    keys = sorted({*reading.days, *ledger}, key=lambda key: (key[1], key[0]))
    rows = [_row(key, reading, ledger, exchange, in_ledger=key[0] in known) for key in keys]
    facts = {
        "currency": exchange.currency,
        "rule": bill_map.rule,
        "exchange_rates": exchange.used,
        "files": [{"file": file.path.name, "focus": file.version} for file in files],
        "pending_hours": answer["pending_hours"],
    }
    return _document(rows, reading, args, facts)


class _Exchange:
    """Amounts of a bill in the ledger's currency."""

    def __init__(self, currency: str | None, rates: Mapping[str, Decimal]) -> None:
        if not currency:
            raise ConfigError(
                "the ledger has no prices, so that nothing can be held against a bill",
                hint='import a price book: "gpuledger price import FILE"',
            )
        self.currency = currency
        self._rates = rates
        self.used: dict[str, str] = {}

    def atoms(self, amount: int, currency: str) -> int:
        """Return an amount in atoms of the ledger's currency, rounded half to even where it is converted."""
        if currency == self.currency:
            return amount
        rate = self._rates.get(currency)
        if rate is None:
            raise ConfigError(
                f"the bill is in {currency}, the ledger in {self.currency}",
                hint=f"state what one {currency} counts as: --exchange-rate {currency}=0.92",
            )
        self.used[currency] = f"{rate:f}"
        return round(Fraction(rate) * amount)


def _rate(text: str) -> tuple[str, Decimal]:
    currency, equals, rate = text.partition("=")
    if not equals or not currency:
        raise ConfigError(f"{text!r} is no exchange rate", hint="write it as USD=0.92")
    return currency.upper(), parse_rate(rate, "--exchange-rate")


def _ledger_days(rows: Iterable[Mapping[str, Any]]) -> dict[Key, _LedgerDay]:
    """Return the ledger's days by node; a name that several clusters have stands as cluster/node."""
    listed = list(rows)
    clusters: dict[str, set[str]] = {}
    for row in listed:
        clusters.setdefault(row["node"], set()).add(row["cluster"])
    return {
        (
            row["node"] if len(clusters[row["node"]]) == 1 else f"{row['cluster']}/{row['node']}",
            row["day_us"],
        ): _LedgerDay(Lived(row["cost_quanta"], row["part_us"], row["unpriced_part_us"]), row["gpus"])
        for row in listed
    }


def _row(
    key: Key, reading: BillReading, ledger: Mapping[Key, _LedgerDay], exchange: _Exchange, *, in_ledger: bool
) -> Document:
    machine, day_us = key
    day, known = reading.days.get(key), ledger.get(key)
    billed = _billed(day, known.gpus if known else 0, exchange) if day else Billed()
    lived = known.lived if known else Lived()
    causes = explain_bill(billed, lived, on_bill=machine in reading.resources, in_ledger=in_ledger)
    return {
        "day": iso(day_us)[:10],
        "node": machine,
        "resource": " ".join(reading.resources.get(machine, ())),
        "billed_atoms": billed.atoms,
        "ledger_atoms": lived.atoms,
        "billed_gpu_hours": _hours(billed.part_us),
        "ledger_gpu_hours": _hours(lived.part_us),
        "causes_atoms": causes,
    }


def _billed(day: MachineDay, ledger_gpus: int, exchange: _Exchange) -> Billed:
    time_atoms, rows = 0, dict[str, int]()
    for (currency, kind), amount in day.atoms.items():
        here = exchange.atoms(amount, currency)
        if kind == TIME:
            time_atoms += here
        else:
            rows[kind] = rows.get(kind, 0) + here
    return Billed(time_atoms, day.hours_us * (day.gpus or ledger_gpus or 1) * GPU_PARTS, rows)


def _document(rows: list[Document], reading: BillReading, args: argparse.Namespace, facts: Document) -> Document:
    total = add_causes(row["causes_atoms"] for row in rows)
    billed, ledger = (sum(row[name] for row in rows) for name in ("billed_atoms", "ledger_atoms"))
    tolerance = int(args.tolerance * ATOMS_PER_UNIT)
    over = [row for row in rows if abs(row["billed_atoms"] - row["ledger_atoms"]) > tolerance]
    return {
        "ok": not over and abs(billed - ledger) <= tolerance,
        "against": "bill",
        "period": args.period,
        "compared": f"{args.cost} cost",
        **facts,
        "bill_rows": reading.rows,
        "duplicates_dropped": reading.duplicates,
        "billed": money(billed),
        "ledger": money(ledger),
        "difference": money(billed - ledger),
        "tolerance": f"{args.tolerance:f}",
        "over_tolerance": len(over),
        "causes": {name: money(amount) for name, amount in total.items()},
        "left_out": [_left_out(each) for each in reading.left_out],
        "rows": [_shown(row) for row in rows],
    }


def _left_out(each: LeftOut) -> Document:
    return {
        "why": each.why,
        "currency": each.currency,
        "rows": each.rows,
        "cost": money(each.cost_atoms),
        "unreadable": each.unreadable,
    }


def _shown(row: Document) -> Document:
    billed, ledger = row["billed_atoms"], row["ledger_atoms"]
    return {
        **{name: row[name] for name in ("day", "node", "resource")},
        "billed": money(billed),
        "ledger": money(ledger),
        "difference": money(billed - ledger),
        "billed_gpu_hours": row["billed_gpu_hours"],
        "ledger_gpu_hours": row["ledger_gpu_hours"],
        "causes": {name: money(amount) for name, amount in row["causes_atoms"].items()},
    }


def money(atoms: int) -> str:
    """Return an amount in text, exactly, with two decimals at least."""
    with localcontext() as context:
        context.prec = _DIGITS
        whole, _, decimals = f"{Decimal(atoms).scaleb(-18):.18f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')}"


def _hours(part_us: int) -> float:
    return float(round(gpu_hours(part_us), 6))
