"""What the Chargeback page shows of one part of the ledger: its way down, its parts, its charges, one charge. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from dashboards import links, wording
from dashboards.view_models import Line, Table
from gpuledger.within import LEVELS, NOBODYS, OWNER, UNATTRIBUTED, Within

Document = Mapping[str, Any]
PAGE: Final = "chargeback"
DEVICE: Final = "device"
MINUTE_US: Final = 60_000_000
UNNAMED: Final = {
    "organisation": "No organisation",
    "department": "No department",
    "team": "No team",
    "project": "No project",
    "user": "No user known",
    "workload": "No name",
}


def name_at(level: str, name: str | None) -> str:
    """Return what a name of a path is called: teams and what is above them as headings, the rest as it is."""
    if not name:
        return UNNAMED[level]
    return wording.title(name) if level in ("organisation", "department", "team") else name


def called(within: Within) -> str:
    """Return what a part of the ledger is called: by its last name."""
    for level, name in reversed(list(zip(within.levels, within.names, strict=False))):
        if name:
            return name_at(level, name)
    if within.names and within.kind == OWNER:
        return UNNAMED[within.levels[len(within.names) - 1]]
    return wording.KIND_WORDS.get(within.kind, "Everything")


def crumbs(within: Within, last: str = "", **chosen: str) -> list[tuple[str, str]]:
    """Return the way down to a part (and to `last` in it), each step with its address; unnamed levels are left out."""
    steps = [("All", links.link(PAGE, **chosen))]
    if within.kind not in ("", OWNER):
        top = Within(within.kind)
        steps.append((wording.KIND_WORDS[within.kind], links.link(PAGE, **chosen, within=str(top))))
    for level, name in zip(within.levels, within.names, strict=False):
        if name:
            steps.append((name_at(level, name), links.link(PAGE, **chosen, within=str(within.until(level)))))
    if within.kind == OWNER and len(steps) == 1:
        steps.append((called(within), links.link(PAGE, **chosen, within=str(within))))
    if last:
        return [*steps, (last, "")]
    return [*steps[:-1], (steps[-1][0], "")]


def levels_below(within: Within) -> tuple[str, ...]:
    """Return the levels that a part can be taken apart by."""
    return () if within.kind in NOBODYS else within.levels[len(within.names) :]


def part_of(row: Document, parent: Within, level: str) -> Within:
    """Return the part of the ledger that a row of the parent's breakdown is."""
    if row["kind"] in NOBODYS:
        return Within(row["kind"])
    if row["kind"] == UNATTRIBUTED and parent.kind != UNATTRIBUTED:
        return Within(UNATTRIBUTED)
    return parent.below(level, row["key"] if row["kind"] == OWNER else "")


def leads(rows: Sequence[Document], by: str, **chosen: str) -> dict[tuple[str, str], str]:
    """Return where rows of the whole ledger's breakdown lead, by kind and key, where the row is a part of it.

    Unattributed time of another dimension includes that of owners without a name there, so only by organisation is it
    the part that is called so.
    """
    if by not in ("organisation", "department", "team", "project"):
        return {}
    return {
        (row["kind"], row["key"]): links.link(PAGE, **chosen, within=str(part_of(row, Within(), by)))
        for row in rows
        if row["kind"] in (OWNER, *NOBODYS) or by == "organisation"
    }


def finding(answer: Document, within: Within, whole: Document, spoken: str) -> str:
    """Return the headline: what the part cost, and of the whole fleet how much that is."""
    name, cost = called(within), answer["total"]["cost"]
    if cost is None:
        return f"{name} has no price {spoken}: {wording.hours(answer['total']['gpu_hours'])} GPU-hours"
    amount = wording.money_short(Decimal(cost), answer["currency"] or "")
    share = wording.share(Decimal(cost), Decimal(whole["total"]["cost"] or 0))
    return f"{name} cost {amount} {spoken}, {share} of the fleet"


