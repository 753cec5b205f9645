"""What `share list`, `quota` and `loans` show at a terminal."""

from __future__ import annotations

from decimal import Decimal

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import Answer, book_title, period_words, standing_notes, validity

UNATTRIBUTED = "Unattributed"
NO_SHARES = "No team has a share yet: gpuledger share import FILE"


def shares(answer: Answer) -> RenderableType:
    """Draw the share book."""
    lines = [
        Line((row["team"], row["department"], _gpus(row["gpus"]), _scope(row), _lends(row), validity(row)))
        for row in answer["rows"]
    ]
    columns = (words("Team"), words("Department"), figures("GPUs"), words("Of"), words("Lends"), words("Valid"))
    notes = []
    if answer["idle"] == "owner":
        notes.append("The owner of a share pays for the idle part of it.")
    if answer["unowned"] == "first":
        notes.append("Who is above its share has capacity that nobody owns before it is a loan.")
    return draw(book_title("Share book", answer), columns, lines, notes)


def quotas(answer: Answer) -> RenderableType:
    """Draw use against shares: one line a team and scope."""
    lines = [
        Line(
            (
                _team(row["team"]),
                _scope(row),
                wording.UNKNOWN if row["share_gpus"] is None else _gpus(row["share_gpus"]),
                wording.hours_column(row["available_gpu_hours"]),
                wording.hours_column(row["used_gpu_hours"]),
                wording.share(row["used_gpu_hours"], row["available_gpu_hours"]),
                _gpus(row["peak_gpus"]),
                f"{row['hours_above']:,}",
                wording.hours_column(row["borrowed_gpu_hours"]),
                wording.hours_column(row["lent_gpu_hours"]),
                wording.hours_column(row["idle_gpu_hours"]),
            ),
            "" if row["share_gpus"] is not None else "aside",
        )
        for row in answer["rows"]
    ]
    columns = (
        words("Team"),
        words("Of"),
        figures("GPUs"),
        figures("Available"),
        figures("Held"),
        figures("Of share"),
        figures("Peak"),
        figures("Above, h"),
        figures("Borrowed"),
        figures("Lent"),
        figures("Idle"),
    )
    notes = [*_missing(answer), *_elsewhere(answer), *standing_notes(answer)]
    return draw(f"GPU-hours against shares, {period_words(answer)}", columns, lines, notes)


def loans(answer: Answer) -> RenderableType:
    """Draw loans, the largest first."""
    currency = answer["currency"] or ""
    lines = [
        Line(
            (
                _team(row["borrower"]),
                _team(row["lender"]),
                _scope(row),
                wording.hours_column(row["gpu_hours"]),
                f"{row['hours']:,}",
                _gpus(row["most_gpus"]),
                _amount(row["price"]),
                f"{row['reclaims']:,} times, last {wording.instant(row['last_reclaimed'])}" if row["reclaims"] else "",
            )
        )
        for row in answer["rows"]
    ]
    if lines:
        total = ("Total", "", "", wording.hours_column(answer["gpu_hours"]), "", "", _amount(answer["price"]), "")
        lines.append(Line(total, "total"))
    columns = (
        words("Borrower"),
        words("Lender"),
        words("Of"),
        figures("GPU-hours"),
        figures("Hours"),
        figures("Most GPUs"),
        figures(f"Price, {currency}" if currency else "Price"),
        words("Taken back"),
    )
    notes = [*_missing(answer), *standing_notes(answer)]
    return draw(f"Loans between teams, {period_words(answer)}", columns, lines, notes)


def _missing(answer: Answer) -> list[str]:
    return [] if answer["share_versions"] else [NO_SHARES]


def _elsewhere(answer: Answer) -> list[str]:
    """Say what was held above shares and was no loan, and what of shares did not exist."""
    rows = answer["rows"]
    sums = {name: sum(row[f"{name}_gpu_hours"] for row in rows) for name in ("unowned", "unlent", "share", "available")}
    notes = []
    if sums["unowned"]:
        notes.append(f"{wording.hours(sums['unowned'])} GPU-hours above shares were of capacity that nobody owns.")
    if sums["unlent"]:
        notes.append(f"! {wording.hours(sums['unlent'])} GPU-hours were held of shares that do not lend.")
    if sums["share"] > sums["available"]:
        lost = wording.hours(sums["share"] - sums["available"])
        notes.append(f"{lost} GPU-hours of shares did not exist: unavailable, unobserved, or more shares than GPUs.")
    return notes


def _team(name: str) -> str:
    return wording.title(name) or UNATTRIBUTED


def _scope(row: Answer) -> str:
    return " ".join(filter(None, (row["cluster"], row["pool"], "" if row["model"] == "*" else row["model"]))) or "All"


def _lends(row: Answer) -> str:
    if not row["lends"]:
        return "no"
    most = f" at most {_gpus(row['lend_limit'])}" if row["lend_limit"] is not None else "yes"
    price = f"{row['loan_percent']} % of the rate" if row["loan_percent"] else ""
    flat = f"{row['loan_rate']} a GPU-hour" if row["loan_rate"] else ""
    return ", for ".join(filter(None, (most.strip(), price or flat)))


def _gpus(value: float) -> str:
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _amount(text: str | None) -> str:
    return wording.UNKNOWN if text is None else f"{Decimal(text):,.2f}"
