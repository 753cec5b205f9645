"""The week as a heat map: one cell for each hour and weekday, empty where nobody looked. Pure."""

from __future__ import annotations

from typing import Final, cast

import altair as alt
import polars as pl

from dashboards.charts import styled
from dashboards.theme import MUTED, Mode, Shade
from dashboards.utilisation_models import DAYS

LOW: Final = Shade("#EAF1F9", "#1B2C40")
HIGH: Final = Shade("#0B4A8C", "#8CC4FA")


def week(cells: pl.DataFrame, mode: Mode) -> alt.Chart:
    """Return the chart of one group of analytics.utilisation.heat_map: further from the page's colour is fuller."""
    frame = cells.select(
        pl.col("weekday").cast(pl.Int64).replace_strict(dict(enumerate(DAYS, 1)), return_dtype=pl.String).alias("day"),
        pl.format("{}:00", pl.col("hour").cast(pl.String).str.zfill(2)).alias("at"),
        "hour",
        "held_of_observed",
        "active_of_held",
    ).filter(pl.col("held_of_observed").is_not_null())
    colour = alt.Color(
        "held_of_observed:Q",
        scale=alt.Scale(domain=[0, 1], range=[LOW.of(mode), HIGH.of(mode)]),
        legend=alt.Legend(
            title="Held", format=".0%", orient="top", direction="horizontal", gradientLength=160, tickCount=3,
            labelColor=MUTED.of(mode), titleColor=MUTED.of(mode),
        ),
    )  # fmt: skip
    hours = [f"{hour:02}:00" for hour in range(24)]
    shown = alt.Axis(values=hours[::4], title=None, labelAngle=0)
    chart = (
        alt.Chart(frame)
        .mark_rect(cornerRadius=2)
        .encode(
            x=alt.X("at:O", scale=alt.Scale(domain=hours, paddingInner=0.06), axis=shown),
            y=alt.Y("day:O", scale=alt.Scale(domain=list(DAYS), paddingInner=0.1), title=None),
            color=colour,
            tooltip=[
                alt.Tooltip("day:N", title="Day"),
                alt.Tooltip("at:N", title="Hour from"),
                alt.Tooltip("held_of_observed:Q", title="Held, of observed time", format=".0%"),
                alt.Tooltip("active_of_held:Q", title="Active, of held time", format=".0%"),
            ],
        )
        .properties(height=250)
    )
    return styled(cast("alt.Chart", chart), mode)
