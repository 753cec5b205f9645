"""Comparisons with documents of others as people read them on a terminal: the causes first, then where most differs."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]
SHOWN_LINES: Final = 20
BILL_CAUSES: Final = {
    "not_in_ledger": "Not in the ledger: machines that no agent reported",
    "not_on_bill": "Not on the bill: nodes that it does not name",
    "hours": "Hours: GPU-hours billed, less those that devices existed",
    "rate": "Rate: what an hour was billed at, less the ledger's rate",
    "unpriced": "Unpriced: GPU-hours that the ledger has no price for",
    "other_usage": "Other usage: no machine time (storage, traffic)",
    "purchase": "Purchases: commitments and fees",
    "credit": "Credits",
    "refund": "Refunds: usage below zero",
    "adjustment": "Adjustments",
    "correction": "Corrections: of earlier bills",
    "tax": "Taxes",
    "rounding": "Rounding",
}
JOB_CAUSES: Final = {
    "not_in_ledger": "Not in the ledger: jobs that no agent saw",
    "not_in_sacct": "Not in sacct: jobs that it does not have",
    "gpus": "GPUs: granted, less those that the ledger saw held",
    "outage": "Outage: nobody watched the device",
    "start": "Start: seconds at the beginning",
    "end": "End: seconds at the end",
    "not_held": "Not held: watched, and held by nobody or by others",
    "account": "Account: booked on another one",
}


def bill(answer: Answer) -> RenderableType:
    """Draw why a bill and the ledger differ."""
    currency = answer["currency"]
    notes = [
        f"{answer['compared'].capitalize()} of {answer['bill_rows']:,} rows. A resource is a node: {answer['rule']}."
    ]
    notes += [f"1 {name} counts as {rate} {currency}." for name, rate in answer["exchange_rates"].items()]
    if answer["duplicates_dropped"]:
        notes.append(f"! {answer['duplicates_dropped']:,} rows that stood twice count once.")
    if answer["pending_hours"]:
        notes.append(f"! {answer['pending_hours']:,} hours of the ledger wait to be rated again.")
    notes += [
        f"Left out: {each['rows']:,} rows ({each['why']}), {_money(each['cost'])} {each['currency']}"
        + (f", {each['unreadable']:,} of them without an amount." if each["unreadable"] else ".")
        for each in answer["left_out"]
    ]
    causes = _causes(answer, BILL_CAUSES, _Sides("The bill", answer["billed"], answer["ledger"], currency))
    columns = (
        words("Day"), words("Node"), figures("Billed"), figures("Ledger"), figures("Difference"),
        figures("GPU-h billed"), figures("GPU-h ledger"), words("Mostly"),
    )  # fmt: skip
    lines = [
        Line(
            (
                row["day"], row["node"], _money(row["billed"]), _money(row["ledger"]), _money(row["difference"]),
                wording.hours_column(row["billed_gpu_hours"]), wording.hours_column(row["ledger_gpu_hours"]),
                _mostly(row, BILL_CAUSES),
            )
        )
        for row in _largest(answer)
    ]  # fmt: skip
    return Group(causes, Text(""), draw(_where(answer, "a node's day"), columns, lines, notes))


def sacct(answer: Answer) -> RenderableType:
    """Draw why a scheduler's accounting and the ledger differ."""
    sides = _Sides("sacct", answer["sacct_gpu_seconds"], answer["ledger_gpu_seconds"], "GPU-seconds")
    causes = _causes(answer, JOB_CAUSES, sides)
    accounts = draw(
        "By account",
        (words("Account"), figures("sacct"), figures("Ledger"), figures("Difference")),
        [
            Line((row["account"] or "(none)", _money(row["sacct"]), _money(row["ledger"]), _money(row["difference"])))
            for row in answer["accounts"]
        ],
    )
    columns = (
        words("Job"),
        words("Account"),
        figures("sacct"),
        figures("Ledger"),
        figures("Difference"),
        words("Mostly"),
    )
    lines = [
        Line(
            (
                row["job"], row["account"] or row["ledger_account"], _money(row["sacct"]), _money(row["ledger"]),
                _money(row["difference"]), _mostly(row, JOB_CAUSES),
            )
        )
        for row in _largest(answer)
    ]  # fmt: skip
    notes = [f"{count:,} entries of sacct without GPU time: {why}." for why, count in answer["skipped"].items()]
    if answer["problem_count"]:
        notes.append(f"! {answer['problem_count']:,} problems in the file; the first of them:")
        notes += [f"  line {item['line']}: {item['reason']}" for item in answer["problems"][:10]]
    return Group(causes, Text(""), accounts, Text(""), draw(_where(answer, "a job"), columns, lines, notes))


class _Sides(NamedTuple):
    """What is compared with what, in which unit."""

    theirs: str
    their_sum: str
    our_sum: str
    unit: str


def _causes(answer: Answer, named: Mapping[str, str], sides: _Sides) -> RenderableType:
    lines = [Line((sides.theirs, _money(sides.their_sum))), Line(("The ledger", _money(sides.our_sum)))]
    lines += [Line((f"  {named[name]}", _money(amount))) for name, amount in answer["causes"].items()]
    lines.append(Line(("Difference", _money(answer["difference"])), "total"))
    allowed = f" beyond {answer['tolerance']}" if Decimal(answer["tolerance"]) else ""
    title = "No difference" if answer["ok"] else "Differences"
    period = wording.month_name(answer["period"])
    return draw(f"{title}{allowed}, {period}", (words("Why"), figures(sides.unit)), lines)


def _largest(answer: Answer) -> list[Answer]:
    differing = [row for row in answer["rows"] if Decimal(row["difference"])]
    return sorted(differing, key=lambda row: -abs(Decimal(row["difference"])))[:SHOWN_LINES]


def _where(answer: Answer, what: str) -> str:
    differing = sum(bool(Decimal(row["difference"])) for row in answer["rows"])
    shown = f", the largest {SHOWN_LINES}" if differing > SHOWN_LINES else ""
    return f"Where ({what}): {differing:,} of {len(answer['rows']):,} differ{shown}"


def _mostly(row: Answer, named: Mapping[str, str]) -> str:
    """Return the cause that weighs most in a line."""
    if not row["causes"]:
        return ""
    name = max(row["causes"], key=lambda name: abs(Decimal(row["causes"][name])))
    return named[name].partition(":")[0]


def _money(text: str) -> str:
    return f"{Decimal(text):,.2f}"