def lead(total: Document) -> str:
    """Return the sentence below it: hours, and how much of them was work."""
    hours, states = total["gpu_hours"], total["states"]
    watched = wording.watched_hours(hours, states)
    parts = [f"{wording.hours(hours)} GPU-hours"]
    if total["active_gpu_hours"] is not None and watched > 0 and states.keys() & {"active", "held_idle"}:
        parts.append(f"{wording.share(total['active_gpu_hours'], watched)} of what was watched was work")
    if states.get("held_idle"):
        parts.append(f"{wording.hours(states['held_idle'])} were held idle")
    return "; ".join(parts) + "."


def parts_table(answer: Document, within: Within, level: str, **chosen: str) -> Table:
    """Return the parts of a part by a level (each leads down) or by a property of devices, and the total of all."""
    total = Decimal(answer["total"]["cost"] or 0)
    lines = [
        _part_line(row, _row_name(row, level), total, _lead(row, within, level, **chosen)) for row in answer["rows"]
    ]
    lines.append(_part_line({**answer["total"], "kind": "total"}, "Total", total, ""))
    heads = (
        wording.DIMENSION_WORDS[level][0],
        f"Cost, {answer['currency'] or '?'}",
        "Share",
        "GPU-hours",
        "Held idle",
        "Active",
    )
    return Table(heads, tuple(lines))


def _lead(row: Document, within: Within, level: str, **chosen: str) -> str:
    """Return where a row leads; by a property of devices it is no part of the ledger, and leads nowhere."""
    return links.link(PAGE, **chosen, within=str(part_of(row, within, level))) if level in LEVELS else ""


def _row_name(row: Document, level: str) -> str:
    if row["kind"] == DEVICE:
        return str(row["key"])
    if row["kind"] in (OWNER, "unnamed"):
        return name_at(level, row["key"])
    return UNNAMED[level] if level in ("user", "workload") else wording.KIND_WORDS[row["kind"]]


def _part_line(row: Document, name: str, total: Decimal, href: str) -> Line:
    hours, states, cost = row["gpu_hours"], row["states"], row["cost"]
    held = hours - sum(states.get(each, 0.0) for each in NOBODYS)
    watched = wording.watched_hours(held, {"held_unobserved": states.get("held_unobserved", 0.0)})
    active = row["active_gpu_hours"]
    cells = (
        name,
        wording.amount(cost),
        wording.UNKNOWN if cost is None else wording.share(Decimal(cost), total),
        wording.hours_column(hours),
        wording.hours_column(states.get("held_idle", 0.0)) if held else wording.UNKNOWN,
        wording.share(active, watched) if active is not None and held else wording.UNKNOWN,
    )
    kind = "total" if row["kind"] == "total" else OWNER if row["kind"] in (OWNER, DEVICE) else "aside"
    return Line(kind, cells, "", href)


def charges_table(answer: Document, names: Mapping[str, str], within: Within, **chosen: str) -> Table:
    """Return charges, hour by hour, each leading to its evidence."""
    alone = within.name("workload") is not None
    lines = [
        Line(
            OWNER,
            (
                wording.instant(row["hour"]),
                names.get(row["device"], row["device"]),
                wording.state(row["state"]),
                f"{row['held_us'] / MINUTE_US:,.1f}",
                wording.amount(row["rate"], 4),
                wording.amount(row["cost"], 4),
            ),
            "" if alone else " · ".join(each for each in (row["workload"], row["user_name"]) if each),
            links.link(PAGE, **chosen, within=str(within), charge=row["charge"]),
        )
        for row in answer["rows"]
    ]
    currency = answer["currency"] or "?"
    heads = ("Hour", "Device", "State", "Held, min", f"Rate, {currency}/h", f"Cost, {currency}")
    return Table(heads, tuple(lines), 3)


def charge_finding(charge: Document, device: str) -> str:
    """Return the headline of one charge: what it cost and what for."""
    hour, _, _, _, _, state, _ = charge["charge"].split("@")
    cost = "no price" if charge["cost"] is None else f"{wording.symbol(charge['currency'])}{charge['cost']}"
    minutes = f"{charge['held_us'] / MINUTE_US:,.1f} minutes"
    return f"{cost}: {minutes} of {device}, {wording.state(state).lower()}, {wording.instant(_whole(hour))}"


