"""What the Overview page shows: figures in; headline, tables and series out. Pure: no page, no network, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import polars as pl

from analytics.overview import (
    BILLED,
    OWNER,
    chargeback_frame,
    idle_frame,
    keep_largest,
    sum_money,
    sum_or_null,
    total_cost,
    unwatched_hours,
)
from dashboards import findings, wording
from dashboards.findings import Waste
from dashboards.notes import Note
from dashboards.notes import notes as find_notes

Document = Mapping[str, Any]

PAID_NOT_USED_KINDS: Final = ("idle",)
TOP_IDLE: Final = 6
TOP_ROWS: Final = 12
TOP_TEAMS: Final = 7
OTHERS: Final = "Others"


class Kpi(NamedTuple):
    """One figure with its unit and the sentence that puts it into proportion."""

    label: str
    value: str
    unit: str
    detail: str


class Line(NamedTuple):
    """One line of a table, ready to show; `kind` is owner, aside, or total. `href` is where its name leads."""

    kind: str
    cells: tuple[str, ...]
    small: str = ""
    href: str = ""


class Table(NamedTuple):
    """A table, ready to show; the first `words` columns are text, the others figures."""

    headers: tuple[str, ...]
    lines: tuple[Line, ...]
    words: int = 1
    left_out: int = 0


class Overview(NamedTuple):
    """Everything above the charts."""

    finding: str
    lead: str
    kpis: tuple[Kpi, ...]
    waste: Waste
    notes: tuple[Note, ...]


class Answers(NamedTuple):
    """The documents that the page is made of, and how its period is spoken of."""

    chargeback: Document
    idle: Document
    status: Document
    spoken: str  # in November so far
    before: Document | None = None
    before_name: str = ""
    adjustments: Document | None = None


def overview(answers: Answers) -> Overview:
    """Return the page's headline, figures and reservations."""
    frame = chargeback_frame(answers.chargeback)
    currency = answers.chargeback["currency"] or ""
    waste = wasted(frame, answers.idle)
    return Overview(
        finding=findings.finding(frame, currency, answers.spoken),
        lead=findings.lead(frame, waste, currency),
        kpis=kpis(frame, waste, answers),
        waste=waste,
        notes=find_notes(frame, answers.chargeback, answers.status, answers.adjustments),
    )


def wasted(frame: pl.DataFrame, idle: Document) -> Waste:
    """Return what held-idle time and idle capacity cost."""
    capacity = frame.filter(pl.col("kind").is_in(PAID_NOT_USED_KINDS))
    return Waste(held_idle=sum_money(idle_frame(idle)["cost"]), idle_capacity=total_cost(capacity))


def kpis(frame: pl.DataFrame, waste: Waste, answers: Answers) -> tuple[Kpi, ...]:
    """Return the four figures that a platform lead asks for first."""
    currency = answers.chargeback["currency"] or ""
    hours = float(frame["gpu_hours"].sum())
    held = frame.filter(pl.col("kind").is_in([OWNER, "unattributed"]))
    held_hours, active_hours = float(held["gpu_hours"].sum()), float(held["active_gpu_hours"].sum())
    watched_hours = held_hours - float(held["unwatched_gpu_hours"].sum())
    total = total_cost(frame)
    return (
        Kpi("Cost of the fleet", _money(total, frame, currency), "", _against(total, answers)),
        Kpi(
            "Held by someone",
            wording.share(held_hours, hours),
            "of capacity",
            f"{wording.hours(held_hours)} of {wording.hours(hours)} GPU-hours",
        ),
        Kpi(
            "Utilisation",
            wording.share(active_hours, watched_hours),
            "of observed held time",
            f"{wording.hours(active_hours)} active of {wording.hours(watched_hours)} GPU-hours",
        ),
        Kpi(
            "Paid for, not used",
            _money(waste.total, frame, currency),
            "",
            f"{wording.share(waste.total, total)} of the cost",
        ),
    )


def _money(total: Decimal, frame: pl.DataFrame, currency: str) -> str:
    """Return a total as a headline; a dash where nothing has a price: unpriced is not free."""
    return wording.money_short(total, currency) if frame["cost"].count() else wording.UNKNOWN


def _against(total: Decimal, answers: Answers) -> str:
    if answers.before is None:
        return "no earlier data to compare with"
    before = total_cost(chargeback_frame(answers.before))
    changed = wording.change(total, before)
    return f"{changed} against {answers.before_name}" if changed else "no earlier data to compare with"


def team_bars(frame: pl.DataFrame, idle: Document) -> pl.DataFrame:
    """Return the bars of the cost chart: key, label, part (worked, held_idle, aside), cost, total, order.

    An owner's bar is split into what its held-idle time cost and the rest; time that has no owner is one grey bar.
    """
    by_team: dict[str, Decimal] = {}
    for team, cost in idle_frame(idle).select("team", "cost").iter_rows():
        by_team[team] = by_team.get(team, Decimal(0)) + (cost or Decimal(0))
    shown = _with_others(frame)
    rows: list[dict[str, object]] = []
    for order, row in enumerate(shown):
        cost = row["cost"] or Decimal(0)
        bar = {"label": row["label"], "total": float(cost), "order": order}
        if row["kind"] != OWNER:
            rows.append({**bar, "part": row["kind"], "cost": float(cost)})
            continue
        unused = min(sum((by_team.get(key, Decimal(0)) for key in row["keys"]), Decimal(0)), cost)
        rows.append({**bar, "part": "active", "cost": float(cost - unused)})
        rows.append({**bar, "part": "held_idle", "cost": float(unused)})
    return pl.DataFrame(rows, schema=BARS_SCHEMA)


