"""The charts, as Altair specifications: frames and colours in, a chart out. Pure; one look for all of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal, NamedTuple, TypeVar, cast

import altair as alt
import polars as pl

from dashboards import wording
from dashboards.theme import FONT, GRID, MUTED, NOT_A_TEAM, STATE_COLOURS, STATE_ORDER, TEXT, Mode, Shade

Step = Literal["hour", "day"]
_Drawn = TypeVar("_Drawn", alt.Chart, alt.LayerChart)

BAR_STEP: Final = 34
TIME_HEIGHT: Final = 236
NAME_WIDTH: Final = 122
MAX_TIME_LABELS: Final = 6
OWNED: Final = ("active", "held_idle")


def cost_bars(bars: pl.DataFrame, currency: str, mode: Mode) -> alt.LayerChart:
    """Return ranked bars, split into worked and held idle, each with its cost behind it and its share at the edge.

    `bars` is what view_models.team_bars returns.
    """
    order = bars.sort("order")["label"].unique(maintain_order=True).to_list()
    asides = bars.filter(~pl.col("part").is_in(list(OWNED)))["label"].to_list()
    whole = float(bars["cost"].sum()) or 1.0
    y = alt.Y("label:N", sort=order, title=None, axis=_name_axis(asides, mode))
    limit = float(bars["total"].max() or 1) * 1.62  # type: ignore[arg-type]
    x = alt.X("cost:Q", title=None, axis=None, scale=alt.Scale(domain=[0, limit]))
    colours = _part_colours(bars["part"].unique().to_list(), mode)
    drawn = (
        alt.Chart(bars)
        .mark_bar(height=17)
        .encode(
            y=y,
            x=x,
            order=alt.Order("part_order:Q"),
            color=alt.Color("part:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None),
            tooltip=[
                alt.Tooltip("label:N", title="For"),
                alt.Tooltip("part_name:N", title="Time"),
                alt.Tooltip("cost:Q", title=f"Cost, {currency}", format=",.2f"),
            ],
        )
        .transform_calculate(
            part_order="datum.part == 'held_idle' ? 1 : 0",
            part_name="datum.part == 'held_idle' ? 'Held idle' : datum.part == 'active' ? 'Held, at work' : 'Not held'",
        )
    )
    ends = alt.Chart(_ends(bars, currency, whole))
    cost = ends.mark_text(align="left", baseline="middle", dx=8, fontSize=13, fontWeight=600, color=TEXT.of(mode))
    share = ends.mark_text(align="right", baseline="middle", fontSize=13, color=MUTED.of(mode))
    layers = (
        drawn,
        cost.encode(y=y, x=alt.X("total:Q"), text="figure:N"),
        share.encode(y=y, x=alt.value("width"), text="share:N"),
    )
    return styled(alt.LayerChart(layer=list(layers)).properties(height=alt.Step(BAR_STEP)), mode)


def _name_axis(asides: list[str], mode: Mode) -> alt.Axis:
    """Return the axis of names: flush left like the headings, what is no team in grey."""
    known = ",".join(json.dumps(label) for label in asides)
    colour = f"indexof([{known}], datum.value) < 0 ? '{TEXT.of(mode)}' : '{MUTED.of(mode)}'"
    return alt.Axis(
        labelAlign="left", labelPadding=NAME_WIDTH, labelLimit=NAME_WIDTH - 8, labelFontSize=13.5, domain=False,
        ticks=False, labelColor=alt.ExprRef(colour),
    )  # fmt: skip


def _ends(bars: pl.DataFrame, currency: str, whole: float) -> pl.DataFrame:
    rows = bars.unique("label", maintain_order=True).select("label", "total").rows()
    figures = [(label, total, _money(total, currency), wording.share(total, whole)) for label, total in rows]
    return pl.DataFrame(figures, schema=["label", "total", "figure", "share"], orient="row")


def hours_by_state(states: pl.DataFrame, step: Step, mode: Mode) -> alt.Chart:
    """Return GPU-hours by state over time, stacked from active upwards."""
    shown = [state for state in STATE_ORDER if state in set(states["state"].to_list())]
    frame = states.with_columns(
        pl.col("state").map_elements(wording.state, return_dtype=pl.String).alias("label"),
        pl.col("state").replace_strict({s: i for i, s in enumerate(shown)}, default=99).alias("order"),
    )
    colours = {wording.state(state): STATE_COLOURS[state].of(mode) for state in shown}
    return _over_time(frame, _Measure("gpu_hours", "GPU-hours", ""), colours, step, mode)


def cost_over_time(
    costs: pl.DataFrame, colours: Mapping[str, Shade], currency: str, step: Step, mode: Mode
) -> alt.Chart:
    """Return cost by team over time, stacked in the order of `colours`."""
    labels = list(colours)
    frame = costs.with_columns(
        pl.col("cost").cast(pl.Float64),
        pl.col("label").replace_strict({name: i for i, name in enumerate(labels)}, default=99).alias("order"),
    )
    shades = {label: shade.of(mode) for label, shade in colours.items()}
    measure = _Measure("cost", f"Cost, {currency}", wording.symbol(currency))
    return _over_time(frame, measure, shades, step, mode)


def forecast_path(path: pl.DataFrame, measure: str, sign: str, mode: Mode) -> alt.LayerChart:
    """Return what each day had as a line, and what the coming ones are expected to have, dashed, inside its range.

    `path` is what forecast_models.path returns; `measure` names what is drawn, with its unit.
    """
    shade = STATE_COLOURS["active"].of(mode)
    x = alt.X("at:T", timeUnit="utcyearmonthdate", axis=_time_axis(path["at"], "day"), scale=alt.Scale(type="utc"))
    label = f"{json.dumps(sign)} + format(datum.value, ',')"
    axis = alt.Axis(tickCount=4, labelPadding=8, labelExpr=label)
    scale = alt.Scale(zero=True)
    tips = [
        alt.Tooltip("at:T", title="Day", timeUnit="utcyearmonthdate", format="%a %d %b"),
        alt.Tooltip("had:Q", title=measure, format=",.0f"),
        alt.Tooltip("expected:Q", title="Expected", format=",.0f"),
        alt.Tooltip("low_80:Q", title="80 of 100 days from", format=",.0f"),
        alt.Tooltip("high_80:Q", title="to", format=",.0f"),
    ]
    base = alt.Chart(path).encode(x=x)
    band = base.mark_area(color=shade, opacity=0.18).encode(
        y=alt.Y("low_80:Q", title=None, axis=axis, scale=scale), y2="high_80:Q"
    )
    expected = base.mark_line(color=shade, strokeDash=[5, 4], strokeWidth=2).encode(y=alt.Y("expected:Q", title=None))
    had = base.mark_line(color=shade, strokeWidth=2).encode(y=alt.Y("had:Q", title=None))
    hover = base.mark_rule(opacity=0, strokeWidth=12).encode(tooltip=tips)
    layers = [band, expected, had, hover]
    return styled(alt.LayerChart(layer=layers).properties(height=TIME_HEIGHT), mode)


class _Measure(NamedTuple):
    """What a chart over time stacks: its column, its name with the unit, and the sign before its numbers."""

    field: str
    name: str
    sign: str


def _over_time(frame: pl.DataFrame, measure: _Measure, colours: Mapping[str, str], step: Step, mode: Mode) -> alt.Chart:
    when = "%d %b, %H:%M" if step == "hour" else "%a %d %b"
    unit: Literal["utcyearmonthdatehours", "utcyearmonthdate"] = (
        "utcyearmonthdatehours" if step == "hour" else "utcyearmonthdate"
    )
    count = frame["at"].n_unique()
    y_axis = alt.Axis(tickCount=4, labelPadding=8, labelExpr=f"{json.dumps(measure.sign)} + format(datum.value, ',')")
    chart = (
        alt.Chart(frame)
        .mark_bar(binSpacing=1.5 if count < 60 else 0.4)
        .encode(
            x=alt.X("at:T", timeUnit=unit, axis=_time_axis(frame["at"], step), scale=alt.Scale(type="utc")),
            y=alt.Y(f"{measure.field}:Q", stack="zero", title=None, axis=y_axis),
            color=alt.Color(
                "label:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=None
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("at:T", title="UTC" if step == "hour" else "Day", timeUnit=unit, format=when),
                alt.Tooltip("label:N", title="Of"),
                alt.Tooltip(f"{measure.field}:Q", title=measure.name, format=",.2f"),
            ],
        )
        .properties(height=TIME_HEIGHT)
    )
    return styled(cast("alt.Chart", chart), mode)


def _time_axis(steps: pl.Series, step: Step) -> alt.Axis:
    """Return an axis with about six labels at even distances, the first at the first step."""
    instants = steps.unique().sort()
    every = max(1, math.ceil(len(instants) / MAX_TIME_LABELS))
    values = [
        alt.DateTime(year=at.year, month=at.month, date=at.day, hours=at.hour, utc=True)
        for at in instants.gather_every(every)
    ]
    words = "%H:%M" if step == "hour" else "%-d %b"
    return alt.Axis(
        values=values, format=words, title=None, grid=False, labelPadding=8, labelOverlap="greedy", labelAlign="left"
    )


def _part_colours(parts: list[str], mode: Mode) -> dict[str, str]:
    known = {"active": STATE_COLOURS["active"], "held_idle": STATE_COLOURS["held_idle"]}
    asides = {part: STATE_COLOURS.get(part, NOT_A_TEAM) for part in sorted(parts) if part not in known}
    return {part: shade.of(mode) for part, shade in (known | asides).items()}


def _money(cost: float, currency: str) -> str:
    return wording.money_short(Decimal(repr(cost)), currency)


def styled(chart: _Drawn, mode: Mode) -> _Drawn:
    """Apply the pages' type and lines; the background is the page's own."""
    styled = (
        chart.configure(background="transparent", font=FONT, padding={"left": 0, "right": 4, "top": 6, "bottom": 0})
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=MUTED.of(mode),
            labelFontSize=12,
            gridColor=GRID.of(mode),
            domain=False,
            ticks=False,
            labelFont=FONT,
        )
        .configure_text(font=FONT)
    )
    return cast("_Drawn", styled)