def _whole(hour: str) -> str:
    return hour if len(hour) > len("2026-11-05T10") else f"{hour}:00:00Z"


def evidence_table(charge: Document) -> Table:
    """Return the usage records of a charge: what was measured, how, and which batch brought it."""
    lines = [
        Line(
            OWNER,
            (
                f"{row['start'][11:19]} to {row['end'][11:19]}",
                f"{row['held_us'] / 1e6:,.1f}",
                wording.UNKNOWN if row["active_us"] is None else f"{row['active_us'] / 1e6:,.1f}",
                wording.UNKNOWN if row["energy_mj"] is None else f"{row['energy_mj'] / 1e6:,.1f}",
                row["confidence"].capitalize(),
                _method(row),
                f"{row['agent']} #{row['sequence']}",
            ),
        )
        for row in charge["rows"]
    ]
    return Table(("UTC", "Held, s", "Active, s", "Energy, kJ", "Trust", "Found by", "Batch"), tuple(lines))


def _method(row: Document) -> str:
    methods = (row["holder_method"], row["activity_method"], row["split_rule"])
    return ", ".join(each.replace("_", " ") for each in methods if each and each != "none") or wording.UNKNOWN


def beside_table(charge: Document, names: Mapping[str, str], within: Within, **chosen: str) -> Table:
    """Return the other charges of the device's hour: together they are all of it."""
    lines = []
    for row in charge["hour"]:
        _, _, _, device, holder, state, _ = row["charge"].split("@")
        mine = row["charge"] == charge["charge"]
        who = "This charge" if mine else f"{names.get(_plain(device), _plain(device))}, {wording.state(state).lower()}"
        cells = (who, f"{row['held_us'] / MINUTE_US:,.1f}", wording.amount(row["cost"], 9))
        href = "" if mine else links.link(PAGE, **chosen, within=str(within), charge=row["charge"])
        lines.append(Line(OWNER if mine else "aside", cells, "" if mine else _plain(holder), href))
    return Table(("Charge", "Held, min", f"Cost, {charge['currency'] or '?'}"), tuple(lines))


def _plain(field: str) -> str:
    return field.replace("%40", "@").replace("%25", "%")


def changes(charge: Document) -> list[str]:
    """Return what later bills, disputes and adjustments say about a charge."""
    found = [
        f"Corrected on the bill of {wording.month_name(row['period'])}: {row['cost'] or wording.UNKNOWN}"
        for row in charge["corrections"]
    ]
    found += [
        f"Dispute {row['dispute']} ({row['state']}), opened by {row['opened_by']}: {row['why']}"
        for row in charge["disputes"]
    ]
    return found + [
        f"On the bill of {wording.month_name(row['period'])}, about this time among other: {row['because']}"
        for row in charge["adjustments"]
    ]


def device_of(charge: str) -> str:
    """Return the device that the name of a charge has."""
    return _plain(charge.split("@")[3])


def sentences(charge: Document, names: Mapping[str, str], workload: str) -> list[str]:
    """Return why a charge is what it is, with names in the place of the keys of its device and holder."""
    _, _, _, device, holder, state, _ = charge["charge"].split("@")
    said = {
        _plain(device): names.get(_plain(device), ""),
        _plain(holder): workload,
        state: wording.state(state).lower(),
    }
    found = []
    for step in charge["steps"]:
        text = step
        for key, name in said.items():
            text = text.replace(key, name) if key and name else text
        named = any(name and text.startswith(name) for name in said.values())
        found.append(f"{text}." if named else f"{text[:1].upper()}{text[1:]}.")
    return found


def how_final(charge: Document) -> str:
    """Return whether a charge can still change."""
    if charge["period"]:
        return f"Final: on the closed bill of {wording.month_name(charge['period'])}."
    return "Provisional until its period is closed."