BARS_SCHEMA: Final = pl.Schema(
    {"label": pl.String(), "total": pl.Float64(), "order": pl.Int64(), "part": pl.String(), "cost": pl.Float64()}
)


def worked_words(frame: pl.DataFrame) -> str:
    """Return what the part of a bar that is not held idle stands for: nobody's looking is no work."""
    return "Held, at work or not observed" if unwatched_hours(frame) else "Held, at work"


def _with_others(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return the rows with a readable label and their keys, owners past the largest ones put together."""
    owners = frame.filter(pl.col("kind") == OWNER).to_dicts()
    rows = [{**row, "label": wording.title(row["key"]), "keys": [row["key"]]} for row in owners[:TOP_TEAMS]]
    rest = owners[TOP_TEAMS:]
    if rest:
        cost = sum_money(row["cost"] for row in rest)
        label = f"{len(rest):,} others"
        rows.append({"kind": OWNER, "cost": cost, "label": label, "keys": [row["key"] for row in rest]})
    asides = frame.filter((pl.col("kind") != OWNER) & (pl.col("gpu_hours") > 0)).to_dicts()
    return [*rows, *({**row, "label": row_label(row), "keys": []} for row in asides)]


def row_label(row: Mapping[str, Any], by: str = "team") -> str:
    """Return how a chargeback row is called: a team as a heading, any other owner as it is, the rest by its kind."""
    if row["kind"] not in BILLED:
        return wording.KIND_WORDS.get(row["kind"], wording.title(row["key"]))
    titled = by in ("team", "department", "organisation")
    return wording.title(row["key"]) if titled else row["key"] or "Not known"


def idle_table(idle: Document, currency: str) -> Table:
    """Return the most expensive workloads that held GPUs and did nothing."""
    frame = idle_frame(idle)
    lines = tuple(
        Line(
            OWNER,
            (row["workload"], wording.hours_column(row["gpu_hours"]), wording.money(row["cost"], currency)),
            _about_idle(row),
        )
        for row in frame.head(TOP_IDLE).iter_rows(named=True)
    )
    return Table(("Workload", "GPU-hours", "Cost"), lines, left_out=max(0, frame.height - TOP_IDLE))


def _about_idle(row: Mapping[str, Any]) -> str:
    runs = f"{row['runs']} runs" if row["runs"] > 1 else ""
    team = wording.title(row["team"]) or "Unattributed"
    return " · ".join(part for part in (team, row["user"], wording.reason(row["reason"]), runs) if part)


def cost_series(costs: pl.DataFrame, frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Return cost by step and label, and the labels in the order of the cost bars."""
    owners = frame.filter(pl.col("kind") == OWNER)["key"].to_list()
    kept = keep_largest(
        costs.with_columns(pl.when(pl.col("key").is_in(owners)).then("key").otherwise(pl.lit(NOT_BILLED)).alias("key")),
        "cost",
        TOP_TEAMS + 1,
        OTHERS,
    )
    present = set(kept["key"].to_list())
    order = [key for key in [*owners[: TOP_TEAMS + 1], OTHERS, NOT_BILLED] if key in present]
    labels = {key: key if key in {OTHERS, NOT_BILLED} else wording.title(key) for key in order}
    return kept.with_columns(pl.col("key").replace(labels).alias("label")), [labels[key] for key in order]


NOT_BILLED: Final = "No team"


def breakdown(answer: Document, by: str, leads: Mapping[tuple[str, str], str] = MappingProxyType({})) -> Table:
    """Return a chargeback answer as a table: owners by cost, what nobody is billed for, the total.

    `leads` says where the names of rows lead, by kind and key.
    """
    frame = chargeback_frame(answer)
    total = total_cost(frame)
    billed = pl.col("kind").is_in(BILLED)
    owners = frame.filter(billed)
    shown = pl.concat([owners.head(TOP_ROWS), frame.filter(~billed & (pl.col("gpu_hours") > 0))])
    currency = answer["currency"] or ""
    rows = [_breakdown_line(row, by, currency, total, leads) for row in shown.iter_rows(named=True)]
    known = [sum_or_null(name) for name in ("active_gpu_hours", "energy_kwh", "cost")]
    whole = frame.select(pl.col("gpu_hours", "unwatched_gpu_hours").sum(), *known).row(0, named=True)
    rows.append(_breakdown_line({**whole, "key": "Total", "kind": "total"}, by, currency, total, {}))
    headers = (wording.DIMENSION_WORDS[by][0], "Cost", "Share", "GPU-hours", "Active", "Energy, kWh")
    return Table(headers, tuple(rows), left_out=max(0, owners.height - TOP_ROWS))


def _breakdown_line(
    row: Mapping[str, Any], by: str, currency: str, total: Decimal, leads: Mapping[tuple[str, str], str]
) -> Line:
    kind = row["kind"]
    held = kind in {*BILLED, "unattributed", "total"} and row["active_gpu_hours"] is not None
    energy = wording.UNKNOWN if row["energy_kwh"] is None else f"{row['energy_kwh']:,.1f}"
    watched_hours = row["gpu_hours"] - row["unwatched_gpu_hours"]
    cells = (
        "Total" if kind == "total" else row_label(row, by),
        wording.money(row["cost"], currency),
        wording.UNKNOWN if row["cost"] is None else wording.share(row["cost"], total),
        wording.hours_column(row["gpu_hours"]),
        wording.share(row["active_gpu_hours"], watched_hours) if held else wording.UNKNOWN,
        energy,
    )
    href = leads.get((kind, row["key"]), "")
    return Line("total" if kind == "total" else OWNER if kind in BILLED else "aside", cells, "", href)
