"""Billing periods and invoices as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from analytics.words import ADJUSTMENT_WORDS, PLATFORM
from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]


def periods(answer: Answer) -> RenderableType:
    """Draw billing periods."""
    lines = [
        Line(
            (
                row["label"],
                _standing(row),
                _amount(row["charge_cost"]),
                _amount(row["correction_cost"]) if row["corrections"] else wording.UNKNOWN,
                _amount(row["adjustment_cost"]) if row["adjustments"] else wording.UNKNOWN,
                _amount(row["cost"]),
                wording.hours_column(row["unpriced_gpu_hours"]),
                f"{wording.instant(row['closed_at'])}, {row['closed_by']}" if row["closed_at"] else "",
            ),
            "" if row["state"] == "closed" else "aside",
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Period"),
        words("State"),
        figures(f"Charges, {answer['currency']}"),
        figures("Corrections"),
        figures("Adjustments"),
        figures("Bill"),
        figures("Unpriced GPU-hours"),
        words("Closed"),
    )
    notes = [
        f"! {row['label']} was closed with an exception: {row['exception']}"
        for row in answer["rows"]
        if row["exception"]
    ]
    if any(row["state"] == "closing" for row in answer["rows"]):
        notes.append("A period that is closing has ended: gpuledger period close PERIOD makes its charges final.")
    return draw(f"Billing periods, by the days of {answer['zone']}", columns, lines, notes)


def calendar(answer: Answer) -> RenderableType:
    """Say whose days a month means, and when it is closed."""
    grace = f"{answer['grace_hours']:,} hours after its end" if answer["grace_hours"] else "as soon as it has ended"
    return Text(f"A month begins at midnight in {answer['zone']}; it can be closed {grace}.")


def closed(answer: Answer) -> RenderableType:
    """Say what a period was closed with."""
    payable = wording.money(Decimal(answer["payable"]), answer["currency"])
    counts = ", ".join(f"{answer[name]:,} {name}" for name in ("charges", "corrections", "adjustments"))
    lines = [
        f"{answer['label']} is closed: {counts}.",
        f"Its {answer['invoices']:,} invoices come to {payable}.",
        f"Digest of its bill: {answer['digest']}",
    ]
    if answer["exception"]:
        lines.append(f"Closed with an exception: {answer['exception']}")
    return Text("\n".join(lines))


def verified(answer: Answer) -> RenderableType:
    """Say whether a closed bill is what its inputs come to."""
    books = f"price book {answer['price_version']} and owner mapping {answer['owner_version']}"
    made = f"from {answer['batches']:,} batches, {books}"
    documents = f"{answer['invoice_lines']:,} invoice lines"
    what = f"{answer['charges']:,} charges, {answer['corrections']:,} corrections, {documents}"
    if answer["ok"]:
        lines = [
            f"{answer['period']['label']} was made again {made}: the same to the byte.",
            f"{what}.",
            answer["digest"],
        ]
    else:
        lines = [f"{answer['period']['label']} is not what it comes to {made}:", *answer["differences"]]
    return Text("\n".join(lines))


def invoices(answer: Answer) -> RenderableType:
    """Draw the list of invoices."""
    lines = [
        Line(
            (
                str(row["number"]),
                row["period"],
                _owner(row),
                _kind(row["kind"]),
                wording.hours_column(row["gpu_hours"]),
                _complete(row),
                f"{Decimal(row['payable']):,} {row['currency']}",
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        figures("Number"),
        words("Period"),
        words("Owner"),
        words("Document"),
        figures("GPU-hours"),
        figures("Complete"),
        figures("Payable"),
    )
    return draw("Invoices", columns, lines)


def invoice(answer: Answer) -> RenderableType:
    """Draw one invoice: what was had, in which state, and what each line makes payable."""
    head = answer["invoice"]
    lines = [
        Line(
            (
                row["project"] or wording.UNKNOWN,
                f"{row['model']} {row['mig_profile']}".strip(),
                wording.STATE_WORDS.get(row["state"], row["state"]),
                _what_for(row),
                wording.hours_column(row["gpu_hours"]),
                f"{Decimal(row['payable']):,}",
            )
        )
        for row in answer["rows"]
    ]
    total = ("Total", "", "", "", wording.hours_column(head["gpu_hours"]), f"{Decimal(head['payable']):,}")
    lines.append(Line(total, "total"))
    columns = (
        words("Project"),
        words("GPU model"),
        words("State"),
        words("What for"),
        figures("GPU-hours"),
        figures(f"Payable, {head['currency']}"),
    )
    notes = [
        f"Exact amount: {head['cost']} {head['currency']}, rounded once for the whole period.",
        f"{_complete(head)} of its time was observed.",
        f"Digest of the period's bill: {answer['period_digest']}",
    ]
    if head["unpriced_gpu_hours"]:
        notes.insert(1, f"! {head['unpriced_gpu_hours']:,.1f} GPU-hours on it have no price and are not billed.")
    return draw(f"{_kind(head['kind'])} {head['number']} to {_owner(head)}, {head['period']}", columns, lines, notes)


def explained(answer: Answer) -> RenderableType:
    """Draw the way from a charge to its usage records."""
    currency = answer["currency"] or ""
    cost = "unpriced" if answer["cost"] is None else f"{answer['cost']} {currency}"
    lines = [
        Line(
            (
                f"{row['start'][11:]} to {row['end'][11:]}",
                f"{row['held_us'] / 1e6:,.3f}",
                wording.UNKNOWN if row["active_us"] is None else f"{row['active_us'] / 1e6:,.3f}",
                ", ".join(filter(None, (row["holder_method"], row["activity_method"], row["split_rule"]))),
                row["confidence"],
                f"{row['agent']} {row['sequence']}",
            )
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Usage record"),
        figures("Held, s"),
        figures("Active, s"),
        words("Found by"),
        words("Trust"),
        words("Batch"),
    )
    notes = [f"{number}. {step}." for number, step in enumerate(answer["steps"], start=1)]
    notes += [
        f"! corrected on {row['period']}: {row['held_us'] / 1e6:,.3f} s, {row['cost']} {currency}"
        for row in answer["corrections"]
    ]
    notes += [
        f"! dispute {row['dispute']} by {row['opened_by']} ({row['state']}): {row['why']}" for row in answer["disputes"]
    ]
    notes += [f"adjusted on {row['period']}: {row['because']} ({row['reference']})" for row in answer["adjustments"]]
    return draw(f"{answer['charge']} cost {cost}", columns, lines, notes)


def _what_for(row: Answer) -> str:
    """Return what a line is for beside the time that it is about, and which disputes are about it."""
    why = f"correction of {row['corrects']}" if row["corrects"] else ""
    if row["kind"] in ADJUSTMENT_WORDS:
        why = f"{ADJUSTMENT_WORDS[row['kind']]}: {row['because']}"
    disputed = f"! dispute {row['disputed']}" if row["disputed"] else ""
    return " ".join(filter(None, (why, disputed)))


def _standing(row: Answer) -> str:
    """Return how a period is; of one that has ended, until when late data is waited for."""
    waits = row["state"] == "closing" and row["late_until"]
    return f"closing, waits for late data until {wording.instant(row['late_until'])}" if waits else str(row["state"])


def _owner(row: Answer) -> str:
    return wording.title(row["team"]) or PLATFORM


def _kind(kind: str) -> str:
    return kind.replace("_", " ").capitalize()


def _complete(row: Answer) -> str:
    return wording.UNKNOWN if row["complete_ratio"] is None else wording.share(row["complete_ratio"], 1)


def _amount(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text):,.2f}"
