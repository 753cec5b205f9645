"""Disputes and entered adjustments as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words

Answer = Mapping[str, Any]
_STATES = {
    "open": "open",
    "withdrawn": "withdrawn",
    "rejected": "rejected",
    "decided": "decided, waits for a bill",
    "settled": "decided, on a bill",
}


def disputes(answer: Answer) -> RenderableType:
    """Draw all disputes."""
    lines = [
        Line(
            (
                str(row["dispute"]),
                _STATES[row["state"]],
                row["about"],
                row["owner"],
                row["why"],
                row["cost"],
                row["granted"] or wording.UNKNOWN,
                row["bills"],
            ),
            "" if row["state"] in ("open", "decided") else "aside",
        )
        for row in answer["rows"]
    ]
    columns = (
        figures("ID"),
        words("State"),
        words("About"),
        words("Owner"),
        words("Why"),
        figures(f"Now, {answer['currency']}"),
        figures("Given back"),
        words("On the bill of"),
    )
    return draw(
        "Disputes", columns, lines, [] if lines else ["Nobody disputes anything: gpuledger dispute open CHARGE"]
    )


def dispute(answer: Answer) -> RenderableType:
    """Draw one dispute: what is in question, what happened, what was decided."""
    row, currency = answer["dispute"], answer["currency"]
    lines = [Line((each["charge"], f"{each['held_us'] / 3.6e9:,.3f}", each["cost"])) for each in answer["rows"]]
    notes = [_happened(each, currency) for each in answer["history"]]
    if row["decision"] in ("upheld", "partly"):
        notes.append(
            f"Given back: {row['granted']} {currency}, paid by {row['moved_to']} instead."
            f" On closed bills: {row['billed']}{' (' + row['bills'] + ')' if row['bills'] else ''}"
            f"{'; the next one has ' + row['waiting'] if row['state'] == 'decided' else ''}."
        )
    for each in answer["rows"]:
        if each["steps"]:
            notes.append(f"{each['charge']}:")
            notes += [f"  {at}. {step}." for at, step in enumerate(each["steps"], start=1)]
    if answer["more"]:
        notes.append("! cheaper charges are not shown")
    title = (
        f"Dispute {row['dispute']} about {row['about']}: {_STATES[row['state']]}, {row['cost']} {currency} in question"
    )
    return draw(title, (words("Charge"), figures("Hours"), figures(f"Cost, {currency}")), lines, notes)


def _happened(event: Answer, currency: str) -> str:
    what = event["decision"] or event["what"]
    much = (
        f" ({event['amount']} {currency})"
        if event["amount"]
        else f" ({event['percent']} %)"
        if event["percent"]
        else ""
    )
    alone = f" Decided by the one who opened it: {event['same_person']}" if event["same_person"] else ""
    return f"{wording.instant(event['at'])}, {event['by']}: {what}{much}. {event['why']}{alone}"


def entered(answer: Answer) -> RenderableType:
    """Draw adjustments that people entered."""
    lines = [
        Line(
            (
                str(row["adjustment"]),
                f"on the bill of {row['bill']}" if row["bill"] else row["state"],
                row["owner"],
                row["because"],
                f"{wording.instant(row['from'])} to {wording.instant(row['to'])}" if row["from"] else "the next bill",
                row["cost"],
            ),
            "aside" if row["state"] == "withdrawn" else "",
        )
        for row in answer["rows"]
    ]
    columns = (
        figures("ID"),
        words("State"),
        words("Owner"),
        words("Why"),
        words("For"),
        figures(f"Amount, {answer['currency']}"),
    )
    return draw("Entered adjustments", columns, lines)
