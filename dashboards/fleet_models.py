"""What the Fleet health page shows: devices, faults, agents and how much of the time was seen. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from dashboards import quality_models, wording
from dashboards.view_models import Kpi, Line, Table

Document = Mapping[str, Any]
MOST_FAULTS: Final = 20
MOST_NODES: Final = 50
FAULTS: Final = ("error", "warning")
KIND_WORDS: Final = {
    "xid": "XID {xid}",
    "gpu_lost": "GPU lost",
    "gpu_recovered": "GPU back",
    "reset_required": "Needs a reset",
    "clock_jump": "Clock jumped",
}
ACTION_WORDS: Final = {
    "none": "Nothing",
    "restart_application": "Restart the application",
    "reset_gpu": "Reset the GPU",
    "reboot_node": "Reboot the node",
    "inspect": "Inspect the board",
}


def faults(events: Document) -> list[Document]:
    """Return the events that are errors or warnings, the newest first."""
    return [row for row in events["rows"] if row["severity"] in FAULTS]


def counted(devices: Document) -> list[Document]:
    """Return the boards that can be held now: whole GPUs, and cards that are cut by MIG once each."""
    return [row for row in devices["rows"] if row["until"] is None and row["kind"] != "pool"]


def boards(devices: Document) -> int:
    """Return how many GPUs there are: a card that MIG cuts is one."""
    return len({row["board"] or row["key"] for row in counted(devices)})


def finding(devices: Document, found: Sequence[Document], late: int, agents: int, spoken: str) -> str:
    """Return the headline: how many GPUs had faults, and whether agents deliver."""
    hit = {row["device"] for row in found if row["severity"] == "error" and row["device"]}
    count = boards(devices)
    health = (
        f"{len(hit):,} of {count:,} GPUs had an error {spoken}" if hit else f"No GPU of {count:,} had an error {spoken}"
    )
    behind = "1 agent is behind" if late == 1 else f"{late:,} of {agents:,} agents are behind"
    return f"{health}; {behind}" if late else f"{health}; every agent delivers"


def kpis(whole: Document, status: Document, devices: Document) -> tuple[Kpi, ...]:
    """Return what was seen, what was out of service, and who reports it."""
    total = whole["total"]
    hours, states = total["gpu_hours"], total["states"]
    unseen, down = states.get("unobserved", 0.0), states.get("unavailable", 0.0)
    versions = Counter(agent["software"] for agent in status["agents"])
    newest = max(versions, key=lambda name: (versions[name], name), default="")
    models = Counter(row["model"] for row in counted(devices))
    return (
        Kpi("GPUs", f"{boards(devices):,}", "", f"{len(models):,} models on {_nodes(devices):,} nodes"),
        Kpi(
            "Seen",
            wording.share(hours - unseen, hours),
            "of device time",
            f"{wording.hours(unseen)} GPU-hours were not observed",
        ),
        Kpi("Out of service", wording.hours(down), "GPU-hours", f"{wording.share(down, hours)} of device time"),
        Kpi(
            "Agents",
            f"{len(status['agents']):,}",
            "",
            f"all run {newest}" if len(versions) == 1 else f"{len(versions):,} versions; most run {newest}",
        ),
    )


def unwell(states: pl.DataFrame, kinds: Sequence[str]) -> pl.DataFrame:
    """Return GPU-hours of some states for every step, 0 where there were none; empty where there never were any."""
    found = states.filter(pl.col("state").is_in(list(kinds)))
    if found.is_empty():
        return found
    every = states.select("at").unique().join(found.select("state").unique(), how="cross")
    return every.join(found, on=["at", "state"], how="left").with_columns(pl.col("gpu_hours").fill_null(0.0)).sort("at")


def fault_table(found: Sequence[Document], names: Mapping[str, str]) -> Table:
    """Return errors and warnings, the newest first, in words, with what the driver's maker says to do."""
    lines = [
        Line(
            "owner" if row["severity"] == "error" else "aside",
            (
                names.get(row["device"], row["node"]),
                _what(row),
                ACTION_WORDS.get(row["details"].get("action", ""), wording.UNKNOWN),
                wording.instant(row["at"]),
            ),
            _without_key(row),
        )
        for row in found[:MOST_FAULTS]
    ]
    return Table(("Where", "What", "What to do", "When"), tuple(lines), 4, left_out=max(0, len(found) - MOST_FAULTS))


def node_table(by_node: Document, status: Document, devices: Document) -> Table:
    """Return the nodes, those that were seen least first: what is on them, and the agent that reports it."""
    agents = {agent["node"]: agent for agent in status["agents"]}
    held = {row["key"]: row for row in by_node["rows"]}
    cards: dict[str, dict[str, str]] = {}
    for row in counted(devices):
        cards.setdefault(row["node"], {})[row["board"] or row["key"]] = row["model"]
    rows = [_node(name, cards[name], held.get(name), agents.get(name), status) for name in sorted(cards)]
    ordered = [line for _, line in sorted(rows, key=lambda pair: pair[0])]
    heads = ("Node", "Agent", "Data until", "GPUs", "Held", "Seen", "Out of service, h")
    return Table(heads, tuple(ordered[:MOST_NODES]), 3, left_out=max(0, len(ordered) - MOST_NODES))


def _node(
    name: str, cards: Mapping[str, str], time: Document | None, agent: Document | None, status: Document
) -> tuple[tuple[float, str], Line]:
    hours = time["gpu_hours"] if time else 0.0
    states: Mapping[str, float] = time["states"] if time else {}
    seen = hours - states.get("unobserved", 0.0)
    late = agent is not None and quality_models.lag_us(agent, status) > quality_models.BEHIND_US
    cells = (
        name,
        agent["software"] if agent else "No agent",
        (wording.instant(agent["known_until"]) + (" (behind)" if late else "")) if agent else wording.UNKNOWN,
        f"{len(cards):,}",
        wording.UNKNOWN
        if not time or time["held_of_capacity"] is None
        else wording.share(time["held_gpu_hours"], hours),
        wording.share(seen, hours),
        wording.hours_column(states.get("unavailable", 0.0)),
    )
    models = ", ".join(f"{count} of {model}" for model, count in sorted(Counter(cards.values()).items()))
    return (seen / hours if hours else 1.0, name), Line("owner", cells, models)


def _what(row: Document) -> str:
    words = KIND_WORDS.get(row["kind"])
    return words.format(xid=row["details"].get("xid", "?")) if words else row["kind"].replace("_", " ").capitalize()


def _without_key(row: Document) -> str:
    """Return an event's words without the key of its device, which stands before them by its name."""
    text = str(row["message"])
    if row["device"]:
        text = text.partition(f"{row['device']}: ")[2] or text.replace(row["device"], "the device")
    return text[:1].upper() + text[1:]


def _nodes(devices: Document) -> int:
    return len({row["node"] for row in counted(devices)})
