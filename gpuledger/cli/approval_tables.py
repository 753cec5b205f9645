"""Approval requests and rules as people read them on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from rich.console import RenderableType

from dashboards import wording
from gpuledger.cli.drawing import Line, draw, figures, words
from gpuledger.cli.tables import book_title, validity

Answer = Mapping[str, Any]
MAX_CHANGES: Final = 60  # lines of a price book that are shown
_DONE: Final = ("denied", "refused", "withdrawn", "expired")


def approvals(answer: Answer) -> RenderableType:
    """Draw all requests."""
    lines = [
        Line(
            (
                str(row["approval"]),
                row["state"] + (", in force" if row["in_force"] else ""),
                row["wanted"],
                row["owner"],
                row["requested_by"],
                f"needs {row['needs']}" if row["needs"] else row["made"] or _span(row),
            ),
            "aside" if row["state"] in _DONE else "",
        )
        for row in answer["rows"]
    ]
    columns = (figures("ID"), words("State"), words("Wanted"), words("Owner"), words("By"), words("What comes of it"))
    notes = [] if lines else ["Nobody asked for anything: gpuledger approval request KIND"]
    return draw("Approvals", columns, lines, notes)


def approval(answer: Answer) -> RenderableType:
    """Draw one request: what happened, what comes next, and why the rules want it so."""
    row = answer["approval"]
    lines = [
        Line((wording.instant(each["at"]), each["what"], each["by"], ", ".join(each["roles"]), each["why"]))
        for each in answer["rows"]
    ]
    notes = [_next(row)]
    notes += [f"  {each}" for each in answer["changes"][:MAX_CHANGES]]
    if len(answer["changes"]) > MAX_CHANGES:
        notes.append(f"  and {len(answer['changes']) - MAX_CHANGES:,} lines more: --format json has all")
    matched = [each for each in answer["rules"] if each["became"] != "does not match"]
    notes += [f"Rule {each['place']} {each['rule']}: {each['became']}. {each['why']}" for each in matched]
    notes.append(f"gpuledger rules explain {answer['decision']} says more of why.")
    title = f"Approval {row['approval']}: {row['wanted']}" + (f", {row['owner']}" if row["owner"] else "")
    columns = (words("At"), words("What"), words("By"), words("As"), words("Why"))
    return draw(f"{title} ({row['state']})", columns, lines, notes)


def _next(row: Answer) -> str:
    if row["state"] == "waiting":
        return f"It needs {row['needs']}, before {wording.instant(row['expires_at'])}."
    if row["made"]:
        return f"It made: {row['made']}."
    if row["state"] == "granted":
        return f"It holds {_span(row)}{' (now)' if row['in_force'] else ''}."
    return f"It is {row['state']} since {wording.instant(row['decided_at'])}."


def _span(row: Answer) -> str:
    if not row["to"]:
        return ""
    start = f"from {wording.instant(row['from'])} " if row["from"] else ""
    return f"{start}until {wording.instant(row['to'])}"


def rules(answer: Answer) -> RenderableType:
    """Draw the rule book."""
    lines = [
        Line(
            (
                str(row["place"]),
                row["rule"],
                "\n".join(filter(None, (row["filter"], row["when"]))) or "everything",
                _does(row),
                "\n".join(filter(None, (row["mode"] if row["mode"] != "enforce" else "", _valid(row)))),
            ),
            "aside" if row["mode"] != "enforce" else "",
        )
        for row in answer["rows"]
    ]
    notes = [f"Where no rule decides: {answer['default']}. The first rule that matches decides."]
    notes += [
        f"{each['name']}: {', '.join(each['roles'])}{' for ' + each['owner'] if each['owner'] else ''}"
        for each in answer["approvers"]
    ]
    columns = (figures(""), words("Rule"), words("For"), words("Does"), words("Mode"))
    return draw(book_title("Rule book", answer), columns, lines, notes)


def history(answer: Answer) -> RenderableType:
    """Draw the versions of the rule book."""
    lines = [
        Line((str(row["version"]), wording.instant(row["imported_at"]), row["source"], str(row["rules"])))
        for row in answer["rows"]
    ]
    return draw("Rule books", (figures("Version"), words("Imported"), words("From"), figures("Rules")), lines)


def decisions(answer: Answer) -> RenderableType:
    """Draw recorded decisions."""
    lines = [
        Line(
            (
                str(row["decision"]),
                wording.instant(row["at"]),
                row["subject"],
                row["action"],
                row["rule"] or "no rule",
                row["shadow_action"] if row["shadow_action"] != row["action"] else "",
            )
        )
        for row in answer["rows"]
    ]
    columns = (figures("ID"), words("At"), words("About"), words("Decided"), words("By"), words("Shadow"))
    return draw("Decisions of the rules", columns, lines)


def explained(answer: Answer) -> RenderableType:
    """Draw why rules decide as they do."""
    lines = [
        Line(
            (str(row["place"]), row["rule"], row["action"], row["became"], row["why"]),
            "total" if row["became"] == "decides" else "",
        )
        for row in answer["rows"]
    ]
    notes = [f"Facts: {', '.join(f'{name} {value}' for name, value in answer['facts'].items())}"]
    if answer["needs"]:
        notes.append(f"It needs {answer['needs']}.")
    if answer["because"]:
        notes.append(answer["because"])
    if answer["shadow_action"] != answer["action"]:
        notes.append(f"! With the rules in shadow it would be: {answer['shadow_action']}.")
    by = f"by rule {answer['rule']}" if answer["rule"] else "because no rule decides"
    columns = (figures(""), words("Rule"), words("Action"), words("Became"), words("Why"))
    return draw(f"{answer['action']}, {by}", columns, lines, notes)


def dry_run(answer: Answer) -> RenderableType:
    """Draw what another rule book would have decided otherwise."""
    lines = [
        Line(
            (
                str(row["decision"]),
                row["subject"],
                _by(row["action_before"], row["needs_before"], row["rule_before"]),
                _by(row["action_after"], row["needs_after"], row["rule_after"]),
                row["why"],
            )
        )
        for row in answer["rows"]
    ]
    columns = (figures("ID"), words("About"), words("Was"), words("Would be"), words("Why"))
    notes = [f"! {warning}" for warning in answer["warnings"]]
    notes.append(f"{answer['rules']:,} rules, tried on {answer['decisions']:,} recorded decisions. Nothing was stored.")
    return draw(f"{len(lines):,} of {answer['decisions']:,} decisions would change", columns, lines, notes)


def _does(row: Answer) -> str:
    told: Sequence[str] = row["notify"]
    what = f"approval of {row['approvals']}" if row["approvals"] else row["action"]
    return what + (f"; tells {', '.join(told)}" if told else "")


def _by(action: str, needs: str, rule: str) -> str:
    return f"{action}{' of ' + needs if needs else ''} ({rule or 'no rule'})"


def _valid(row: Answer) -> str:
    return validity(row) if row["from"] or row["to"] else ""
