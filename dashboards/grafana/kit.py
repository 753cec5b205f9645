"""Panels of the Grafana dashboards: how each kind looks, with the colours of our own pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.builders import dashboard as board
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models

from dashboards.theme import STATE_COLOURS

SOURCE: Final = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
COLUMNS: Final = 24  # of Grafana's grid
RATIO: Final = "percentunit"
HEIGHT: Final = 8


Panel = stat.Panel | table.Panel | timeseries.Panel


def query(expr: str, legend: str = "", ref: str = "A", *, instant: bool = False) -> prometheus.Dataquery:
    """Return one query; `legend` may name labels as `{{state}}`."""
    made = prometheus.Dataquery().expr(expr).ref_id(ref).legend_format(legend or "__auto")
    return made.instant().format("table") if instant else made.range()  # type: ignore[arg-type]


def figure(title: str, says: str, expr: str, unit: str = "short", decimals: int = 0) -> stat.Panel:
    """Return one number: what is now, with the line behind it."""
    last = common.ReduceDataOptions().calcs(["lastNotNull"])
    panel = stat.Panel().title(title).description(says).unit(unit).decimals(decimals).datasource(SOURCE)
    return panel.reduce_options(last).no_value("no data").with_target(query(expr))


def lines(
    title: str, says: str, queries: Mapping[str, str], unit: str = "short", *, stacked: bool = False
) -> timeseries.Panel:
    """Return lines over time, by legend; stacked ones are filled. States have the colours that they have everywhere."""
    legend = (
        common.VizLegendOptions()
        .show_legend(show_legend=True)
        .placement(common_models.LegendPlacement.BOTTOM)
        .display_mode(common_models.LegendDisplayMode.LIST)
    )
    panel = timeseries.Panel().title(title).description(says).unit(unit).datasource(SOURCE).legend(legend).min(0)
    panel = panel.line_width(1).fill_opacity(70 if stacked else 8).show_points(common_models.VisibilityMode.NEVER)
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
    for ref, (label, expr) in zip("ABCDEFGH", queries.items(), strict=False):
        panel = panel.with_target(query(expr, label, ref))
    for state, colour in STATE_COLOURS.items():
        fixed = models.DynamicConfigValue("color", {"mode": "fixed", "fixedColor": colour.light})
        panel = panel.override_by_name(state, [fixed])
    return panel


def rows(
    title: str, says: str, expr: str, columns: Mapping[str, str], value: str, *, unit: str = "short"
) -> table.Panel:
    """Return a table of what is now: a column for each label, and the value."""
    wanted = {**columns, "Value": value}
    organize = models.DataTransformerConfig(
        id_val="organize",
        options={
            "renameByName": wanted,
            "indexByName": {name: place for place, name in enumerate(wanted)},
            "includeByName": dict.fromkeys(wanted, True),
        },
    )
    panel = table.Panel().title(title).description(says).datasource(SOURCE).with_target(query(expr, instant=True))
    panel = panel.with_transformation(organize).no_value("nothing to show")
    return panel.override_by_name(value, [models.DynamicConfigValue("unit", unit)])


def dashboard(uid: str, title: str, variables: Sequence[Builder[models.VariableModel]]) -> board.Dashboard:
    """Return an empty dashboard with its variables, and links to the others."""
    made = board.Dashboard(title).uid(uid).tags(["gpuledger"]).timezone("browser").refresh("1m")
    made = made.time("now-6h", "now").tooltip(models.DashboardCursorSync.CROSSHAIR).readonly()
    others = board.DashboardLink("gpuledger").type(models.DashboardLinkType.DASHBOARDS).tags(["gpuledger"])
    made = made.link(others.as_dropdown(as_dropdown=True).include_vars(include_vars=True).keep_time(keep_time=True))
    pages = board.DashboardLink("Bill and evidence").type(models.DashboardLinkType.LINK).url("${pages}")
    made = made.link(pages.target_blank(target_blank=True))
    source = board.DatasourceVariable("datasource").label("Data source").type("prometheus")
    address = board.ConstantVariable("pages").label("Address of gpuledger's pages").value("http://localhost:8501")
    for variable in (source, address, *variables):
        made = made.with_variable(variable)
    return made


def choice(name: str, label: str, metric: str, by: str = "") -> board.QueryVariable:
    """Return a variable over the values of a label of a metric: several may be chosen, and all is one choice."""
    made = board.QueryVariable(name).label(label).datasource(SOURCE).query(f"label_values({metric}, {by or name})")
    made = made.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
    everything = models.VariableOption(text="All", value="$__all", selected=True)
    return made.multi(multi=True).include_all(include_all=True).all_value(".*").current(everything)


def fill(made: board.Dashboard, *grid: Sequence[Panel]) -> board.Dashboard:
    """Put rows of panels onto a dashboard; the panels of a row share its width. Numbers are half as high as charts."""
    top = 0
    for row in grid:
        height = HEIGHT // 2 if all(isinstance(panel, stat.Panel) for panel in row) else HEIGHT
        width = COLUMNS // len(row)
        for place, panel in enumerate(row):
            panel.grid_pos(models.GridPos(h=height, w=width, x=place * width, y=top))
            made = made.with_panel(panel)
        top += height
    return made
